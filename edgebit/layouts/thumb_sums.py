"""The sums of one pair of pixels as straight-line Thumb code (see thumb.py).

Without 32-bit instructions inputs are loaded in order, up to three at a time, and two of those may share additions
(column_groups.py). With them (Armv7-M) a load may take any column, at no more cost: two columns that share additions
are loaded together (column_pairs.py). The first one's register becomes their sum for the rows where the signs agree,
then their difference for those where they do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from edgebit.ir.graph import S8Array
from edgebit.layouts.column_groups import Group, Plan, group_columns
from edgebit.layouts.column_pairs import WINDOW, pair_columns
from edgebit.layouts.thumb_code import ROWS, Code

NONE: Mapping[int, int] = MappingProxyType({})


def body(c: Code, trits: S8Array, biased: Mapping[int, int] = NONE) -> int:
    """The sums of one pair of pixels; returns how many columns r0 has passed. biased: rows that begin with so
    many times 256 in both lanes."""
    size, cols = trits.shape
    if c.wide and pair_columns(trits, _windows(cols)).loads:
        return _paired_body(c, trits, biased)
    if not c.wide:
        return _grouped_body(c, trits)
    inputs = inputs_of(size)
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
        c.bias(ROWS[i], biased[i]) if i in biased else c.zero(ROWS[i], 1)
    return passed


def inputs_of(rows: int) -> tuple[int, ...]:
    """Registers of inputs for a tile of that many rows."""
    return (1, 2, 3) if rows < len(ROWS) else (1, 2)


def groups_of(trits: S8Array, places: Sequence[int]) -> Plan:
    """The groups in which Armv6-M loads these columns of a tile, each with a nonzero, whose inputs are at `places`."""
    high = tuple(i for i in range(len(trits)) if ROWS[i] >= 8)
    return group_columns(trits, tuple(places), high, len(inputs_of(len(trits))))


def _grouped_body(c: Code, trits: S8Array) -> int:
    wanted = np.flatnonzero(trits.any(axis=0)).tolist()
    part = np.ascontiguousarray(trits[:, wanted])
    inputs = inputs_of(len(trits))
    fresh = set(range(len(trits)))
    passed = 0
    for group in groups_of(part, wanted).groups:
        places = wanted[group.first : group.first + group.count]
        while places[0] > passed:
            step = min(places[0] - passed, 63)
            c.advance(0, 1, 4 * step)
            passed += step
        passed = places[-1] + 1
        c.load(inputs[: passed - places[0]])
        add_group(c, part, group, [inputs[k - places[0]] for k in places], fresh)
    for i in sorted(fresh):
        c.zero(ROWS[i], 1)
    return passed


def add_group(c: Code, trits: S8Array, group: Group, registers: Sequence[int], fresh: set[int]) -> None:
    """Add the inputs of a group's columns, which are in these registers, to the rows of trits."""
    columns = [np.asarray(trits[:, group.first + i], np.int64) for i in range(group.count)]
    if not (group.sum or group.difference):
        for column, x in zip(columns, registers, strict=True):
            add_column(c, column.tolist(), x, fresh)
        return
    for i in set(range(group.count)) - set(group.pair):
        add_column(c, columns[i].tolist(), registers[i], fresh)
    a, b = (columns[i] for i in group.pair)
    x, y = (registers[i] for i in group.pair)
    same, opposite = (a * b > 0) & (group.sum != 0), (a * b < 0) & (group.difference != 0)
    apart = ~(same | opposite)
    sx = -1 if add_column(c, (a * apart).tolist(), x, fresh) else 1  # signs of a in x, of b in y
    sy = -1 if add_column(c, (b * apart).tolist(), y, fresh) else 1
    sign = group.difference
    if group.sum:
        sign = group.sum
        _combine(c, x, y, sx * sign, sy * sign)
        sign = -sign if add_column(c, (a * same * sign).tolist(), x, fresh) else sign
        if group.difference:
            c.add(y, y)
            _combine(c, x, y, 1, -sy * sign)
    else:
        _combine(c, x, y, sx * sign, -sy * sign)
    if group.difference:
        add_column(c, (a * opposite * sign).tolist(), x, fresh)


def _combine(c: Code, x: int, y: int, sx: int, sy: int) -> None:
    """x = sx x + sy y, not both negative."""
    if sx < 0:
        c.sub_low(x, y, x)
    elif sy < 0:
        c.sub_low(x, x, y)
    else:
        c.add(x, y)


def add_column(
    c: Code, column: Sequence[int], x: int, fresh: set[int], biased: Mapping[int, int] = NONE
) -> bool:
    """Add the input in register x to rows of trit 1 and subtract it from rows of trit -1. fresh, biased: rows that
    have no sum yet, and those that begin with a bias. Whether x is negated in the end."""
    late: list[int] = []
    for i, trit in enumerate(column):
        row = ROWS[i]
        if trit < 0 and row >= 8 and not c.wide:
            late.append(i)
        elif trit and i in fresh and i in biased:
            c.bias(row, biased[i], x, trit < 0)
        elif trit and i in fresh:
            (c.mov if trit > 0 else c.neg)(row, x)
        elif trit:
            (c.add if trit > 0 else c.sub)(row, x)
    if late:
        c.neg(x, x)
    for i in late:
        (c.mov if i in fresh else c.add)(ROWS[i], x)
    fresh -= {i for i, trit in enumerate(column) if trit}
    return bool(late)


def _windows(cols: int) -> tuple[int, ...]:
    return tuple(k // WINDOW for k in range(cols))


def _paired_body(c: Code, trits: S8Array, biased: Mapping[int, int]) -> int:
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
    biased: Mapping[int, int] = NONE,
) -> None:
    """The sums of (rows, cols) trits, for Armv7-M. Column k is the word words[k] after r0 once `enter` has made r0 that
    of its group groups[k]; it may use r1."""
    fresh = set(range(len(trits)))
    inputs = inputs_of(len(trits))
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
        c.bias(ROWS[i], biased[i]) if i in biased else c.zero(ROWS[i], 1)


def _add_pair(c: Code, a: S8Array, b: S8Array, fresh: set[int], biased: Mapping[int, int]) -> None:
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
