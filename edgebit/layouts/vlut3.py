"""Sums of three inputs by lookup, 32 pixels at a time: what tpoints_s8__mve_vlut3 reads.

Columns are cut into tiles of up to 24 groups of three. For each tile the rows follow one another; a row is a list
of byte offsets (uint16) of table sums to subtract and one of those to add, each behind its length (uint16). Group j
of a tile has 13 sums of 64 bytes from byte 832 j on, of inputs a, b, c: a, b, c, a+b, a-b, a+c, a-c, b+c, b-c, a+b+c,
a+b-c, a-b+c, a-b-c. Groups without a nonzero trit are in no list. Two bytes 0 end the image: the kernel reads one
number ahead.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import Layout, check_trits, round_up
from edgebit.layouts.pixels import MAX_NONZEROS

_SUM, _SUMS, _TILE, _CHUNK = 64, 13, 24, 4
_GROUP = _SUM * _SUMS
_KINDS = np.array(
    [
        *(
            (1, 0, 0),
            (0, 1, 0),
            (0, 0, 1),
            (1, 1, 0),
            (1, -1, 0),
            (1, 0, 1),
            (1, 0, -1),
            (0, 1, 1),
            (0, 1, -1),
        ),
        *((1, 1, 1), (1, 1, -1), (1, -1, 1), (1, -1, -1)),
    ],
    np.int8,
)
_DIGITS = np.array([9, 3, 1])


class Vlut3(Layout):
    """Lists of lookups: 16 bits for each group of a row with a nonzero trit and 32 a row and tile."""

    name = "vlut3"
    element = "trit"

    @staticmethod
    def _tile(cols: int) -> int:
        """Groups of a tile."""
        groups = -(-cols // 3)
        return round_up(-(-groups // -(-groups // _TILE)), _CHUNK)

    def _groups(self, weights: Array) -> Array:
        """(rows, groups, 3) trits."""
        rows, cols = weights.shape
        padded = np.zeros((rows, round_up(cols, 3)), np.int8)
        padded[:, :cols] = weights
        return padded.reshape(rows, -1, 3)

    def pack(self, weights: Array) -> bytes:
        check_trits(weights)
        groups = self._groups(weights)
        sums = groups @ _DIGITS  # 0 for none; its sign is that of the first nonzero trit
        place = np.zeros(14, np.int64)
        place[_KINDS @ _DIGITS] = np.arange(_SUMS)
        tile = self._tile(weights.shape[1])
        words: list[int] = []
        for first in range(0, groups.shape[1], tile):
            for row in sums[:, first : first + tile]:
                offsets = np.arange(row.size) * _GROUP + place[np.abs(row)] * _SUM
                for chosen in (row < 0, row > 0):
                    words += [int(chosen.sum()), *offsets[chosen].tolist()]
        return np.array([*words, 0], "<u2").tobytes()

    def unpack(self, raw: bytes, rows: int, cols: int) -> S8Array:
        words = np.frombuffer(raw[: len(raw) & ~1], "<u2").astype(np.int64)
        count, tile, at = -(-cols // 3), self._tile(cols), 0
        trits = np.zeros((rows, count, 3), np.int8)
        for first in range(0, count, tile):
            for r in range(rows):
                for sign in (-1, 1):
                    size = int(words[at]) if at < words.size else -1
                    offsets = words[at + 1 : at + 1 + size]
                    group, kind = offsets // _GROUP, offsets % _GROUP // _SUM
                    end = min(tile, count - first)
                    if size < 0 or offsets.size != size or (offsets % _SUM).any() or (group >= end).any():
                        raise EdgebitError(f"{self.name}: {len(raw)} bytes are no {rows} x {cols} matrix")
                    trits[r, first + group] += (sign * _KINDS[kind]).astype(np.int8)
                    at += 1 + size
        if at + 1 != words.size or len(raw) % 2:
            raise EdgebitError(f"{self.name}: {len(raw)} bytes are no {rows} x {cols} matrix")
        flat = np.ascontiguousarray(trits.reshape(rows, -1)[:, :cols])
        check_trits(flat)
        return flat

    def limits(self, weights: Array) -> str | None:
        rows, cols = weights.shape
        most = int((weights != 0).sum(axis=1).max(initial=0))
        if most > MAX_NONZEROS:
            return f"{self.name} takes at most {MAX_NONZEROS} nonzero weights an output, not {most}"
        if rows % 4 or cols % 4:
            return f"{self.name} takes inputs and outputs by fours, not {cols} and {rows}"
        return None

    def scratch(self, stem: str, rows: int, cols: int) -> int:
        tile = self._tile(cols)
        return _GROUP * tile + (_SUM * rows if tile * 3 < cols else 0) + 384

    def work(self, weights: Array) -> Mapping[str, float]:
        """look: table sums used; tile_row: rows of all tiles; build: groups."""
        groups = self._groups(weights)
        tiles = -(-groups.shape[1] // self._tile(weights.shape[1]))
        return {
            "look": float(groups.any(axis=2).sum()),
            "tile_row": float(tiles * weights.shape[0]),
            "build": float(groups.shape[1]),
        }
