"""What a flashing method is, and which one a board takes. One method per file, found by discovery."""

from __future__ import annotations

import functools
import importlib
import os
import pkgutil
import string
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from edgebit.board import Board
from edgebit.devices.find import connected_ports
from edgebit.devices.open import open_device
from edgebit.errors import LinkError, NoBoardError, UsageError

VOLUMES = "EDGEBIT_VOLUMES"
"""Environment variable: mount points to look at instead of the system's, separated like PATH."""


class Built(Protocol):
    """What of a build is flashed; edgebit.toolchain.build.BuildResult has it. image_id is in hex."""

    @property
    def elf(self) -> Path: ...
    @property
    def bin(self) -> Path: ...
    @property
    def uf2(self) -> Path | None: ...
    @property
    def image_id(self) -> str: ...


class Flasher(Protocol):
    """One way to get an image onto a board. Stateless.

    A module of this package offers one by naming it FLASHER.
    """

    name: str

    def can(self, board: Board) -> bool:
        """Whether the board takes images this way."""
        ...

    def steps(self, board: Board, built: Built | None, *, volume: str | None = None) -> list[str]:
        """What run() would do, as sentences; looks for the board but changes nothing.

        built is None when it is not built yet. A board that is not there yet is a step, not an error.
        """
        ...

    def run(
        self,
        board: Board,
        built: Built,
        *,
        volume: str | None = None,
        emulate: str | None = None,
        model_id: str | None = None,
    ) -> str:
        """Write the image and see that it starts; what was done and seen, in a sentence.

        volume: the board's mounted drive, None to look for it. model_id: the certificate, in hex, of the model
        that must answer afterwards where the board can be asked.
        """
        ...


def expected_drive(find: Callable[[], Path], volume: str | None, plug_in: str) -> tuple[list[str], str]:
    """(steps before writing, the drive's name) for a dry run: the drive `find` finds, or what to do to get one."""
    try:
        return [], str(find())
    except NoBoardError:
        if volume is not None:
            raise
        return [plug_in], "its drive"


@functools.cache
def flashers() -> Mapping[str, Flasher]:
    """All methods by name."""
    import edgebit.flash as package

    found: dict[str, Flasher] = {}
    for info in pkgutil.iter_modules(package.__path__):
        flasher = getattr(importlib.import_module(f"edgebit.flash.{info.name}"), "FLASHER", None)
        if flasher is not None:
            found[flasher.name] = flasher
    return found


def choose_flasher(board: Board, *, emulate: str | None = None, method: str | None = None) -> Flasher:
    """The method for a board: the emulator's when it is emulated, else the one asked for, or its only one."""
    known = flashers()
    if method is not None and method not in known:
        raise UsageError(f"there is no flash method {method!r}; there are: {', '.join(sorted(known))}")
    if emulate is not None or board.core.family == "host":
        if method not in (None, "emulated"):
            raise UsageError(f"--method {method} is for real boards; leave out --emulate")
        return known["emulated"]
    able = [n for n in sorted(known) if n != "emulated" and known[n].can(board)]
    if method is not None:
        if method not in able:
            raise UsageError(
                f"the {board.title} is not flashed by {method!r}; it takes: {', '.join(able) or 'nothing yet'}"
            )
        return known[method]
    if not able:
        raise UsageError(
            f"there is no way to flash the {board.title} from here in this version; copy firmware.elf to it by "
            "hand, or use --emulate"
        )
    if len(able) > 1:
        raise UsageError(f"the {board.title} can be flashed by {', '.join(able)}; choose with --method")
    return known[able[0]]


# Mounted drives


def mounted_volumes() -> list[Path]:
    """Folders where removable drives are mounted."""
    override = os.environ.get(VOLUMES)
    if override is not None:
        places = [Path(p) for p in override.split(os.pathsep) if p]
    elif sys.platform == "win32":
        places = [Path(f"{letter}:\\") for letter in string.ascii_uppercase[2:]]
    elif sys.platform == "darwin":
        places = sorted(Path("/Volumes").glob("*"))
    else:
        places = [
            p
            for pattern in ("media/*", "media/*/*", "run/media/*/*", "mnt/*")
            for p in Path("/").glob(pattern)
        ]
        places += _mounts()
    out: dict[Path, None] = {}
    for p in places:
        try:
            if p.is_dir():
                out[p] = None
        except OSError:  # a drive that has just gone, or is not ready
            continue
    return list(out)


def _mounts() -> list[Path]:
    """Mount points of FAT file systems, which is what boards show."""
    try:
        lines = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return []
    fields = [line.split(" ") for line in lines]
    found = [f[1] for f in fields if len(f) > 2 and f[2] in ("vfat", "msdos")]
    return [Path(f.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")) for f in found]


def is_gone(path: Path) -> bool:
    """Whether a drive's file can no longer be seen."""
    try:
        return not path.exists()
    except OSError:
        return True


def wait_until_gone(path: Path, seconds: float) -> bool:
    """Whether a drive goes away in time."""
    deadline = time.monotonic() + seconds
    while not is_gone(path):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def write_through(path: Path, data: bytes) -> bool:
    """Write a file straight onto a drive and push it out; True when every byte was taken.

    False: all was written, but the drive went away before it could confirm, as boards do that restart at once.
    """
    taken = False
    try:
        with path.open("wb", buffering=0) as f:
            view = memoryview(data)
            while view:
                view = view[f.write(view) :]
            taken = True
            os.fsync(f.fileno())
    except OSError:
        if not taken:
            raise
        return False
    return True


def confirm(board: Board, built: Built, model_id: str | None, seconds: float = 5.0) -> str:
    """Ask a freshly flashed board who it is, where its port shows itself; what came of it, as a clause."""
    if board.uart is None or not connected_ports(board):
        return "it was not asked who it is: connect its UART and run edgebit verify --port PORT"
    deadline = time.monotonic() + seconds
    while True:
        try:
            with open_device(board, built, model_id=model_id) as device:
                hello = device.link.hello()
                return f"it answers on {device.title} as {hello.model_name!r}, image {hello.image_id}"
        except (LinkError, NoBoardError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
