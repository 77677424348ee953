"""Flashing an emulated board: boot exactly the file that would be written, and ask it who it is."""

from __future__ import annotations

from edgebit.board import Board
from edgebit.devices.open import emulators, open_device
from edgebit.errors import WriteError
from edgebit.flash.base import NOTHING, Built, Chosen, Need
from edgebit.flash.uf2 import checked_image


class EmulatedFlasher:
    """Boots the image in the board's emulator, or runs it when the board is this machine."""

    name = "emulated"
    needs: tuple[Need, ...] = ()

    def can(self, board: Board) -> bool:
        return bool(emulators(board)) or board.core.family == "host"

    def steps(self, board: Board, built: Built | None, chosen: Chosen = NOTHING) -> list[str]:
        ask = "ask it for its model and image" + ("" if built is None else f" ({built.image_id})")
        if board.core.family == "host":
            return ["run the program on this machine", ask]
        return [f"boot the image on the emulated {board.title}", ask]

    def run(
        self, board: Board, built: Built, chosen: Chosen = NOTHING, *, model_id: str | None = None
    ) -> str:
        host = board.core.family == "host"
        if not host and built.uf2 is not None:
            _, image = checked_image(board, built)
            flat = built.bin.read_bytes()
            if image[: len(flat)] != flat:
                raise WriteError(
                    f"{built.uf2.name} and {built.bin.name} hold different images; build them again"
                )
        name = None if host else (chosen.emulate or "")
        with open_device(board, built, emulate=name, model_id=model_id) as device:
            hello = device.link.hello()
        return f"{device.title} started and answers as {hello.model_name!r}, image {hello.image_id}"


FLASHER = EmulatedFlasher()
