"""What methods that call another project's program have in common."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edgebit.devices.find import UsbDevice, usb_devices
from edgebit.errors import LinkError, NoBoardError, ToolchainError, WriteError
from edgebit.flash.base import Built, Need
from edgebit.toolchain.base import run


def program(need: Need) -> str:
    """Where a program is; ToolchainError that says how to get it."""
    found = shutil.which(need.name)
    if found is None:
        raise ToolchainError(f"{need.name} is not installed: {need.fix}")
    return found


def the_one(ids: Sequence[tuple[int, int]], what: str, none: str) -> UsbDevice:
    """The only USB device with one of these ids; NoBoardError when there is none (saying `none`) or more than one."""
    found = [d for d in usb_devices() if (d.vid, d.pid) in ids]
    if len(found) == 1:
        return found[0]
    if found:
        names = [str(d) for d in found]
        raise NoBoardError(
            f"more than one {what} is connected: {', '.join(names)}; unplug all but one",
            details={"candidates": names},
        )
    raise NoBoardError(none)


def call(command: Sequence[str], seconds: float, refused: Callable[[str], Exception | None]) -> str:
    """Run a flashing program; what it said. `refused` turns its complaint into an error, None for the usual WriteError."""
    try:
        done = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
        )
    except OSError as e:
        raise ToolchainError(f"cannot run {command[0]}: {e.strerror or e}") from e
    except subprocess.TimeoutExpired as e:
        raise LinkError(
            f"{Path(command[0]).name} did not end within {seconds:g} s; unplug the board and try again"
        ) from e
    said = done.stdout.decode("utf-8", "replace").strip()
    if done.returncode:
        words = " / ".join(said.splitlines()[-4:]) or "it said nothing"
        raise refused(said) or WriteError(f"{Path(command[0]).name} failed with {done.returncode}: {words}")
    return said


@contextmanager
def hex_file(built: Built) -> Iterator[Path]:
    """The image as an Intel HEX file, which carries its addresses; gone afterwards."""
    if not built.elf.is_file():
        raise ToolchainError(f"there is no {built.elf}; build it first")
    with tempfile.TemporaryDirectory(prefix="edgebit-") as folder:
        out = Path(folder) / "firmware.hex"
        elf = built.elf.resolve()
        run(
            [sys.executable, "-m", "ziglang", "objcopy", "-O", "hex", str(elf), str(out)],
            out.parent,
            {},
            what="objcopy",
        )
        yield out
