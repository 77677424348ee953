"""What the boot ROMs of the RP2040 and RP2350 demand of a flash image before they start it."""

from __future__ import annotations

import struct

from edgebit.board import Board
from edgebit.toolchain.uf2 import BOOT2_BYTES, boot2_is_sealed

_BLOCK_START, _BLOCK_END = 0xFFFFDED3, 0xAB123579


def refusal(board: Board, image: bytes) -> str | None:
    """Why the board's boot ROM would not start an image (bytes from the start of flash); None when it would.

    RP2040 (data sheet section 2.8.1.3.1): the first 252 bytes are the second-stage boot, followed by their
    CRC-32. RP2350 (data sheet section 5.9): an image definition block lies within the first 4 KiB.
    """
    family = board.flash_methods.get("uf2", {}).get("family")
    if any(m.kind == "boot" for m in board.memories):
        if not boot2_is_sealed(image[:BOOT2_BYTES]):
            return f"its first {BOOT2_BYTES} bytes are no second-stage boot with a right checksum"
    elif family == 0xE48BFF59:
        words = struct.unpack(f"<{min(len(image), 4096) // 4}I", image[: min(len(image), 4096) // 4 * 4])
        if _BLOCK_START not in words or _BLOCK_END not in words[words.index(_BLOCK_START) :]:
            return "there is no image definition block in its first 4096 bytes"
    return None
