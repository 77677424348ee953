"""Arduino boards with a SAM-BA boot loader through bossac.

A sketch of Arduino's, or our own firmware once it has USB, restarts into the boot loader when its serial port is opened at
1200 baud; else the reset button pressed twice does it.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from edgebit.board import Board
from edgebit.devices.serial import SerialPort, explain, list_serial_ports, touch
from edgebit.errors import EdgebitError, NoBoardError, ToolchainError
from edgebit.flash.base import NOTHING, Built, Chosen, Need, ask, confirm, expected, read_image
from edgebit.flash.external import call, program

_NEED = Need(
    "bossac",
    "flashing Arduino Nano 33 BLE",
    "install Arduino's own bossac 1.9.1-arduino2, which knows the nRF52840 (it comes with the Arduino IDE's package "
    "arduino:mbed_nano; other builds of bossac know SAM chips only), and put it on PATH",
)
_SECONDS = 120.0
RESTART_SECONDS = 10.0


class BossacFlasher:
    """Writes firmware.bin behind the boot loader, whose address bossac adds, and resets the board."""

    name = "bossac"
    needs = (_NEED,)

    def can(self, board: Board) -> bool:
        return "bossac" in board.flash_methods

    def steps(self, board: Board, built: Built | None, chosen: Chosen = NOTHING) -> list[str]:
        first, port = expected(
            lambda: _find(board, chosen).device,
            None,
            f"press reset twice on the {board.title} (it is not there now)",
            "its port",
        )
        application = board.flash_methods["bossac"]["application"]
        if any((p.vid, p.pid) == tuple(application) for p in list_serial_ports()):
            first.append(f"open {port} at 1200 baud, which restarts the board into its boot loader")
        return [*first, " ".join(_command("bossac", port, Path("firmware.bin"))), *ask(board, chosen)]

    def run(
        self, board: Board, built: Built, chosen: Chosen = NOTHING, *, model_id: str | None = None
    ) -> str:
        image = read_image(board, built)
        found = program(_NEED)
        found_board = _find(board, chosen)
        if chosen.port == found_board.device:  # not that of the link
            chosen = replace(chosen, port=None)
        port = _bootloader(board, found_board)
        call(_command(found, port, built.bin), _SECONDS, _refused)
        return f"{len(image)} bytes of flash written through {port} by bossac; " + confirm(
            board, built, model_id, chosen
        )


FLASHER = BossacFlasher()


def _command(tool: str, port: str, image: Path) -> list[str]:
    # -U: native USB; -i: say what is found; -e: erase; -w: write; -R: reset into the image
    return [tool, f"--port={port.removeprefix('/dev/')}", "-U", "-i", "-e", "-w", str(image), "-R"]


def _find(board: Board, chosen: Chosen) -> SerialPort:
    """The only board, or the one of several whose own port was chosen: in its boot loader, or running something that can go
    there. A chosen port that is none of theirs is that of the link."""
    options = board.flash_methods["bossac"]
    ids = {tuple(options["bootloader"]), tuple(options["application"])}
    found = [p for p in list_serial_ports() if (p.vid, p.pid) in ids]
    named = [p for p in found if p.device == chosen.port]
    if len(named or found) == 1:
        return (named or found)[0]
    if found:
        names = [p.device for p in found]
        raise NoBoardError(
            f"more than one {board.title} is connected: {', '.join(names)}; choose with --port",
            details={"candidates": names},
        )
    raise NoBoardError(
        f"no {board.title} is connected: press its reset button twice, so that its light pulses; or use --emulate"
    )


def _bootloader(board: Board, port: SerialPort) -> str:
    """The port of the boot loader, after asking a running sketch to go there."""
    wanted = tuple(board.flash_methods["bossac"]["bootloader"])
    if (port.vid, port.pid) == wanted:
        return port.device
    touch(port.device)
    deadline = time.monotonic() + RESTART_SECONDS
    while time.monotonic() < deadline:
        there = [
            p
            for p in list_serial_ports()
            if (p.vid, p.pid) == wanted and p.serial_number == port.serial_number
        ]
        if there:
            return there[0].device
        time.sleep(0.2)
    raise NoBoardError(
        f"the {board.title} on {port.device} did not start its boot loader within {RESTART_SECONDS:g} s: press its reset "
        "button twice"
    )


def _refused(said: str) -> EdgebitError | None:
    if "unsupported" in said.lower():
        return ToolchainError(f"this bossac does not know the board's chip: {_NEED.fix}")
    if "ermission denied" in said:
        return explain("the board's port", PermissionError(13, "Permission denied"))
    return None
