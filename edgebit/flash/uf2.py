"""UF2 over the drive that RP2040 and RP2350 show when they start with BOOTSEL held.

A board that runs our firmware, or another program that does the same, is asked over its USB serial port to start so.
"""

from __future__ import annotations

import time
from pathlib import Path

from edgebit.board import Board
from edgebit.devices.bootrom import refusal
from edgebit.devices.find import own_ports, usb_devices
from edgebit.devices.serial import touch
from edgebit.errors import NoBoardError, ToolchainError, WriteError, WrongBoardError
from edgebit.flash.base import (
    NOTHING,
    Built,
    Chosen,
    Need,
    ask,
    check_room,
    confirm,
    expected,
    mounted_volumes,
    not_writable,
    wait_until_gone,
    write_through,
)
from edgebit.toolchain.uf2 import read_uf2

INFO = "INFO_UF2.TXT"
RESTART_SECONDS = 10.0
DRIVE_SECONDS = 15.0
_NAME = "EDGEBIT.UF2"


class Uf2Flasher:
    """Copies firmware.uf2 to the board's drive; the boot ROM writes it to flash and restarts."""

    name = "uf2"
    needs: tuple[Need, ...] = ()

    def can(self, board: Board) -> bool:
        return "uf2" in board.flash_methods

    def steps(self, board: Board, built: Built | None, chosen: Chosen = NOTHING) -> list[str]:
        image = "the image" if built is None else f"{len(checked_image(board, built)[0])} bytes"
        plug_in = f"plug the {board.title} in with BOOTSEL held (it is not there now)"
        port = _own_port(board, chosen)
        ask_it = (
            plug_in if port is None else f"close {port} at 1200 baud, which restarts the board into BOOTSEL"
        )
        first, drive = expected(lambda: find_drive(board, chosen.volume), chosen.volume, ask_it, "its drive")
        own_usb = board.usb is not None and (bool(first) or port is not None or _waits(board))
        return [
            *first,
            f"check that {drive} is a {board.title} by its {INFO}",
            f"copy {image} to {_NAME} on {drive} and flush them",
            f"wait up to {RESTART_SECONDS:g} s for the board to restart, which takes the drive away",
            *ask(board, chosen, own_usb=own_usb),
        ]

    def run(
        self, board: Board, built: Built, chosen: Chosen = NOTHING, *, model_id: str | None = None
    ) -> str:
        data, image = checked_image(board, built)
        by_usb = _waits(board) or _own_port(board, chosen) is not None
        drive = _boot_loader(board, chosen)
        again = "plug the board in again with BOOTSEL held, and repeat"
        check_room(drive / _NAME, data)
        try:
            whole = write_through(drive / _NAME, data)
        except OSError as e:
            raise not_writable(drive, e, again) from e
        if not wait_until_gone(drive / INFO, RESTART_SECONDS):
            raise WriteError(
                f"{drive} is still there {RESTART_SECONDS:g} s after {len(data)} bytes were written: the boot ROM did not "
                f"take the image; {again}"
            )
        # The boot ROM restarts by itself as soon as it has every block, often before it confirms the last of them.
        seen = (
            ""
            if whole
            else " (it went before it confirmed the last of them, as it does when it restarts at once)"
        )
        return (
            f"{len(image)} bytes of flash written through {drive}{seen}; the {board.title} restarted; "
            + confirm(board, built, model_id, chosen, own_usb=by_usb and board.usb is not None)
        )


FLASHER = Uf2Flasher()


