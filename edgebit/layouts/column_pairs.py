"""Columns of trits that share additions.

Where two columns of a tile of rows are both nonzero in several rows, and with the same product of signs, the sum (or
the difference) of their inputs is made once and added to all these rows: n rows take n + 1 instructions instead of
2 n. A column has at most one partner.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from edgebit.ir.graph import S8Array

WINDOW = 512
"""Only so many columns that lie together are compared with each other."""
MAX_ROWS = 32  # of a tile: gains are int8


@dataclass(frozen=True)
class Pairs:
    """loads: pairs of columns and then single ones, in the order of groups; saved: instructions saved by pairs. Both are
    nothing where so few would be saved that columns are better loaded in order."""

    loads: tuple[tuple[int, ...], ...]
    saved: int


def pair_columns(trits: S8Array, groups: tuple[int, ...]) -> Pairs:
    """Partners for the columns of (rows, cols) trits that have a nonzero; only columns of one group, a number each,
    ascending, are partners."""
    return _pair(trits.tobytes(), len(trits), groups)


@lru_cache(maxsize=1024)
def _pair(raw: bytes, rows: int, groups: tuple[int, ...]) -> Pairs:
    trits: S8Array = np.frombuffer(raw, np.int8).reshape(rows, len(groups))
    group = np.array(groups)
    loads: list[tuple[int, ...]] = []
    saved = 0
    for g in np.unique(group).tolist():
        here = np.flatnonzero(group == g)
        wanted = here[trits[:, here].any(axis=0)]
        paired, gain = _match(trits[:, wanted])
        alone = sorted(set(range(len(wanted))) - {k for pair in paired for k in pair})
        loads += [(int(wanted[a]), int(wanted[b])) for a, b in sorted(paired)]
        loads += [(int(wanted[k]),) for k in alone]
        saved += gain
    if 4 * saved < sum(map(len, loads)):
        return Pairs((), 0)
    return Pairs(tuple(loads), saved)


def _match(trits: S8Array) -> tuple[list[tuple[int, int]], int]:
    """The pairs that save most, greedily: always the best that is left, and the first of several."""
    rows, cols = trits.shape
    if rows > MAX_ROWS or rows < 2 or cols < 2:
        return [], 0
    x = trits.astype(np.float32)  # exact, and faster than integers
    size = np.abs(x)
    both, alike = size.T @ size, x.T @ x
    same, opposite = (both + alike) / 2, (both - alike) / 2
    gain = (np.maximum(same - 1, 0) + np.maximum(opposite - 1, 0)).astype(np.int8)
    gain[np.tril_indices(cols)] = 0
    pairs: list[tuple[int, int]] = []
    total = 0
    while True:
        a, b = divmod(int(gain.argmax()), cols)
        best = int(gain[a, b])
        if best <= 0:
            return pairs, total
        pairs.append((a, b))
        total += best
        for k in (a, b):
            gain[k] = gain[:, k] = 0
