"""The Zig project's build of clang and lld, from the `ziglang` wheel: one download for every target.

Each core's CPU string is in its toml; Zig's bare models leave out optional units. The caches live in
EdgeBit's own folder: the first Cortex-M link of each CPU builds the compiler's run-time library, which
takes seconds.
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
    host_arch,
    host_is_freestanding,
    link_flags,
    source_flags,
)


class Zig(Toolchain):
    """`python -m ziglang cc`."""

    name = "zig"

    def version(self, core: Core) -> str:
        try:
            return f"zig {importlib.metadata.version('ziglang')}"
        except importlib.metadata.PackageNotFoundError:
            raise ToolchainError("zig is not installed; run: pip install ziglang") from None

    def target(self, core: Core, static_libc: bool = False) -> str:
        """The target triple; the host's is found at run time."""
        if static_libc:
            arch = host_arch() if core.family == "host" else str(core.zig["target"]).split("-")[0]
            return f"{arch}-linux-musl"
        if core.family != "host":
            return str(core.zig["target"])
        return f"{host_arch()}-linux-none" if host_is_freestanding() else "native"

    def command(self, job: Job) -> list[str]:
        core = job.core
        flags = [
            *COMMON_FLAGS,
            "-target",
            self.target(core, job.static_libc),
            f"-mcpu={core.zig['mcpu']}",
            "-g0",
        ]
        flags += ["-fno-sanitize=undefined", *core.zig.get("flags", ())]
        link = link_flags(job)
        if not job.hosted:
            flags += ["-ffreestanding"]
        if not job.hosted or job.static_libc:
            link += ["-static"]
        if core.is_cortex_m:
            flags += ["-fno-unroll-loops"]  # kernels unroll by hand where it pays; flash is scarce
        elif not job.hosted and core.is_64bit:
            link += ["-nostdlib"]  # 64-bit machines need nothing of the run-time library
        return [
            sys.executable,
            "-m",
            "ziglang",
            "cc",
            *flags,
            *source_flags(job),
            *link,
            "-o",
            str(job.output),
        ]

    def environment(self) -> Mapping[str, str]:
        cache = cache_dir() / "zig"
        return {"ZIG_GLOBAL_CACHE_DIR": str(cache), "ZIG_LOCAL_CACHE_DIR": str(cache)}