def checked_image(board: Board, built: Built) -> tuple[bytes, bytes]:
    """(the UF2 file, the flash image in it); raises when the board would not start it."""
    if built.uf2 is None:
        raise WrongBoardError(f"this build has no UF2 file; it was not made for a {board.title}")
    try:
        data = built.uf2.read_bytes()
    except OSError as e:
        raise ToolchainError(f"cannot read {built.uf2}: {e.strerror}; build it first") from e
    try:
        origin, image = read_uf2(data, int(board.flash_methods["uf2"]["family"]))
    except ToolchainError as e:
        raise WrongBoardError(f"{built.uf2.name} is not for a {board.title}: {e}") from e
    flash = [m for m in board.memories if m.kind in ("flash", "boot")]
    start = min(m.origin for m in flash)
    if origin != start or len(image) > sum(m.length for m in flash):
        raise WrongBoardError(
            f"{built.uf2.name} holds {len(image)} bytes for {origin:#x}; the flash of the {board.title} starts at "
            f"{start:#x}"
        )
    problem = refusal(board, image)
    if problem:
        raise WrongBoardError(f"the {board.title} would not start {built.uf2.name}: {problem}")
    return data, image


def board_id(drive: Path) -> str | None:
    """The Board-ID in a drive's INFO_UF2.TXT; None when it is not a UF2 drive."""
    try:
        text = (drive / INFO).read_bytes()[:4096].decode("ascii", "replace")
    except OSError:
        return None
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip().lower() == "board-id":
            return value.strip()
    return ""


def _waits(board: Board) -> bool:
    """Whether a board of this kind shows itself on USB as one that waits for an image."""
    return any((d.vid, d.pid) in board.bootloader_ids for d in usb_devices())


def _own_port(board: Board, chosen: Chosen) -> str | None:
    """The USB serial port of the board that runs a program; None when there is none, or it is not the one chosen."""
    ports = own_ports(board)
    if chosen.port is not None:
        return chosen.port if chosen.port in ports else None
    if len(ports) > 1:
        raise NoBoardError(
            f"more than one {board.title} is connected: {', '.join(ports)}; choose with --port",
            details={"candidates": ports},
        )
    return ports[0] if ports else None


def _boot_loader(board: Board, chosen: Chosen) -> Path:
    """The board's drive. A board that runs is asked for it first."""
    try:
        return find_drive(board, chosen.volume)
    except NoBoardError as e:
        port = None if e.details.get("candidates") or _waits(board) else _own_port(board, chosen)
        if port is None:
            raise
    touch(port)
    deadline = time.monotonic() + DRIVE_SECONDS
    while True:
        try:
            return find_drive(board, chosen.volume)
        except NoBoardError as e:
            if e.details.get("candidates") or time.monotonic() > deadline:
                raise NoBoardError(f"{port} was asked to restart into BOOTSEL, but {e}") from e
        time.sleep(0.2)


def find_drive(board: Board, volume: str | None) -> Path:
    """The board's drive, among those mounted or the one named."""
    wanted = str(board.flash_methods["uf2"]["board_id"])
    places = mounted_volumes() if volume is None else [Path(volume)]
    found = {p: i for p in places if (i := board_id(p)) is not None}
    right = [p for p, i in found.items() if i == wanted]
    if len(right) == 1:
        return right[0]
    if right:
        names = ", ".join(map(str, right))
        raise NoBoardError(
            f"more than one {board.title} waits for an image: {names}; choose with --volume",
            details={"candidates": [str(p) for p in right]},
        )
    if found:
        names = ", ".join(f"{p} ({i or 'no Board-ID'})" for p, i in found.items())
        raise WrongBoardError(f"no {board.title} ({wanted}) waits for an image, but there is {names}")
    if volume is not None:
        raise NoBoardError(f"{volume} is not a drive of a board in BOOTSEL mode: it has no {INFO}")
    if _waits(board):
        raise NoBoardError(
            f"a {board.title} waits for an image, but its drive {wanted} is not mounted: run "
            f"`udisksctl mount -b /dev/disk/by-label/{wanted}`, or mount it and name it with --volume"
        )
    raise NoBoardError(
        f"no {board.title} waits for an image: hold its BOOTSEL button while plugging it in, and mount the drive "
        f"{wanted} if your system does not (or name it with --volume); or use --emulate"
    )
