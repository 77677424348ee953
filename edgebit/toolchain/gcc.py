"""GCC as the distributions package it: arm-none-eabi-gcc, aarch64-linux-gnu-gcc, and the host's own cc."""

from __future__ import annotations

import shutil
from pathlib import Path

from edgebit.core import Core
from edgebit.errors import ToolchainError
from edgebit.toolchain.base import COMMON_FLAGS, Job, Toolchain, link_flags, run, source_flags


class Gcc(Toolchain):
    """`<prefix>gcc` from PATH; the prefix is in the core's toml."""

    name = "gcc"

    def program(self, core: Core) -> str:
        prefix = str(core.gcc.get("prefix", ""))
        for name in (f"{prefix}gcc", "cc") if not prefix else (f"{prefix}gcc",):
            if shutil.which(name):
                return name
        raise ToolchainError(
            f"{prefix}gcc is not installed; install it, or build with the default toolchain (zig)"
        )

    def version(self, core: Core) -> str:
        program = self.program(core)
        said = run([program, "--version"], Path(__file__).parent, {}, what=program)
        return said.partition("\n")[0].strip() or program

    def command(self, job: Job) -> list[str]:
        core = job.core
        flags = [*COMMON_FLAGS, "-g0", *core.gcc.get("flags", ())]
        link = link_flags(job)
        libraries: list[str] = []
        if job.static_libc:
            link += ["-static", "-pthread"]
        if not job.hosted:
            flags += ["-ffreestanding", "-fno-tree-loop-distribute-patterns", "-fno-pic", "-fno-pie"]
            link += ["-nostdlib", "-static"]
            libraries = ["-lgcc"]
            if not core.is_cortex_m:
                link += ["-no-pie"]
        return [
            self.program(core), *flags, *source_flags(job), *link, *libraries, "-o", str(job.output),
        ]  # fmt: skip
