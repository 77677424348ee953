"""What boot ROMs demand of a flash image before they start it."""

from __future__ import annotations

import struct

from edgebit.board import Board
from edgebit.toolchain.uf2 import BOOT2_BYTES, boot2_is_sealed

_BLOCK_START, _BLOCK_END = 0xFFFFDED3, 0xAB123579
_FCFB, _IVT_AT, _IVT_HEADER = 0x42464346, 0x1000, 0x432000D1


def refusal(board: Board, image: bytes) -> str | None:
    """Why the board's boot ROM would not start an image (bytes from the start of flash); None when it would.

    RP2040 (data sheet section 2.8.1.3.1): the first 252 bytes are the second-stage boot, followed by their
    CRC-32. RP2350 (data sheet section 5.9): an image definition block lies within the first 4 KiB. i.MX RT1060
    (reference manual sections 9.6.3 and 9.7.1): a flash configuration block, and at 1000h an image vector table
    whose entry lies in the image.
    """
    family = board.flash_methods.get("uf2", {}).get("family")
    if "boot2" in board.port:
        if not boot2_is_sealed(image[:BOOT2_BYTES]):
            return f"its first {BOOT2_BYTES} bytes are no second-stage boot with a right checksum"
    elif "header" in board.port:
        start = min(m.origin for m in board.memories if m.kind == "boot")
        if len(image) < _IVT_AT + 32 or struct.unpack_from("<I", image)[0] != _FCFB:
            return "it does not begin with a flash configuration block"
        header, entry, _, _, _, own = struct.unpack_from("<6I", image, _IVT_AT)
        if header != _IVT_HEADER or own != start + _IVT_AT or not start <= entry < start + len(image):
            return f"there is no image vector table for it at {start + _IVT_AT:#x}"
    elif family == 0xE48BFF59:
        words = struct.unpack(f"<{min(len(image), 4096) // 4}I", image[: min(len(image), 4096) // 4 * 4])
        if _BLOCK_START not in words or _BLOCK_END not in words[words.index(_BLOCK_START) :]:
            return "there is no image definition block in its first 4096 bytes"
    return None
