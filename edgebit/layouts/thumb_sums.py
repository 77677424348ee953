"""The sums of one pair of pixels as straight-line Thumb code (see thumb.py).

Without 32-bit instructions inputs are loaded in order, two or three at a time. With them (Armv7-M) a load may take any
column, at no more cost: two columns that share additions are loaded together (column_pairs.py), r1 and r2; r1 becomes
their sum for the rows where the signs agree, then their difference for those where they do not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np

from edgebit.ir.graph import S8Array
from edgebit.layouts.column_pairs import WINDOW, pair_columns
from edgebit.layouts.thumb_code import ROWS, Code


def body(c: Code, trits: S8Array, biased: Collection[int] = ()) -> int:
    """The sums of one pair of pixels; returns how many columns r0 has passed. biased: rows that begin with 0x4000 in
    both lanes."""
    size, cols = trits.shape
    if c.wide and pair_columns(trits, _windows(cols)).loads:
        return _paired_body(c, trits, biased)
    inputs = (1, 2, 3) if size < len(ROWS) else (1, 2)
    busy: list[bool] = np.asarray(trits.any(axis=0)).tolist()
    columns: list[list[int]] = trits.T.tolist()
    fresh = set(range(size))
    at = passed = 0
    while at < cols:
        if not busy[at]:
            at += 1
            continue
        while at > passed:
            step = min(at - passed, 63)
            c.advance(0, 1, 4 * step)
            passed += step
        taken = max(n for n in range(1, min(len(inputs), cols - at) + 1) if busy[at + n - 1])
        c.load(inputs[:taken])
        for register, column in zip(inputs, columns[at : at + taken], strict=False):
            add_column(c, column, register, fresh, biased)
        at += taken
        passed = at
    for i in sorted(fresh):
        c.bias(ROWS[i]) if i in biased else c.zero(ROWS[i], 1)
    return passed


def add_column(c: Code, column: Sequence[int], x: int, fresh: set[int], biased: Collection[int] = ()) -> None:
    """Add the input in register x to rows of trit 1 and subtract it from rows of trit -1. fresh, biased: rows that
    have no sum yet, and those that begin with a bias."""
    late: list[int] = []
    for i, trit in enumerate(column):
        row = ROWS[i]
        if trit < 0 and row >= 8 and not c.wide:
            late.append(i)
        elif trit and i in fresh and i in biased:
            c.bias(row, x, trit < 0)
        elif trit and i in fresh:
            (c.mov if trit > 0 else c.neg)(row, x)
        elif trit:
            (c.add if trit > 0 else c.sub)(row, x)
    if late:
        c.neg(x, x)
    for i in late:
        (c.mov if i in fresh else c.add)(ROWS[i], x)
    fresh -= {i for i, trit in enumerate(column) if trit}


def _windows(cols: int) -> tuple[int, ...]:
    return tuple(k // WINDOW for k in range(cols))


def _paired_body(c: Code, trits: S8Array, biased: Collection[int]) -> int:
    passed = 0

    def enter(window: int) -> None:
        nonlocal passed
        c.advance(0, 1, 4 * (WINDOW * window - passed))
        passed = WINDOW * window

    cols = trits.shape[1]
    add_pairs(c, trits, _windows(cols), [k % WINDOW for k in range(cols)], enter, biased)
    return passed


def add_pairs(
    c: Code,
    trits: S8Array,
    groups: tuple[int, ...],
    words: Sequence[int],
    enter: Callable[[int], None],
    biased: Collection[int] = (),
) -> None:
    """The sums of (rows, cols) trits, for Armv7-M. Column k is the word words[k] after r0 once `enter` has made r0 that
    of its group groups[k]; it may use r1."""
    fresh = set(range(len(trits)))
    inputs = (1, 2, 3) if len(trits) < len(ROWS) else (1, 2)
    loads = pair_columns(trits, groups).loads
    group = -1
    at = 0
    while at < len(loads):
        if groups[loads[at][0]] != group:
            group = groups[loads[at][0]]
            enter(group)
        if len(loads[at]) == 2:
            a, b = loads[at]
            for register, k in zip((1, 2), (a, b), strict=True):
                c.load_at(register, 4 * words[k])
            _add_pair(c, trits[:, a], trits[:, b], fresh, biased)
            at += 1
            continue
        alone = [at]
        while len(alone) < len(inputs) and alone[-1] + 1 < len(loads):
            following = loads[alone[-1] + 1]
            if len(following) == 2 or groups[following[0]] != group:
                break
            alone.append(alone[-1] + 1)
        for register, i in zip(inputs, alone, strict=False):
            c.load_at(register, 4 * words[loads[i][0]])
        for register, i in zip(inputs, alone, strict=False):
            add_column(c, trits[:, loads[i][0]].tolist(), register, fresh, biased)
        at = alone[-1] + 1
    for i in sorted(fresh):
        c.bias(ROWS[i]) if i in biased else c.zero(ROWS[i], 1)


def _add_pair(c: Code, a: S8Array, b: S8Array, fresh: set[int], biased: Collection[int]) -> None:
    """Two columns of trits, whose inputs are in r1 and r2."""
    same, opposite = a * b > 0, a * b < 0
    together = (same & (np.count_nonzero(same) > 1), opposite & (np.count_nonzero(opposite) > 1))
    apart = ~(together[0] | together[1])
    add_column(c, (a * apart).tolist(), 1, fresh, biased)
    add_column(c, (b * apart).tolist(), 2, fresh, biased)
    if together[0].any():
        c.add(1, 2)
        add_column(c, (a * together[0]).tolist(), 1, fresh, biased)
    if together[1].any():
        c.sub_twice(1, 2) if together[0].any() else c.sub(1, 2)
        add_column(c, (a * together[1]).tolist(), 1, fresh, biased)
