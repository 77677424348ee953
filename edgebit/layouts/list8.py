"""A byte for every nonzero trit: what tmatvec_s8__armv7em_list8 and __armv7m_list8 read.

Columns come in tiles, all but the last equally wide. The bytes are, numbers little endian:

    u16 tiles, u16 columns in a tile
    for each row and tile:  place, n bytes to subtract, place, p bytes to add

A byte names a column of the tile. The place of a list of n bytes is where runtime_c/kernels/tmatvec_s8/list8.h enters
its code, in words from the end: 2 n, and 1 more when n is odd; n is at most 64.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import Layout, check_trits

MAX_COLS = 65536
TILE = 256
MAX_LIST = 64


class List8(Layout):
    """A byte a nonzero trit, and two bytes a row and tile."""

    name = "list8"
    element = "trit"

    def width(self, weights: Array) -> int:
        """Columns in a tile: those of the fewest equal tiles in which no list is longer than MAX_LIST."""
        rows, cols = len(weights), int(weights.shape[1])
        before: npt.NDArray[np.int64] = np.zeros((2, rows, cols + 1), np.int64)
        np.cumsum(np.stack([weights < 0, weights > 0]), axis=2, out=before[:, :, 1:])
        tiles = -(-cols // TILE)
        width = -(-cols // tiles)
        while np.diff(before[:, :, [*range(0, cols, width), cols]]).max() > MAX_LIST:
            tiles += 1
            width = -(-cols // tiles)
        return width

    def pack(self, weights: Array) -> bytes:
        check_trits(weights)
        width = self.width(weights)
        firsts = range(0, weights.shape[1], width)
        out = bytearray(np.array([len(firsts), width], "<u2").tobytes())
        for row in weights:
            for first in firsts:
                tile = row[first : first + width]
                for part in (np.flatnonzero(tile < 0), np.flatnonzero(tile > 0)):
                    out += bytes([2 * len(part) + len(part) % 2]) + part.astype(np.uint8).tobytes()
        return bytes(out)

    def unpack(self, raw: bytes, rows: int, cols: int) -> S8Array:
        tiles, width = np.frombuffer(raw.ljust(4, b"\0"), "<u2", 2).tolist()
        if not 0 < width <= TILE or tiles != -(-cols // width):
            raise EdgebitError(f"list8: {tiles} tiles of {width} columns are not {cols} columns")
        out = np.zeros((rows, cols), np.int8)
        at = 4
        for row in out:
            for first in range(0, cols, width):
                tile = row[first : first + width]
                for sign in (-1, 1):
                    place = raw[at] if at < len(raw) else 0xFF
                    n = place // 2
                    listed = np.frombuffer(raw[at + 1 : at + 1 + n], np.uint8)
                    if place != 2 * n + n % 2 or n > MAX_LIST or len(listed) != n:
                        raise EdgebitError("list8: a list that begins with no place, or bytes that end early")
                    twice = len(np.unique(listed)) < n
                    if twice or (listed >= len(tile)).any() or tile[listed].any():
                        raise EdgebitError("list8: a column past the tile, or listed twice")
                    tile[listed] = sign
                    at += 1 + n
        if at != len(raw) or self.width(out) != width:
            raise EdgebitError(f"list8: not the bytes of a {rows} x {cols} matrix")
        return out

    def limits(self, weights: Array) -> str | None:
        if weights.shape[1] > MAX_COLS:
            return f"list8 takes at most {MAX_COLS} columns, not {weights.shape[1]}"
        return None

    def work(self, weights: Array) -> Mapping[str, float]:
        """entry: trits listed; list: rows of all tiles."""
        tiles = -(-weights.shape[1] // self.width(weights))
        return {"entry": int(np.count_nonzero(weights)), "list": len(weights) * tiles}
