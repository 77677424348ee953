"""Teensy boards through PJRC's teensy_loader_cli, which speaks to their HalfKay boot loader over USB."""

from __future__ import annotations

from pathlib import Path

from edgebit.board import Board
from edgebit.devices.bootrom import refusal
from edgebit.errors import EdgebitError, PortError, WrongBoardError
from edgebit.flash.base import NOTHING, Built, Chosen, Need, ask, confirm, expected, read_image
from edgebit.flash.external import call, hex_file, program, the_one

_NEED = Need(
    "teensy_loader_cli",
    "flashing Teensy boards",
    "install teensy-loader-cli (Debian, Ubuntu: apt; or https://www.pjrc.com/teensy/loader_cli.html)",
)
_SECONDS = 60.0
_UDEV = "https://www.pjrc.com/teensy/00-teensy.rules"


class TeensyLoaderFlasher:
    """Sends the image as Intel HEX; the boot loader writes it and starts it."""

    name = "teensy_loader"
    needs = (_NEED,)

    def can(self, board: Board) -> bool:
        return "teensy_loader" in board.flash_methods

    def steps(self, board: Board, built: Built | None, chosen: Chosen = NOTHING) -> list[str]:
        first, where = expected(lambda: _find(board), None, _button(board), "the board")
        return [
            *first,
            " ".join([*_command(board, Path("firmware.hex")), f"(on {where})"]),
            *ask(board, chosen),
        ]

    def run(
        self, board: Board, built: Built, chosen: Chosen = NOTHING, *, model_id: str | None = None
    ) -> str:
        image = read_image(board, built)
        problem = refusal(board, image)
        if problem:
            raise WrongBoardError(f"the {board.title} would not start {built.bin.name}: {problem}")
        found = program(_NEED)
        device = _find(board)
        with hex_file(built) as path:
            call([found, *_command(board, path)[1:]], _SECONDS, _refused)
        return f"{len(image)} bytes of flash written to {device} by {_NEED.name}; " + confirm(
            board, built, model_id, chosen
        )


FLASHER = TeensyLoaderFlasher()


def _command(board: Board, path: Path) -> list[str]:
    return [_NEED.name, f"--mcu={board.flash_methods['teensy_loader']['mcu']}", "-v", str(path)]


def _button(board: Board) -> str:
    return f"press the button on the {board.title}, which starts its boot loader (it is not there now)"


def _find(board: Board) -> object:
    vid, pid = board.flash_methods["teensy_loader"]["bootloader"]
    return the_one(
        [(vid, pid)],
        board.title,
        f"no {board.title} waits for an image ({vid:04x}:{pid:04x}): press its button, which starts the boot loader; "
        "or use --emulate",
    )


def _refused(said: str) -> EdgebitError | None:
    if "ermission" in said or "Unable to open" in said:
        return PortError(
            f"not permitted to open the Teensy: put {_UDEV} into /etc/udev/rules.d/, run `sudo udevadm control --reload`, "
            "and plug the board in again"
        )
    return None
