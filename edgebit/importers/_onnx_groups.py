"""Weights with a scale for each group of inputs of a row: as blocks store them, or seen in float values.

A group is a run of inputs, a multiple of 16 long; the last one of a row may be shorter. The widest groups that
hold the same weights are taken; rows that have one scale throughout are plain ternary weights.
"""

from __future__ import annotations

import numpy as np

from edgebit.importers._onnx_ternary import HALF_TOL, MIN_AGREEING, SAME_TOL, ZERO_TOL
from edgebit.importers._ternary_values import merge_scales
from edgebit.ir.graph import Array, F32Array, GroupTernaryWeights, S8Array, TernaryWeights

UNIT, MOST = 16, 65536
"""A group is a multiple of UNIT inputs, of at most MOST."""
FIRST_ROWS = 64  # which are looked at first, since most matrices have no groups


def group_weights(
    trits: S8Array, top: F32Array, low: F32Array, unit: int, tol: float = 0.0
) -> TernaryWeights | None:
    """Trits (N, K) with the scales that fit them, in groups as wide as can be; None when a unit has several.

    top, low: (N, ceil(K / unit)), the largest and the least magnitude of a unit's weights that are not 0 (0 and
    infinity for units of zeros, which take any scale). unit: a multiple of 16 up to 65536. tol: relative, which
    magnitudes count as the same.
    """
    rows, units = top.shape
    scale = merge_scales(top, low, (rows, 1), tol)
    if scale is not None:
        return TernaryWeights(trits, scale[:, 0])
    for wide in _widths(units, MOST // unit):
        groups = -(-units // wide)
        more = ((0, 0), (0, groups * wide - units))
        padded = np.pad(top, more), np.pad(low, more, constant_values=np.inf)
        scale = merge_scales(*padded, (rows, groups), tol)
        if scale is not None:
            return GroupTernaryWeights(trits, scale, wide * unit)
    return None


def _widths(units: int, most: int) -> list[int]:
    """Numbers of units that are tried as a group's: powers of two and three times those, the widest first."""
    found = {f << i for f in (1, 3) for i in range(units.bit_length())}
    return sorted((w for w in found if w < units and w <= most), reverse=True)


def find_groups(values: F32Array, half: bool = False, stored: bool = False) -> TernaryWeights | None:
    """Finite weights (N, K) that are 0 or plus or minus one magnitude in each group of inputs; else None.

    half: the values passed through FLOAT16, so equal magnitudes may differ by its rounding. stored: they are trits
    times scales by what the file says, so nothing but equality counts. Otherwise they have to prove it, and to have
    several scales in a row: what has one is for `find_ternary` to judge.
    """
    if not stored and values.shape[1] <= UNIT:
        return None
    for noise, tol in ((0.0, 0.0),) if stored else ((0.0, 0.0), (ZERO_TOL, HALF_TOL if half else SAME_TOL)):
        few = len(values) <= FIRST_ROWS or _fit(values[:FIRST_ROWS], noise, tol) is not None
        found = _fit(values, noise, tol) if few else None
        if found is not None:
            return found if stored or _evidence(found) else None
    return None


def _fit(values: F32Array, noise: float, tol: float) -> TernaryWeights | None:
    """The weights if they have groups. noise: what is 0, as a part of the largest magnitude of a row."""
    mag = np.abs(values)
    mag[mag <= noise * mag.max(axis=1, keepdims=True, initial=0)] = 0
    trits = (np.sign(values) * (mag > 0)).astype(np.int8)
    units = np.pad(mag, ((0, 0), (0, -mag.shape[1] % UNIT))).reshape(len(mag), -1, UNIT)
    top = units.max(axis=2)
    units[units == 0] = np.inf
    return group_weights(trits, top, units.min(axis=2), UNIT, tol)


def _evidence(w: TernaryWeights) -> bool:
    """Several scales in a row are no accident if enough elements agree beyond the one per group that sets its
    scale, as many as there are groups at least, and zeros or both signs occur in half of the groups. Pruned
    matrices, which have a lone weight here and there, are no ternary ones."""
    if not isinstance(w, GroupTernaryWeights):
        return False
    starts = np.arange(0, w.trits.shape[1], w.group)
    sizes = np.diff(starts, append=w.trits.shape[1])
    nonzero = _sums(w.trits != 0, starts)
    used = nonzero > 0
    mixed = (nonzero < sizes) | (np.abs(_sums(w.trits, starts)) < nonzero)
    n = int(used.sum())
    return int((nonzero[used] - 1).sum()) >= max(MIN_AGREEING, n) and 2 * int((mixed & used).sum()) >= n


def _sums(values: Array, starts: Array) -> Array:
    return np.asarray(np.add.reduceat(values.astype(np.int32), starts, axis=1))
