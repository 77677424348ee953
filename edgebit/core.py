"""Core definitions: which instructions a core has, how to compile for it, what its kernels cost.

A core is one file, runtime_c/cores/<name>.toml; adding one needs no edit here.
"""

from __future__ import annotations

import platform
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from edgebit.errors import UsageError
from edgebit.resources import data_dir


@dataclass(frozen=True)
class Core:
    """One processor core.

    isa is the chain of kernel variants to look for, best first, ending in "ref". For the host it holds what
    this machine's processor has of its known_isa; elsewhere the two are the same. metric is the kind of
    figure its emulation gives: "modelled cycles" or "instructions".
    """

    name: str
    title: str
    arch: str
    family: str
    isa: tuple[str, ...]
    known_isa: tuple[str, ...]
    metric: str
    unicorn_model: str | None
    zig: dict[str, Any]
    gcc: dict[str, Any]
    forbidden: tuple[str, ...]
    costs: dict[str, dict[str, float]]
    path: Path

    @property
    def is_cortex_m(self) -> bool:
        return self.family == "cortex-m"

    @property
    def is_64bit(self) -> bool:
        """Whether pointers have 64 bits; other cores are Arm ones that run Thumb code."""
        return self.family == "host" or (self.family == "cortex-a" and self.arch.startswith("armv8"))


@cache
def cpu_features() -> frozenset[str]:
    """What this machine's processor can do, by Linux's names in /proc/cpuinfo.

    Elsewhere only what the architecture promises: Advanced SIMD ("asimd") on 64-bit Arm.
    """
    always = {"asimd"} if platform.machine().lower() in ("aarch64", "arm64") else set()
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return frozenset(always)
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(always | set(value.split()))
    return frozenset(always)


@cache
def list_cores() -> tuple[str, ...]:
    """Names of all cores, sorted."""
    return tuple(sorted(p.stem for p in (data_dir("runtime_c") / "cores").glob("*.toml")))


@cache
def load_core(name: str) -> Core:
    """Read a core's definition; UsageError with the list of cores when there is none of that name."""
    if name not in list_cores():
        raise UsageError(f"no core named {name!r}; there are: {', '.join(list_cores())}")
    path = data_dir("runtime_c") / "cores" / f"{name}.toml"
    d = tomllib.loads(path.read_text())
    known = tuple(d["isa"])
    needs = d.get("needs", {})
    return Core(
        name=name,
        title=d["title"],
        arch=d["arch"],
        family=d["family"],
        isa=tuple(i for i in known if cpu_features().issuperset(needs.get(i, ()))),
        known_isa=known,
        metric=d["metric"],
        unicorn_model=d.get("unicorn_model"),
        zig=d["zig"],
        gcc=d["gcc"],
        forbidden=tuple(d.get("forbidden", ())),
        costs=d.get("cost", {}),
        path=path,
    )
