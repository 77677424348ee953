"""Lists of table offsets: what the tmatvec_s8__armv6m_ofs16g* and _list16 kernels read.

Columns come in groups of g. For each group the kernel builds a table of signed sums of its g inputs, one of
s and -s being enough. A row is two lists of 16-bit byte offsets into the tables of one tile of columns: sums to
subtract, and sums to add. Groups of zeros are not listed. "list16" is g = 1: offsets of the inputs themselves.

The words of a tile and the rows in it are described in runtime_c/kernels/tmatvec_s8/ofs16.h, which enters
unrolled code at the place of a list's first entry; the distances below are those of that code.
"""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.base import Layout, check_trits, round_up

BIAS = 1024
ENTRY_CODE, CHUNK_CODE, CHUNKS = 6, 26, 49
"""Bytes of code for one entry and for a chunk of 4, and how many chunks each list's code holds."""
MAX_ENTRIES = 4 * CHUNKS
TABLE_LIMIT = 16384
"""Bytes of tables in memory at once."""
_NEGATIVE_CODE = CHUNK_CODE * CHUNKS
_POSITIVE_CODE = _NEGATIVE_CODE - 2  # the last chunk loads no successor
_BACK = _NEGATIVE_CODE + 6 + _POSITIVE_CODE + 20  # from where rows start back to the negative list's code
_LAST = 1 << 31

Trits = tuple[int, ...]
U16Array = npt.NDArray[np.uint16]


