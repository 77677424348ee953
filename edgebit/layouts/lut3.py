"""Lists of table offsets of three trits for eight packed pixels: what tpixels_s8__armv6m_lut3 reads.

Three consecutive columns are a group. Up to sign, three trits that are not all zero are one of 13 sums of the
group's inputs a, b, c (the first nonzero trit is +1), in this order:

    a  b  c  a+b  a-b  a+c  a-c  b+c  b-c  a+b+c  a+b-c  a-b+c  a-b-c

A table holds the 13 sums of each group of a tile of up to 32 groups, 16 bytes a sum: the offset of sum e of
group g is 16 (13 g + e). The bytes are, all numbers little endian:

    for each tile:  u8 groups, u8 1 when the tile begins a block of sums (see pixels.py), else 0
                    for each row:  u8 2 n, u8 2 p, n u16 offsets to subtract, p u16 offsets to add
    u8 0, u8 0

Groups of a row whose trits are all zero are left out.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import check_trits, round_up
from edgebit.layouts.pixels import PixelLayout, cut_columns

GROUP = 3
TILE = 32
ENTRY_BYTES = 16
SUMS = (
    (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, -1, 0), (1, 0, 1), (1, 0, -1), (0, 1, 1), (0, 1, -1),
    (1, 1, 1), (1, 1, -1), (1, -1, 1), (1, -1, -1),
)  # fmt: skip
TABLE_BYTES = ENTRY_BYTES * len(SUMS)


def _codes() -> tuple[list[int], list[int]]:
    """By 9 (a + 1) + 3 (b + 1) + (c + 1): the place of the sum and its sign (0 for three zeros)."""
    place, sign = [0] * 27, [0] * 27
    for trits in itertools.product((-1, 0, 1), repeat=GROUP):
        code = (trits[0] + 1) * 9 + (trits[1] + 1) * 3 + trits[2] + 1
        for s in (1, -1):
            if (flipped := tuple(s * t for t in trits)) in SUMS:
                place[code], sign[code] = SUMS.index(flipped), s
    return place, sign


_PLACE, _SIGN = (np.array(v, np.int64) for v in _codes())


def signed_sums(groups: Array) -> tuple[Array, Array]:
    """(rows, groups, 3) trits to (rows, groups) places in SUMS and signs, 0 for three zeros."""
    codes = (groups.astype(np.int64) + 1) @ np.array([9, 3, 1])
    return _PLACE[codes], _SIGN[codes]


def equal_tiles(cols: int, limit: int) -> list[int]:
    """Groups in each tile of at most `limit`: as few tiles as possible, all but the last equally large."""
    groups = -(-cols // GROUP)
    count = -(-groups // limit)
    size = -(-groups // count)
    return [min(size, groups - at) for at in range(0, groups, size)]


class Lut3(PixelLayout):
    """A u16 for every three trits that are not all zero, and two bytes a row and tile."""

    name = "lut3"
    col_multiple = GROUP

    def tiles(self, cols: int) -> list[int]:
        """Groups in each tile."""
        return equal_tiles(cols, TILE)

    def starts(self, weights: Array) -> list[int]:
        """The columns at which a block of sums begins; each is the first of a tile."""
        return cut_columns(weights, GROUP * self.tiles(weights.shape[1])[0])

    def blocks(self, weights: Array) -> int:
        return len(self.starts(weights))

    def pack(self, weights: Array) -> bytes:
        check_trits(weights)
        rows, cols = weights.shape
        padded = np.zeros((rows, round_up(cols, GROUP)), np.int8)
        padded[:, :cols] = weights
        places, signs_ = signed_sums(padded.reshape(rows, -1, GROUP))
        starts = set(self.starts(weights))
        out = bytearray()
        at = 0
        for groups in self.tiles(cols):
            out += bytes([groups, GROUP * at in starts])
            part = places[:, at : at + groups]
            offsets = (ENTRY_BYTES * (len(SUMS) * np.arange(groups) + part)).astype("<u2")
            signs = signs_[:, at : at + groups]
            for row, sign in zip(offsets, signs, strict=True):
                less, more = row[sign < 0], row[sign > 0]
                out += bytes([2 * len(less), 2 * len(more)]) + less.tobytes() + more.tobytes()
            at += groups
        return bytes(out + b"\0\0")

    def unpack(self, raw: bytes, rows: int, cols: int) -> S8Array:
        out = np.zeros((rows, round_up(cols, GROUP)), np.int8)
        at = first = 0
        starts: list[int] = []
        try:
            for groups in self.tiles(cols):
                if raw[at] != groups or raw[at + 1] > 1:
                    raise EdgebitError("lut3: a tile of the wrong size")
                starts += [GROUP * first] * raw[at + 1]
                at += 2
                for row in out:
                    counts = raw[at], raw[at + 1]
                    lists = np.frombuffer(raw, "<u2", sum(counts) // 2, at + 2).astype(np.int64)
                    group, entry = np.divmod(lists // ENTRY_BYTES, len(SUMS))
                    if (
                        (lists % ENTRY_BYTES).any()
                        or (group >= groups).any()
                        or counts[0] % 2
                        or counts[1] % 2
                    ):
                        raise EdgebitError("lut3: an offset that is no sum of the tile")
                    sign = np.where(np.arange(len(lists)) < counts[0] // 2, -1, 1)
                    row.reshape(-1, GROUP)[first + group] = sign[:, None] * np.array(SUMS, np.int8)[entry]
                    at += 2 + sum(counts)
                first += groups
            ended = raw[at:] == b"\0\0"
        except (IndexError, ValueError):
            ended = False
        if not ended:
            raise EdgebitError(f"lut3: {len(raw)} bytes do not hold a {rows} x {cols} matrix")
        trits: S8Array = np.ascontiguousarray(out[:, :cols])
        if starts != self.starts(trits) or out[:, cols:].any():
            raise EdgebitError("lut3: blocks of sums in the wrong places, or trits past the last column")
        return trits

    def work(self, weights: Array) -> Mapping[str, float]:
        """lookup: offsets listed; list: rows of all tiles; group: tables built."""
        rows, cols = weights.shape
        padded = np.zeros((rows, round_up(cols, GROUP)), np.int8)
        padded[:, :cols] = weights
        listed = int(np.count_nonzero(padded.reshape(rows, -1, GROUP).any(axis=2)))
        return {"lookup": listed, "list": rows * len(self.tiles(cols)), "group": padded.shape[1] // GROUP}

    def scratch(self, stem: str, rows: int, cols: int) -> int:
        return TABLE_BYTES * max(self.tiles(cols))
