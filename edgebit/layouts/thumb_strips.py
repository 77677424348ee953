"""Weights as straight-line Thumb code for strips of packed pixels, and its reading back.

The code is one function,

    void run(const uint32_t *const *x, uint32_t *acc, uint32_t at, uint32_t skip),

that computes what a kernel of tstrips_s8 computes (see runtime_c/kernels/tstrips_s8/tstrips_s8.h) for the pairs of
pixels from `skip` / 4 on, out of four: x points to the packed kernel rows, `at` bytes into which the window of the
first of these pairs begins; acc is where its sum of the first row goes.

Registers and tiles of rows are those of thumb.py. Stack: 0 bytes from the first pair to the current one, 4 acc,
8 skip, then where each kernel row begins for the first pair.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, S8Array
from edgebit.layouts.column_groups import MOST
from edgebit.layouts.column_pairs import WINDOW, pair_columns
from edgebit.layouts.strips import PAIRS, Strip
from edgebit.layouts.thumb import Reader, Vector, row_tiles, store_sums
from edgebit.layouts.thumb_code import ROWS, Code
from edgebit.layouts.thumb_sums import add_column, add_group, add_pairs, groups_of, inputs_of

_FRAME = 12


def generate(trits: S8Array, starts: Sequence[int], strip: Strip, wide: bool) -> bytes:
    """The code for (rows, cols) trits whose blocks of columns begin at `starts`."""
    rows, cols = trits.shape
    c = Code(wide)
    begin(c, strip)
    for first, last in zip(starts, [*starts[1:], cols], strict=True):
        at = 0
        for size in row_tiles(rows):
            _segment(c, trits[at : at + size], first, last, strip)
            at += size
    end(c, strip)
    return np.array(c.words, "<u2").tobytes()


def begin(c: Code, strip: Strip) -> None:
    """Save registers and fill the frame."""
    c.enter(_FRAME + 4 * strip.rows)
    c.local(True, 1, 4)
    c.local(True, 3, 8)
    for y in range(strip.rows):
        c.emit(0x6804 | y << 6)  # ldr r4, [r0, #4y]
        c.add(4, 2)
        c.local(True, 4, _FRAME + 4 * y)


def end(c: Code, strip: Strip) -> None:
    c.leave(_FRAME + 4 * strip.rows)


class Columns:
    """Loads of inputs: makes r0 point to what comes next. `wanted`: the columns that are loaded, ascending."""

    def __init__(self, c: Code, strip: Strip, wanted: Sequence[int]) -> None:
        self._code, self._places = c, strip.places()
        self._row, self._passed = -1, 0
        self._wanted = wanted

    def load(self, at: int, registers: Sequence[int]) -> int:
        """Load as many of the wanted columns from the `at`th on as lie together, by one instruction; how many."""
        row, word = self._places[self._wanted[at]]
        count = 1
        following = self._wanted[at + 1 : at + len(registers)]
        while count <= len(following) and self._places[following[count - 1]] == (row, word + count):
            count += 1
        self.load_words(at, registers[:count])
        return count

    def load_words(self, at: int, registers: Sequence[int]) -> None:
        """Load words that follow one another, the first of them that of the `at`th wanted column."""
        row, word = self._places[self._wanted[at]]
        if row != self._row:
            self._code.local(False, 0, _FRAME + 4 * row)
            self._code.local(False, 1, 0)
            self._code.add(0, 1)
            self._row, self._passed = row, 0
        self._code.advance(0, 1, 4 * (word - self._passed))
        self._code.load(registers)
        self._passed = word + len(registers)


def next_pair(c: Code, strip: Strip) -> None:
    """Move on to the windows of the next pair of pixels."""
    c.local(False, 0, 0)
    c.advance(0, 1, 4 * strip.step)
    c.local(True, 0, 0)


def first_pair(c: Code) -> int:
    """Begin a loop over pairs; where it begins."""
    c.emit(0x2000)  # movs r0, #0
    c.local(True, 0, 0)
    return len(c.words)


def _segment(c: Code, trits: S8Array, first: int, last: int, strip: Strip) -> None:
    """One tile of rows and block of columns for all pairs of pixels."""
    start = first_pair(c)
    _body(c, trits, first, last, strip)
    next_pair(c, strip)
    store_sums(c, len(trits), start)
    c.local(False, 1, 8)
    c.add(0, 1)
    c.local(True, 0, 4)


def windows(strip: Strip) -> tuple[list[int], list[int]]:
    """For each column the group of those that one address reaches, and its word behind that: see add_pairs."""
    places = strip.places()
    each = -(-strip.width // WINDOW)
    return [y * each + word // WINDOW for y, word in places], [word % WINDOW for _, word in places]


def places(strip: Strip) -> list[int]:
    """For each column where its input is, in words; those of different kernel rows are further apart than a load
    reaches."""
    return [y * (strip.width + MOST) + word for y, word in strip.places()]


def _body(c: Code, trits: S8Array, first: int, last: int, strip: Strip) -> None:
    if c.wide and _paired_body(c, trits, first, last, strip):
        return
    wanted = (first + np.flatnonzero(trits[:, first:last].any(axis=0))).tolist()
    part = np.ascontiguousarray(trits[:, wanted])
    columns = Columns(c, strip, wanted)
    fresh = set(range(len(trits)))
    if c.wide:
        _add_in_order(c, part, columns, fresh)
    else:
        every = places(strip)
        _add_groups(c, part, columns, [every[k] for k in wanted], fresh)
    for i in sorted(fresh):
        c.zero(ROWS[i], 1)


def _add_in_order(c: Code, trits: S8Array, columns: Columns, fresh: set[int]) -> None:
    """The wanted columns, as many at once as are loaded by one instruction."""
    inputs = inputs_of(len(trits))
    at = 0
    while at < trits.shape[1]:
        count = columns.load(at, inputs)
        for register, k in zip(inputs, range(at, at + count), strict=False):
            add_column(c, trits[:, k].tolist(), register, fresh)
        at += count


def _add_groups(c: Code, trits: S8Array, columns: Columns, where: Sequence[int], fresh: set[int]) -> None:
    """The wanted columns, whose inputs are at `where`, in groups that share additions (column_groups.py)."""
    inputs = inputs_of(len(trits))
    for group in groups_of(trits, where).groups:
        offsets = [where[group.first + i] - where[group.first] for i in range(group.count)]
        columns.load_words(group.first, inputs[: offsets[-1] + 1])
        add_group(c, trits, group, [inputs[k] for k in offsets], fresh)


def _paired_body(c: Code, trits: S8Array, first: int, last: int, strip: Strip) -> bool:
    """The sums, by columns that share additions; False where nothing is gained."""
    part = np.ascontiguousarray(trits[:, first:last])
    each = -(-strip.width // WINDOW)
    groups, words = windows(strip)
    if not pair_columns(part, tuple(groups[first:last])).loads:
        return False

    def enter(group: int) -> None:
        c.local(False, 0, _FRAME + 4 * (group // each))
        c.local(False, 1, 0)
        c.add(0, 1)
        c.advance(0, 1, 4 * WINDOW * (group % each))

    add_pairs(c, part, tuple(groups[first:last]), words[first:last], enter)
    return True


class StripReader(Reader):
    """Runs code on symbols: an input is a unit vector over the words that windows can reach, kernel row after
    kernel row; the sums of the four pairs must be the same trits, one step apart."""

    _POINTERS, _ROW = 1 << 50, 1 << 24

    def __init__(self, raw: bytes, rows: int, strip: Strip) -> None:
        super().__init__(raw, rows, strip.cols, 1)
        self.strip = strip
        self.reach = strip.width + (PAIRS - 1) * strip.step

    def run(self) -> Array:
        """(blocks, rows, cols) trits; EdgebitError unless the code is of the kind `generate` makes."""
        self.r[0], self.r[1], self.r[2], self.r[3] = self._POINTERS, self._ACC, 0, 0
        self.follow()
        sums = self.sums(self.strip.rows * self.reach)
        where = np.array([y * self.reach + word for y, word in self.strip.places()])
        trits = sums[:, 0][:, where]
        for pair in range(PAIRS):
            want = np.zeros_like(sums[:, pair])
            np.put_along_axis(want, np.tile(where + pair * self.strip.step, (len(want), 1)), trits, axis=1)
            if (want != sums[:, pair]).any():
                raise EdgebitError("code: pixels are not treated alike, or it reads outside its windows")
        return np.ascontiguousarray(trits.reshape(-1, self.rows, self.cols))

    def _input(self, address: int) -> tuple[int, Vector]:
        row, at = divmod(address - self._X, self._ROW)
        if not 0 <= row < self.strip.rows or at >= 4 * self.reach or at % 4:
            raise EdgebitError("code: it reads outside its inputs")
        v: Vector = np.zeros(self.strip.rows * self.reach, np.int64)
        v[row * self.reach + at // 4] = 1
        return 0, v

    def _store(self, address: int, register: int) -> None:
        at, v = (address - self._ACC) // 4, self.r[register]
        if at < 0 or at in self.stored or address % 4:
            raise EdgebitError("code: it stores a sum twice or outside acc")
        if v == 0:
            v = (0, np.zeros(self.strip.rows * self.reach, np.int64))
        if isinstance(v, int):
            raise EdgebitError("code: it stores an address")
        self.stored[at] = v[1]

    def _step(self, at: int) -> int:
        h = self.code[at]
        if h >> 11 == 0b01101 and self.r[h >> 3 & 7] == self._POINTERS:  # where a kernel row begins
            self.r[h & 7] = self._X + self._ROW * (h >> 6 & 31)
            return at + 1
        if h in (0xB080 | (_FRAME >> 2) + self.strip.rows, 0xB000 | (_FRAME >> 2) + self.strip.rows):
            return at + 1
        return super()._step(at)
