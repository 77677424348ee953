"""Copying a .bin to the drive of an on-board debugger (ST-LINK/V2-1 on Nucleo boards)."""

from __future__ import annotations

import time
from pathlib import Path

from edgebit.board import Board
from edgebit.errors import NoBoardError, ToolchainError, WriteError, WrongBoardError
from edgebit.flash.base import Built, confirm, expected_drive, mounted_volumes, write_through

WRITE_SECONDS = 5.0
_FAILED = "FAIL.TXT"
_NAME = "EDGEBIT.BIN"
_MARKS = ("DETAILS.TXT", "MBED.HTM")  # files every ST-LINK drive shows


class CopyFlasher:
    """Copies firmware.bin to a drive; the debugger programs it and resets the board."""

    name = "copy"

    def can(self, board: Board) -> bool:
        return "copy" in board.flash_methods

    def steps(self, board: Board, built: Built | None, *, volume: str | None = None) -> list[str]:
        image = "the image" if built is None else f"{len(_image(board, built))} bytes"
        plug_in = f"plug the {board.title} in (it is not there now)"
        first, drive = expected_drive(lambda: find_drive(board, volume), volume, plug_in)
        return [
            *first,
            f"copy {image} to {_NAME} on {drive} and flush them",
            f"wait up to {WRITE_SECONDS:g} s for {_FAILED}, by which the debugger would report a failure",
        ]

    def run(
        self,
        board: Board,
        built: Built,
        *,
        volume: str | None = None,
        emulate: str | None = None,
        model_id: str | None = None,
    ) -> str:
        data = _image(board, built)
        drive = find_drive(board, volume)
        try:
            write_through(drive / _NAME, data)
        except OSError as e:
            raise WriteError(f"writing to {drive} failed: {e.strerror or e}; plug the board in again") from e
        deadline = time.monotonic() + WRITE_SECONDS
        while time.monotonic() < deadline:
            why = _failure(drive)
            if why is not None:
                raise WriteError(f"the debugger on {drive} could not program the board: {why}")
            time.sleep(0.05)
        return f"{len(data)} bytes of flash written through {drive}; " + confirm(board, built, model_id)


FLASHER = CopyFlasher()


def _image(board: Board, built: Built) -> bytes:
    try:
        data = built.bin.read_bytes()
    except OSError as e:
        raise ToolchainError(f"cannot read {built.bin}: {e.strerror}; build it first") from e
    if len(data) > board.flash_bytes:
        raise WrongBoardError(
            f"{built.bin.name} has {len(data)} bytes, more than the flash of the {board.title}"
        )
    return data


def _failure(drive: Path) -> str | None:
    try:
        return (drive / _FAILED).read_bytes()[:500].decode("ascii", "replace").strip() or "no reason given"
    except OSError:
        return None


def find_drive(board: Board, volume: str | None) -> Path:
    """The board's drive, by its label (the last part of its mount point), or the one named."""
    label = str(board.flash_methods["copy"]["volume"])
    debuggers = [
        p
        for p in (mounted_volumes() if volume is None else [Path(volume)])
        if any((p / m).is_file() for m in _MARKS)
    ]
    if volume is not None:
        if not debuggers:
            raise NoBoardError(
                f"{volume} is not the drive of an ST-LINK: it has neither of {', '.join(_MARKS)}"
            )
        return debuggers[0]
    right = [p for p in debuggers if p.name.rstrip("0123456789 ").rstrip("_") == label or p.name == label]
    if len(right) == 1:
        return right[0]
    if right:
        names = ", ".join(map(str, right))
        raise NoBoardError(f"more than one {board.title} is connected: {names}; choose with --volume")
    if debuggers:
        names = ", ".join(map(str, debuggers))
        raise WrongBoardError(f"no {board.title} ({label}) is connected, but there is {names}")
    raise NoBoardError(
        f"no {board.title} is connected: plug in its ST-LINK and mount the drive {label} if your system does not "
        "(or name it with --volume); or use --emulate"
    )
