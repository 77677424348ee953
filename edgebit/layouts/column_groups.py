"""Columns of trits that Armv6-M loads together, and the additions that two of them share.

Inputs are loaded in order, up to three by one instruction. Where two of these columns are both nonzero in several rows
of a tile, and with the same product of signs, the sum (or the difference) of their inputs is made once and added to
all these rows. High registers can only be added to, so what a register holds is negated, which takes an instruction,
where some of them need it the other way round; often the sum can be made with either sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from edgebit.ir.graph import S8Array

Flags = npt.NDArray[np.bool_]
Costs = npt.NDArray[np.int64]
_PAIRS = ((), ((0, 1),), ((0, 1), (1, 2), (0, 2)))  # of groups of one column, two, three
MOST = len(_PAIRS)
"""Words that a load takes, at most."""
NOTHING = (0, 0)


@dataclass(frozen=True)
class Group:
    """`count` columns from the `first`th on. pair: the two of them that share additions. sum: the sign with which their
    sum is made, 0 when it is not; difference likewise, but after a sum it may have any sign."""

    first: int
    count: int
    pair: tuple[int, int] = NOTHING
    sum: int = 0
    difference: int = 0


@dataclass(frozen=True)
class Plan:
    """groups, in order; how many instructions add, subtract or negate, and how many words are loaded."""

    groups: tuple[Group, ...]
    adds: int
    inputs: int


def group_columns(trits: S8Array, places: tuple[int, ...], high: tuple[int, ...], most: int) -> Plan:
    """The groups of least cost for (rows, cols) trits, each column with a nonzero at least. places: where inputs are,
    in words, ascending; a load takes up to `most` (<= MOST) words that lie together, wanted or not. high: rows in
    high registers."""
    return _group(trits.tobytes(), len(trits), places, high, most)


@lru_cache(maxsize=1024)
def _group(raw: bytes, rows: int, places: tuple[int, ...], high: tuple[int, ...], most: int) -> Plan:
    trits: S8Array = np.frombuffer(raw, np.int8).reshape(rows, len(places))
    cols = len(places)
    own = _uses(trits, list(high))
    alone = own.tolist()
    shared = {apart: _best(trits, apart, list(high), own) for apart in range(1, min(most, cols))}
    # cost[k], made[k]: of the first k columns, and the last group in them
    cost: list[int] = [0] + [1 << 60] * cols
    made: list[tuple[Group, int]] = [(Group(0, 0), 0)] * (cols + 1)
    for first in range(cols):
        jump = first > 0 and places[first] != places[first - 1] + 1
        adds = 0
        for count in range(1, min(most, cols - first) + 1):
            last = first + count - 1
            words = places[last] - places[first] + 1
            if words > most:
                break
            adds += alone[last]
            group, least = Group(first, count), adds
            for a, b in _PAIRS[count - 1]:
                saved, sum_, difference = shared[b - a][first + a]
                if adds - saved < least:
                    group, least = Group(first, count, (a, b), sum_, difference), adds - saved
            whole = cost[first] + jump + 1 + words + least
            if whole < cost[last + 1]:
                cost[last + 1], made[last + 1] = whole, (group, least)
    groups: list[Group] = []
    adds = inputs = 0
    at = cols
    while at:
        group, least = made[at]
        groups.append(group)
        adds += least
        inputs += places[at - 1] - places[group.first] + 1
        at = group.first
    return Plan(tuple(reversed(groups)), adds, inputs)


def _uses(v: S8Array, high: list[int]) -> Costs:
    """Instructions that add each of (rows, n) columns of trits to rows."""
    return np.asarray(np.count_nonzero(v, axis=0) + _turns(v, high), np.int64)


def _turns(v: S8Array, high: list[int]) -> Flags:
    """Whether the input of each column is negated for high registers."""
    return np.asarray((v[high] < 0).any(axis=0), np.bool_)


def _best(trits: S8Array, apart: int, high: list[int], own: Costs) -> list[tuple[int, int, int]]:
    """For each column and the one `apart` columns on: instructions saved, and the signs of sum and difference."""
    a, b = trits[:, :-apart], trits[:, apart:]
    same, opposite = (a * b) > 0, (a * b) < 0
    least = own[:-apart] + own[apart:]
    plain = least.copy()
    signs = np.zeros((2, len(least)), np.int64)

    def offer(cost: Costs, possible: Flags, sum_: int, difference: int) -> None:
        better = possible & (cost < least)
        least[better] = cost[better]
        signs[0, better], signs[1, better] = sum_, difference

    for use_sum, use_difference in ((1, 0), (0, 1), (1, 1)):
        together = (same & bool(use_sum)) | (opposite & bool(use_difference))
        left, right = a * ~together, b * ~together
        base = _uses(left, high) + _uses(right, high)
        turned = (_turns(left, high), _turns(right, high))  # what the registers then hold
        for sign in (1, -1):
            if use_sum:
                possible = ~(turned[0] & turned[1]) if sign > 0 else turned[0] | turned[1]
                shared = (a * same * sign).astype(np.int8)
                cost = base + 1 + _uses(shared, high)
                if use_difference:
                    after = np.where(_turns(shared, high), -sign, sign)
                    cost = cost + 2 + _uses((a * opposite * after).astype(np.int8), high)
                offer(cost, possible, sign, use_difference)
            else:
                possible = ~(turned[0] & ~turned[1]) if sign > 0 else ~(~turned[0] & turned[1])
                offer(base + 1 + _uses((a * opposite * sign).astype(np.int8), high), possible, 0, sign)
    return list(zip((plain - least).tolist(), *signs.tolist(), strict=True))
