"""Copying a .bin to the drive of an on-board debugger: ST-LINK on Nucleo and Discovery boards, DAPLink on the micro:bit.

The drive says which board it belongs to: MBED.HTM links to a page with the board's four-digit number in its address
(code=0777...), and DAPLink's DETAILS.TXT begins its "Unique ID" with it. Where neither is there, the drive's label decides.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from edgebit.board import Board
from edgebit.errors import NoBoardError, WriteError, WrongBoardError
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
    read_image,
    write_through,
)

WRITE_SECONDS = 5.0
_FAILED = "FAIL.TXT"
_NAME = "EDGEBIT.BIN"
_MARKS = ("DETAILS.TXT", "MBED.HTM")  # files every such drive shows
_CODES = (re.compile(r"[?&](?:code|auth)=([0-9A-Fa-f]{4})"), re.compile(r"Unique ID: *([0-9A-Fa-f]{4})"))


class MsdFlasher:
    """Copies firmware.bin to a drive; the debugger programs it and resets the board."""

    name = "msd"
    needs: tuple[Need, ...] = ()

    def can(self, board: Board) -> bool:
        return "msd" in board.flash_methods

    def steps(self, board: Board, built: Built | None, chosen: Chosen = NOTHING) -> list[str]:
        image = "the image" if built is None else f"{len(read_image(board, built))} bytes"
        plug_in = f"plug the {board.title} in (it is not there now)"
        first, drive = expected(lambda: find_drive(board, chosen.volume), chosen.volume, plug_in, "its drive")
        return [
            *first,
            f"check that {drive} is a {board.title} by its {' or '.join(_MARKS)}, else by its label",
            f"copy {image} to {_NAME} on {drive} and flush them",
            f"wait up to {WRITE_SECONDS:g} s for {_FAILED}, by which the debugger would report a failure",
            *ask(board, chosen),
        ]

    def run(
        self, board: Board, built: Built, chosen: Chosen = NOTHING, *, model_id: str | None = None
    ) -> str:
        data = read_image(board, built)
        drive = find_drive(board, chosen.volume)
        # Of an earlier attempt. The debugger may not let it go: then its text counts as this attempt's.
        with contextlib.suppress(OSError):
            (drive / _FAILED).unlink(missing_ok=True)
        check_room(drive / _NAME, data)
        try:
            write_through(drive / _NAME, data)
        except OSError as e:
            raise not_writable(drive, e, "plug the board in again") from e
        deadline = time.monotonic() + WRITE_SECONDS
        while time.monotonic() < deadline:
            why = _failure(drive)
            if why is not None:
                raise WriteError(f"the debugger on {drive} could not program the board: {why}")
            time.sleep(0.05)
        return f"{len(data)} bytes of flash written through {drive}; " + confirm(
            board, built, model_id, chosen
        )


FLASHER = MsdFlasher()


class Drive(NamedTuple):
    """A debugger's drive: where it is mounted, the board number it tells (four digits, upper case; None if it does not)."""

    path: Path
    number: str | None

    def __str__(self) -> str:
        return f"{self.path} (board {self.number})" if self.number else str(self.path)


def debugger_drives(places: Sequence[Path]) -> list[Drive]:
    """Those of the mounted drives that belong to an ST-LINK or DAPLink."""
    return [Drive(p, _number(p)) for p in places if any((p / m).is_file() for m in _MARKS)]


def _number(drive: Path) -> str | None:
    for mark in _MARKS:
        try:
            text = (drive / mark).read_bytes()[:4096].decode("ascii", "replace")
        except OSError:
            continue
        for pattern in _CODES:
            found = pattern.search(text)
            if found:
                return found.group(1).upper()
    return None


def _failure(drive: Path) -> str | None:
    try:
        return (drive / _FAILED).read_bytes()[:500].decode("ascii", "replace").strip() or "no reason given"
    except OSError:
        return None


def _is_this(board: Board, drive: Drive) -> bool:
    options = board.flash_methods["msd"]
    if drive.number is not None:
        return drive.number in options.get("ids", ())
    labels = options["volume"] if isinstance(options["volume"], list) else [options["volume"]]
    label = re.sub(
        r"[ _]?[0-9]$", "", drive.path.name
    )  # a second drive of the same label is mounted as LABEL1 or LABEL_1
    return drive.path.name in labels or label in labels


def find_drive(board: Board, volume: str | None) -> Path:
    """The board's drive, or the one named when it can be the board's."""
    drives = debugger_drives(mounted_volumes() if volume is None else [Path(volume)])
    if volume is not None:
        if not drives:
            raise NoBoardError(
                f"{volume} is not the drive of an ST-LINK or DAPLink: it has neither of {', '.join(_MARKS)}"
            )
        if drives[0].number is not None and not _is_this(board, drives[0]):
            raise WrongBoardError(f"{drives[0]} does not belong to a {board.title}")
        return drives[0].path
    right = [d for d in drives if _is_this(board, d)]
    names = [str(d) for d in (right or drives)]
    if len(right) == 1:
        return right[0].path
    if right:
        raise NoBoardError(
            f"more than one {board.title} is connected: {', '.join(names)}; choose with --volume",
            details={"candidates": names},
        )
    label = board.flash_methods["msd"]["volume"]
    label = label if isinstance(label, str) else " or ".join(label)
    if drives:
        raise WrongBoardError(f"no {board.title} ({label}) is connected, but there is {', '.join(names)}")
    raise NoBoardError(
        f"no {board.title} is connected: plug in its debugger's USB and mount the drive {label} if your system does not "
        "(or name it with --volume); or use --emulate"
    )
