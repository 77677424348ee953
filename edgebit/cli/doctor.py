"""edgebit doctor."""

from __future__ import annotations

import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version

from edgebit.cli._output import JsonFlag, Output
from edgebit.devices.rp2040js import find_rp2040js
from edgebit.errors import ToolchainError, WriteError
from edgebit.flash.base import Need, flashers
from edgebit.resources import cache_dir, data_dir

_PLATFORMIO = Need("platformio", "--with platformio", "pip install 'edgebit[platformio]'", package=True)
_SERVE = Need("uvicorn", "edgebit serve", "pip install 'edgebit[serve]'", package=True)


@dataclass(frozen=True)
class Check:
    """One thing looked at. `needed` says whether EdgeBit's default path needs it."""

    name: str
    found: str | None
    needed: bool
    purpose: str
    fix: str


_PACKAGES = {
    "numpy": "the reference",
    "onnx": "reading models",
    "onnxruntime": "the oracle imported models are held against",
    "ziglang": "the default compiler for every board",
    "unicorn": "emulated boards",
    "capstone": "instruction decoding, cycle models, stack depth",
    "pyelftools": "reading images",
    "pyserial": "serial links",
    "cobs": "link framing",
}
_TOOLS = {
    "arm-none-eabi-gcc": (
        "GCC for Cortex-M (--toolchain gcc)",
        "install gcc-arm-none-eabi (Debian, Ubuntu: apt)",
    ),
    "aarch64-linux-gnu-gcc": ("GCC for Raspberry Pi (--toolchain gcc)", "install gcc-aarch64-linux-gnu"),
    "qemu-system-arm": ("--emulate=qemu on mps2 boards", "install qemu-system-arm"),
    "qemu-arm": ("--emulate=qemu on rpi2", "install qemu-user"),
    "qemu-aarch64": ("--emulate=qemu on rpi5", "install qemu-user"),
}


def checks() -> list[Check]:
    """Everything EdgeBit can use on this machine, found or not."""
    out = [
        Check(
            "python",
            platform.python_version() if sys.version_info >= (3, 11) else None,
            True,
            "running EdgeBit",
            "install Python 3.11 or newer",
        )
    ]
    for name, purpose in _PACKAGES.items():
        try:
            found: str | None = version(name)
        except PackageNotFoundError:
            found = None
        out.append(Check(name, found, True, purpose, f"pip install {name}"))
    for name, (purpose, fix) in _TOOLS.items():
        out.append(Check(name, shutil.which(name), False, purpose, fix))
    out.append(_rp2040js())
    for need in dict.fromkeys([*(n for f in flashers().values() for n in f.needs), _PLATFORMIO, _SERVE]):
        out.append(Check(need.name, _found(need), False, need.purpose, need.fix))
    for folder in ("runtime_c", "boards", "exporters"):
        path = data_dir(folder)
        there = str(path) if path.is_dir() and any(path.iterdir()) else None
        out.append(Check(folder, there, True, "EdgeBit's own data", "reinstall edgebit"))
    try:
        out.append(Check("cache", str(cache_dir()), True, "compiler caches", ""))
    except WriteError as e:
        out.append(Check("cache", None, True, "compiler caches", str(e)))
    return out


def _rp2040js() -> Check:
    purpose = "--emulate=rp2040js on Picos, USB included"
    try:
        return Check("rp2040js", str(find_rp2040js()[1]), False, purpose, "")
    except (ToolchainError, WriteError) as e:
        return Check("rp2040js", None, False, purpose, str(e).partition("; or use")[0])


def _found(need: Need) -> str | None:
    if not need.package:
        return shutil.which(need.name)
    try:
        return version(need.name)
    except PackageNotFoundError:
        return None


def command(json: JsonFlag = False) -> None:
    """Say which tools are there, which are missing, and how to get them.

    Exits 5 when something the default path needs is missing.
    """
    output = Output(json)
    found = checks()
    output.table(
        "what this machine has",
        ["", "what", "found", "for", "to get it"],
        [
            [
                "ok" if c.found else "MISSING" if c.needed else "-",
                c.name,
                c.found or "no",
                c.purpose,
                "" if c.found else c.fix,
            ]
            for c in found
        ],
    )
    missing = [c for c in found if c.needed and not c.found]
    data = {"ok": not missing, "checks": [asdict(c) for c in found]}
    if missing:
        text = "; ".join(f"{c.name}: {c.fix}" for c in missing)
        raise ToolchainError(f"missing: {text}", details=data)
    output.say("everything the default path needs is here")
    output.result(data)