def _enter(entries: int, all_code: int) -> int:
    """How many bytes of a list's code are not run for that many entries."""
    if entries == 0:
        return all_code
    pairs = -(-entries // 2)
    return (
        _NEGATIVE_CODE
        - CHUNK_CODE * -(-pairs // 2)
        + 2 * ENTRY_CODE * (pairs % 2)
        + ENTRY_CODE * (entries % 2)
    )


def _entries(enter: int, all_code: int) -> int:
    """The number of entries that `_enter` sends to that place; -1 when none does."""
    if enter == all_code:
        return 0
    chunks = -(-(_NEGATIVE_CODE - enter) // CHUNK_CODE)
    skipped = enter - (_NEGATIVE_CODE - CHUNK_CODE * chunks)
    return -1 if skipped % ENTRY_CODE or skipped >= 4 * ENTRY_CODE else 4 * chunks - skipped // ENTRY_CODE


class Lists(Layout):
    """What both kinds share: rows as two lists, tile by tile."""

    element = "trit"
    row_multiple = 4
    group: ClassVar[int] = 1
    max_cols: ClassVar[int]

    @abstractmethod
    def encode(self, trits: S8Array) -> tuple[Array, Array]:
        """(rows, groups * g) trits to (rows, groups) signs, 0 for what is not listed, and offsets inside the
        group's table."""

    @abstractmethod
    def tiles(self, signs: Array) -> list[int]:
        """How many groups each tile has, given the (rows, groups) signs."""

    @abstractmethod
    def stride(self) -> int:
        """Bytes of one group's table."""

    def start(self, negative: int, positive: int) -> int:
        """What a row's accumulator starts at, given the lengths of its lists."""
        return 0

    def pack(self, weights: Array) -> bytes:
        check_trits(weights)
        rows, cols = weights.shape
        trits = np.zeros((rows, round_up(cols, self.group)), np.int8)
        trits[:, :cols] = weights
        signs, inside = self.encode(trits)
        out: list[bytes] = []
        first = 0
        lengths = self.tiles(signs)
        for length in lengths:
            last = first + length == signs.shape[1]
            partial = cols % self.group if last and self._copies_tail() else 0
            out.append(int(length | partial << 16 | last << 31).to_bytes(4, "little"))
            offsets = (np.arange(length) * self.stride() + inside[:, first : first + length]).astype(
                np.uint16
            )
            for sign, offset in zip(signs[:, first : first + length], offsets, strict=True):
                out.append(self._row(offset[sign < 0], offset[sign > 0]))
            first += length
        return b"".join(out)

    def _copies_tail(self) -> bool:
        """Whether the inputs of a partial group may lie past what is readable: 16 is no multiple of g."""
        return 16 % self.group != 0

    def _row(self, negative: U16Array, positive: U16Array) -> bytes:
        jumps = (_enter(len(negative), _NEGATIVE_CODE) - _BACK) & 0xFFFF
        jumps |= _enter(len(positive), _POSITIVE_CODE) << 16
        chunks = [_chunks(negative), _chunks(positive)]
        if not len(chunks[1]):
            chunks[1] = np.zeros((1, 2), np.uint32)
        words = np.concatenate(chunks)
        start = self.start(len(negative), len(positive)) & 0xFFFFFFFF
        head = np.array([jumps, words[0, 0], start, words[0, 1]], np.uint32)
        return bytes(np.concatenate([head, words[1:].reshape(-1)]).astype("<u4").tobytes())

    def unpack(self, raw: bytes, rows: int, cols: int) -> S8Array:
        if len(raw) % 4:
            raise EdgebitError(f"{self.name}: {len(raw)} bytes are no words")
        words = np.frombuffer(raw, "<u4")
        out = np.zeros((rows, round_up(cols, self.group)), np.int8)
        at = first = 0
        header = 0
        while not header & _LAST:
            header = self._word(words, at)
            at, length = at + 1, header & 0xFFFF
            end = (first + length) * self.group
            if not length or end > out.shape[1]:
                raise EdgebitError(f"{self.name}: a tile of {length} groups does not fit {cols} columns")
            tile = out[:, first * self.group : end]
            for r in range(rows):
                at = self._read_row(words, at, tile[r])
            first += length
        if first * self.group != out.shape[1] or at != len(words):
            raise EdgebitError(f"{self.name}: not the bytes of a {rows} x {cols} matrix")
        if out[:, cols:].any():
            raise EdgebitError(f"{self.name}: trits past the last column")
        return np.ascontiguousarray(out[:, :cols])

    def _word(self, words: npt.NDArray[np.uint32], at: int) -> int:
        if at >= len(words):
            raise EdgebitError(f"{self.name}: the bytes end early")
        return int(words[at])

    def _read_row(self, words: npt.NDArray[np.uint32], at: int, row: S8Array) -> int:
        jumps = self._word(words, at)
        negative = _entries((jumps + _BACK) & 0xFFFF, _NEGATIVE_CODE)
        positive = _entries(jumps >> 16, _POSITIVE_CODE)
        if min(negative, positive) < 0 or max(negative, positive) > MAX_ENTRIES:
            raise EdgebitError(f"{self.name}: a row begins with no list lengths")
        sizes = [-(-negative // 4), max(1, -(-positive // 4))]
        end = at + 2 + 2 * sum(sizes)
        self._word(words, end - 1)
        if self._word(words, at + 2) != self.start(negative, positive) & 0xFFFFFFFF:
            raise EdgebitError(f"{self.name}: a row does not start at its bias")
        body = np.concatenate([words[[at + 1, at + 3]], words[at + 4 : end]]).astype("<u4")
        halves = np.frombuffer(body.tobytes(), "<u2")
        self._place(halves[4 * sizes[0] - negative : 4 * sizes[0]], -1, row)
        self._place(halves[len(halves) - positive :], 1, row)
        return end

    def _place(self, offsets: U16Array, sign: int, row: S8Array) -> None:
        for offset in offsets.tolist():
            group, inside = divmod(offset, self.stride())
            trits = self.decode(inside)
            if trits is None or (group + 1) * self.group > len(row):
                raise EdgebitError(f"{self.name}: {offset} is no table offset")
            part = row[group * self.group : (group + 1) * self.group]
            if part.any():
                raise EdgebitError(f"{self.name}: a group is listed twice")
            part[:] = sign * np.array(trits, np.int8)

    @abstractmethod
    def decode(self, inside: int) -> Trits | None:
        """The trits at an offset in a group's table, None when nothing is there."""

    def limits(self, weights: Array) -> str | None:
        if weights.shape[1] > self.max_cols:
            return f"{self.name} takes at most {self.max_cols} columns, not {weights.shape[1]}"
        return None

    def work(self, weights: Array) -> Mapping[str, float]:
        """entry: offsets listed; list: rows of all tiles; group: tables built; tile."""
        trits = np.zeros((weights.shape[0], round_up(weights.shape[1], self.group)), np.int8)
        trits[:, : weights.shape[1]] = weights
        signs: Array = trits
        if self.group > 1:
            signs = np.asarray(trits.reshape(len(trits), -1, self.group).any(axis=2))
        lengths = self.tiles(signs)
        counts = {
            "entry": int(np.count_nonzero(signs)),
            "list": len(trits) * len(lengths),
            "group": signs.shape[1] if self.group > 1 else 0,
            "tile": len(lengths),
        }
        return {k: float(v) for k, v in counts.items()}


def _chunks(offsets: U16Array) -> npt.NDArray[np.uint32]:
    """(chunks, 2) words that hold the offsets at their back."""
    padded = np.zeros(round_up(len(offsets), 4), np.uint16)
    padded[len(padded) - len(offsets) :] = offsets
    return np.frombuffer(padded.astype("<u2").tobytes(), "<u4").reshape(-1, 2)


def greedy_tiles(signs: Array, most: int, widest: int) -> list[int]:
    """Columns in each tile: as many as leave every row at most `most` trits of one sign, and at most `widest`."""
    ends = [0]
    counts = np.stack([np.cumsum(signs < 0, axis=1), np.cumsum(signs > 0, axis=1)])
    while ends[-1] < signs.shape[1]:
        before = counts[:, :, ends[-1] - 1 : ends[-1]] if ends[-1] else 0
        window = counts[:, :, ends[-1] : ends[-1] + widest] - before
        ends.append(ends[-1] + int((window.max(axis=(0, 1)) <= most).sum()))
    return [b - a for a, b in itertools.pairwise(ends)]


class List16(Lists):
    """Columns of nonzero trits, 16 bits each."""

    name = "list16"
    max_cols = 1 << 24

    def encode(self, trits: S8Array) -> tuple[Array, Array]:
        return trits, np.zeros_like(trits)

    def tiles(self, signs: Array) -> list[int]:
        """As many columns as leave every list within its code, and offsets within 16 bits."""
        return greedy_tiles(signs, MAX_ENTRIES, 0xFFFF)

    def stride(self) -> int:
        return 1

    def decode(self, inside: int) -> Trits | None:
        return (1,)


def _level(words: list[tuple[Trits, Trits]]) -> list[tuple[Trits, Trits]]:
    """The words of a table of one more column: for each p the words p, x + p, x - p."""
    out: list[tuple[Trits, Trits]] = []
    for p in words:
        for own, s in ((0, 1), (1, 1), (1, -1)):
            low, high = ((*(s * t for t in half), own) for half in p)
            out.append((low, high))
    return out


_X01, _SUM = ((1, 0, 0), (0, 1, 0)), ((1, 1, 0), (-1, 1, 0))
_X2 = ((0, 0, 1), (0, 0, 0))
_X2_X01, _X2_LESS_X01 = ((1, 0, 1), (0, 1, 1)), ((-1, 0, 1), (0, -1, 1))
_X2_SUM, _X2_LESS_SUM = ((1, 1, 1), (-1, 1, 1)), ((-1, -1, 1), (1, -1, 1))
_THREE: list[tuple[Trits, Trits]] = [_X01, _X2_X01, _X2_LESS_X01, _SUM, _X2_SUM, _X2_LESS_SUM, _X2]


@dataclass(frozen=True)
class _Table:
    """A group's table: by digits (trit + 1, first column most significant) sign and byte offset; and back."""

    sign: Array
    offset: Array
    trits: dict[int, Trits]


class Offsets(Lists):
    """Groups of g columns; words: what the kernel's table holds, low half then high half."""

    words: ClassVar[list[tuple[Trits, Trits]]]
    max_cols = 65536

    @cached_property
    def table(self) -> _Table:
        trits: dict[int, Trits] = {}
        for i, half in enumerate(h for w in self.words for h in w):
            if any(half) and half not in trits.values():
                trits[2 * i] = half
        sign = np.zeros(3**self.group, np.int8)
        offset = np.zeros(3**self.group, np.int64)
        powers = 3 ** np.arange(self.group)[::-1]
        for at, t in trits.items():
            for s in (1, -1):
                digits = int((s * np.array(t) + 1) @ powers)
                sign[digits], offset[digits] = s, at
        return _Table(sign, offset, trits)

    def encode(self, trits: S8Array) -> tuple[Array, Array]:
        groups = trits.reshape(len(trits), -1, self.group).astype(np.int64) + 1
        digits = groups @ (3 ** np.arange(self.group)[::-1])
        return self.table.sign[digits], self.table.offset[digits]

    def stride(self) -> int:
        return 4 * len(self.words)

    def tile_limit(self) -> int:
        """Groups in a tile: their tables fit the memory for them, and any list fits its code."""
        return min(TABLE_LIMIT // self.stride(), MAX_ENTRIES)

    def tiles(self, signs: Array) -> list[int]:
        """Equal tiles, the last a little shorter."""
        groups = signs.shape[1]
        length = -(-groups // -(-groups // self.tile_limit()))
        return [min(length, groups - k) for k in range(0, groups, length)]

    def decode(self, inside: int) -> Trits | None:
        return self.table.trits.get(inside)

    def start(self, negative: int, positive: int) -> int:
        return BIAS * (positive - negative)

    def scratch(self, stem: str, rows: int, cols: int) -> int:
        groups = -(-cols // self.group)
        return round_up(self.stride() * self.tiles(np.zeros((1, groups)))[0], 8)


class Ofs16g3(Offsets):
    """Three columns an offset."""

    name = "ofs16g3"
    group = 3
    words: ClassVar[list[tuple[Trits, Trits]]] = [
        _X2, _X01, _X2_X01, _SUM, _X2_SUM, _X2_LESS_X01, _X2_LESS_SUM,
    ]  # fmt: skip


class Ofs16g4(Offsets):
    """Four columns an offset."""

    name = "ofs16g4"
    group = 4
    words = _level(_THREE)


class Ofs16g5(Offsets):
    """Five columns an offset."""

    name = "ofs16g5"
    group = 5
    words = _level(_level(_THREE))
