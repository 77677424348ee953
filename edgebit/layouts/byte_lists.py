"""Lists of bytes for eight packed pixels: what the layouts of runtime_c/kernels/tpixels_s8/bytes_armv7m.h share.

Columns come in units, and tiles of units. What can be listed of a unit has a number, its place, and unit u of a tile
has the bytes u * places .. (u + 1) * places - 1, at most 255. The bytes are:

    for each tile:  units, 1 when the tile begins a block of sums (see pixels.py), else 0
                    for each row:  n, n bytes to subtract, p, p bytes to add; n and p are at most 24
    0

Units of a row whose trits are all zero are left out.
"""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import check_trits, round_up
from edgebit.layouts.pixels import PixelLayout, cut_tiles

MAX_LIST = 24
"""The longest list that the unrolled code takes."""


class ByteLists(PixelLayout):
    """unit: how many columns are one; places: how many things can be listed of a unit."""

    unit: ClassVar[int]
    places: ClassVar[int]

    @abstractmethod
    def tiles(self, weights: Array) -> list[int]:
        """Units in each tile: at most 255 bytes, and no row with a list longer than MAX_LIST."""

    @abstractmethod
    def encode(self, trits: Array) -> tuple[Array, Array]:
        """(rows, units, unit) trits to (rows, units) signs, 0 for what is not listed, and places."""

    @abstractmethod
    def decode(self, place: int) -> Array:
        """The unit's trits that a place to add stands for."""

    def units(self, weights: Array) -> Array:
        """(rows, units, unit) trits, with zeros past the last column."""
        rows, cols = weights.shape
        padded: Array = np.zeros((rows, round_up(cols, self.unit)), np.int8)
        padded[:, :cols] = weights
        return padded.reshape(rows, -1, self.unit)

    def starts(self, weights: Array) -> list[int]:
        """The columns at which a block of sums begins; each is the first of a tile."""
        firsts = [0, *itertools.accumulate(self.unit * n for n in self.tiles(weights))]
        return cut_tiles(weights, firsts[:-1])

    def blocks(self, weights: Array) -> int:
        return len(self.starts(weights))

    def pack(self, weights: Array) -> bytes:
        check_trits(weights)
        signs, places = self.encode(self.units(weights))
        starts = set(self.starts(weights))
        out = bytearray()
        at = 0
        for units in self.tiles(weights):
            out += bytes([units, self.unit * at in starts])
            listed = (self.places * np.arange(units) + places[:, at : at + units]).astype(np.uint8)
            for row, sign in zip(listed, signs[:, at : at + units], strict=True):
                for part in (row[sign < 0], row[sign > 0]):
                    out += bytes([len(part)]) + part.tobytes()
            at += units
        return bytes(out + b"\0")

    def unpack(self, raw: bytes, rows: int, cols: int) -> S8Array:
        out = np.zeros((rows, round_up(cols, self.unit) // self.unit, self.unit), np.int8)
        tiles: list[int] = []
        starts: list[int] = []
        at = 0
        try:
            while raw[at]:
                units, begins, first = raw[at], raw[at + 1], sum(tiles)
                if begins > 1 or units * self.places > 256 or first + units > out.shape[1]:
                    raise EdgebitError(f"{self.name}: a tile that begins with {units}, {begins}")
                starts += [self.unit * first] * begins
                at += 2
                for row in out[:, first : first + units]:
                    for sign in (-1, 1):
                        listed = raw[at + 1 : at + 1 + raw[at]]
                        self._place(listed, sign, row)
                        at += 1 + raw[at]
                tiles.append(units)
            ended = at + 1 == len(raw) and sum(tiles) == out.shape[1]
        except IndexError:
            ended = False
        if not ended:
            raise EdgebitError(f"{self.name}: {len(raw)} bytes do not hold a {rows} x {cols} matrix")
        flat = out.reshape(rows, -1)
        trits: S8Array = np.ascontiguousarray(flat[:, :cols])
        if flat[:, cols:].any() or (tiles, starts) != (self.tiles(trits), self.starts(trits)):
            raise EdgebitError(f"{self.name}: tiles in the wrong places, or trits past the last column")
        return trits

    def _place(self, listed: bytes, sign: int, row: Array) -> None:
        """Writes what a list says of the (units, unit) trits of a row."""
        for byte in listed:
            unit, place = divmod(byte, self.places)
            if unit >= len(row) or row[unit].any():
                raise EdgebitError(f"{self.name}: a byte that stands for nothing, or is listed twice")
            row[unit] = sign * self.decode(place)

    def work(self, weights: Array) -> Mapping[str, float]:
        """lookup: bytes listed; list: rows of all tiles."""
        listed = np.count_nonzero(self.units(weights).any(axis=2))
        return {"lookup": int(listed), "list": len(weights) * len(self.tiles(weights))}
