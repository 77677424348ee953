"""What a flashing method is, and which one a board takes. One method per file, found by discovery."""

from __future__ import annotations

import errno
import functools
import importlib
import os
import pkgutil
import shutil
import string
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgebit.board import Board
from edgebit.devices.find import connected_ports
from edgebit.devices.open import open_device
from edgebit.errors import (
    EdgebitError,
    LinkError,
    NoBoardError,
    PortError,
    ToolchainError,
    UsageError,
    WriteError,
    WrongBoardError,
)

_CHUNK = 4096
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


@dataclass(frozen=True)
class Chosen:
    """What the user chose; None: look for it, and refuse to guess between several.

    volume: a mounted drive. port: the serial port of the link (or of the boot loader). probe: a debug probe's serial number.
    host: a Linux board, [user@]name. emulate: an emulator's name, "" for the board's default. service: also install a
    systemd unit.
    """

    volume: str | None = None
    port: str | None = None
    probe: str | None = None
    host: str | None = None
    emulate: str | None = None
    service: bool = False


NOTHING = Chosen()


@dataclass(frozen=True)
class Need:
    """A program or Python package that a method uses, for `edgebit doctor`."""

    name: str
    purpose: str
    fix: str
    package: bool = False


class Flasher(Protocol):
    """One way to get an image onto a board. Stateless.

    A module of this package offers one by naming it FLASHER.
    """

    name: str
    needs: tuple[Need, ...]

    def can(self, board: Board) -> bool:
        """Whether the board takes images this way."""
        ...

    def steps(self, board: Board, built: Built | None, chosen: Chosen = NOTHING) -> list[str]:
        """What run() would do, as sentences; looks for the board but changes nothing.

        built is None when it is not built yet. A board that is not there yet is a step, not an error.
        """
        ...

    def run(
        self, board: Board, built: Built, chosen: Chosen = NOTHING, *, model_id: str | None = None
    ) -> str:
        """Write the image and see that it starts; what was done and seen, in a sentence.

        model_id: the certificate, in hex, of the model that must answer afterwards where the board can be asked.
        """
        ...


def expected(
    find: Callable[[], object], named: str | None, plug_in: str, else_: str
) -> tuple[list[str], str]:
    """(steps before writing, the place's name) for a dry run: the one `find` finds, or what to do to get one."""
    try:
        return [], str(find())
    except NoBoardError as e:
        if named is not None or e.details.get("candidates"):
            raise
        return [plug_in], else_


def ask(board: Board, chosen: Chosen, *, own_usb: bool = False) -> list[str]:
    """The last step of a dry run: whether the board can be asked who it is. own_usb: as in `confirm`."""
    if not own_usb and chosen.port is None and chosen.host is None and not connected_ports(board):
        return [
            f"not ask the board who it is, since no serial port of it is known (link: {board.link}; --port names it)"
        ]
    return ["wait for the board's link, and compare the model and the image it says it runs with this build"]


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


_CHOICES = {"volume": ("uf2", "msd"), "probe": ("pyocd",), "host": ("ssh",)}
"""Methods for which a choice makes sense."""


def choose_flasher(
    board: Board, *, emulate: str | None = None, method: str | None = None, chosen: Chosen = NOTHING
) -> Flasher:
    """The method for a board: the emulator's when it is emulated, else the one asked for, else the first of its board.toml
    that goes with what was chosen."""
    known = flashers()
    if method is not None and method not in known:
        raise UsageError(f"there is no flash method {method!r}; there are: {', '.join(sorted(known))}")
    if emulate is not None or board.core.family == "host":
        if method not in (None, "emulated"):
            raise UsageError(f"--method {method} is for real boards; leave out --emulate")
        return known["emulated"]
    able = [n for n in board.flash_methods if n in known and n != "emulated" and known[n].can(board)]
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
    for option, methods in _CHOICES.items():
        if getattr(chosen, option) is not None:
            fitting = [n for n in able if n in methods]
            if not fitting:
                raise UsageError(
                    f"--{option} is not for the {board.title}, which is flashed by {' or '.join(able)}"
                )
            return known[fitting[0]]
    return known[able[0]]


def read_image(board: Board, built: Built) -> bytes:
    """firmware.bin, checked against the board's flash."""
    try:
        data = built.bin.read_bytes()
    except OSError as e:
        raise ToolchainError(f"cannot read {built.bin}: {e.strerror}; build it first") from e
    room = sum(m.length for m in board.memories if m.kind in ("flash", "boot"))
    if board.memories and len(data) > room:
        raise WrongBoardError(
            f"{built.bin.name} has {len(data)} bytes, more than the flash of the {board.title}"
        )
    return data


