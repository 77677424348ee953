"""The Zig project's build of clang and lld, from the `ziglang` wheel: one download for every target.

Each core's CPU string is in its toml; Zig's bare models leave out optional units. The caches live in
EdgeBit's own folder: the first Cortex-M link of each CPU builds the compiler's run-time library, which
takes seconds, and the first program that brings a C library builds that, which takes a minute or two. Programs
for all CPUs of an architecture share that library: it is compiled for the least of them.
"""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Mapping

from edgebit.core import Core
from edgebit.errors import ToolchainError
from edgebit.resources import cache_dir
from edgebit.toolchain.base import (
    COMMON_FLAGS,
    Job,
    Toolchain,
    between,
    host_arch,
    host_is_freestanding,
    link_flags,
    source_flags,
)

_CC = (sys.executable, "-m", "ziglang", "cc")


def _brings_libc(job: Job) -> bool:
    """Programs for this machine use its own C library: building another would take longer than all the rest."""
    return job.static_libc and job.core.family != "host"


class Zig(Toolchain):
    """`python -m ziglang cc`."""

    name = "zig"

    def version(self, core: Core) -> str:
        try:
            return f"zig {importlib.metadata.version('ziglang')}"
        except importlib.metadata.PackageNotFoundError:
            raise ToolchainError("zig is not installed; run: pip install ziglang") from None

    def target(self, core: Core, static_libc: bool = False, shared: bool = False) -> str:
        """The target triple; the host's is found at run time."""
        if shared:
            return "native"
        if static_libc:
            return (
                "native" if core.family == "host" else f"{str(core.zig['target']).split('-')[0]}-linux-musl"
            )
        if core.family != "host":
            return str(core.zig["target"])
        return f"{host_arch()}-linux-none" if host_is_freestanding() else "native"

    def commands(self, job: Job) -> list[list[str]]:
        if not _brings_libc(job):
            return [self.command(job)]
        target = ["-target", self.target(job.core, True)]
        link = [*link_flags(job), "-static", str(between(job)), "-o", str(job.output)]
        compiled = [*self._flags(job), *source_flags(job), "-r", "-o", str(between(job))]
        return [[*_CC, *compiled], [*_CC, *target, *link]]

    def command(self, job: Job) -> list[str]:
        core = job.core
        flags = self._flags(job)
        link = link_flags(job)
        if not job.hosted or _brings_libc(job):
            link += ["-static"]
        if core.is_cortex_m:
            flags += ["-fno-unroll-loops"]  # kernels unroll by hand where it pays; flash is scarce
        elif not job.hosted and core.is_64bit:
            link += ["-nostdlib"]  # 64-bit machines need nothing of the run-time library
        return [*_CC, *flags, *source_flags(job), *link, "-o", str(job.output)]

    def _flags(self, job: Job) -> list[str]:
        """What makes code of the sources."""
        core = job.core
        target = [
            "-target",
            self.target(core, job.static_libc, job.shared),
            f"-mcpu={core.zig['mcpu']}",
            "-g0",
        ]
        free = [] if job.hosted else ["-ffreestanding"]
        return [*COMMON_FLAGS, *target, "-fno-sanitize=undefined", *core.zig.get("flags", ()), *free]

    def environment(self) -> Mapping[str, str]:
        cache = cache_dir() / "zig"
        return {"ZIG_GLOBAL_CACHE_DIR": str(cache), "ZIG_LOCAL_CACHE_DIR": str(cache)}