def flash_start(board: Board) -> int:
    """The address that the first byte of firmware.bin is for."""
    return min(m.origin for m in board.memories if m.kind in ("flash", "boot"))


def _port_to_ask(board: Board, chosen: Chosen) -> str | None:
    """The port at which a board may say what it runs, before it is written: the one chosen, or the only one there is."""
    if chosen.port is not None or board.uart is None:
        return chosen.port
    ports = connected_ports(board)
    return ports[0] if len(ports) == 1 else None


def ask_before(board: Board, chosen: Chosen) -> list[str]:
    """The first step of a dry run: what `answers_already` does."""
    port = _port_to_ask(board, chosen)
    return [] if port is None else [f"ask {port} which image runs; when it is this one, nothing is written"]


def answers_already(board: Board, built: Built, chosen: Chosen, model_id: str | None) -> str | None:
    """What a board that already runs this very image says, as a sentence; None when it cannot be asked or runs another."""
    port = _port_to_ask(board, chosen)
    if port is None:
        return None
    try:
        with open_device(board, built, port=port, model_id=model_id) as device:
            device.link.timeout, device.link.retries = 0.3, 0
            hello = device.link.hello()
    except (LinkError, WrongBoardError, NoBoardError, PortError):
        return None
    return f"{port} already runs this image ({hello.model_name!r}, image {hello.image_id})"


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


def check_room(path: Path, data: bytes) -> None:
    """WriteError when a drive says that it has no room for a file. One that cannot say is tried."""
    try:
        free = shutil.disk_usage(path.parent).free + (path.stat().st_size if path.is_file() else 0)
    except OSError:
        return
    if 0 < free < len(data):
        raise WriteError(
            f"the drive {path.parent} is full: {len(data)} bytes do not fit into the {free} that are free; remove other files "
            "from it"
        )


def write_through(path: Path, data: bytes) -> bool:
    """Write a file straight onto a drive and push it out; True when every byte was taken.

    False: all was written, but the drive went away before it could confirm, as boards do that restart at once.
    """
    taken = False
    try:
        with path.open("wb", buffering=0) as f:
            view = memoryview(data)
            while view:
                view = view[f.write(view[:_CHUNK]) :]  # in pieces, so that a drive that goes is noticed early
            taken = True
            os.fsync(f.fileno())
    except OSError:
        if not taken:
            raise
        return False
    return True


def not_writable(place: Path, error: OSError, again: str) -> EdgebitError:
    """Why a drive could not be written, and how to get it to take the image."""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return PortError(
            f"not permitted to write to {place}: {error.strerror}; mount it for your user (unmount it, then run "
            f"`udisksctl mount -b /dev/disk/by-label/{place.name}`), or run this with the rights to write there"
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return WriteError(
            f"writing to {place} failed: the drive is full ({error.strerror}); remove other files from it, or {again}"
        )
    return WriteError(f"writing to {place} failed: {error.strerror or error}; {again}")


def confirm(
    board: Board,
    built: Built,
    model_id: str | None,
    chosen: Chosen = NOTHING,
    seconds: float = 5.0,
    *,
    own_usb: bool = False,
) -> str:
    """Ask a freshly flashed board who it is, where its port is known; what came of it, as a clause.

    own_usb: the board is plugged in by its own USB, so that its serial port will come back, if perhaps not at once.
    """
    if not own_usb and chosen.port is None and (board.uart is None or not connected_ports(board)):
        return "it was not asked who it is: connect its UART and run edgebit verify --port PORT"
    deadline = time.monotonic() + seconds
    while True:
        try:
            with open_device(board, built, port=chosen.port, model_id=model_id) as device:
                device.link.timeout, device.link.retries = 1.0, 0
                hello = device.link.hello()
                return f"it answers on {device.title} as {hello.model_name!r}, image {hello.image_id}"
        except NoBoardError as e:
            if e.details.get("candidates") or time.monotonic() > deadline:
                raise
        except PortError as e:  # not there yet, or not yet given to its users
            if not own_usb or time.monotonic() > deadline:
                raise PortError(f"the image was written, but {e}") from e
        except LinkError as e:
            if time.monotonic() > deadline:
                raise LinkError(f"the image was written, but {e}") from e
        time.sleep(0.2)
