"""Ternary matrices out of stored numbers: packed codes, float values that are ternary, and training masters."""

from __future__ import annotations

from typing import Literal

import numpy as np

from edgebit.errors import ModelError
from edgebit.importers._blob import row_blocks
from edgebit.importers._onnx_ternary import HALF_TOL, SAME_TOL
from edgebit.ir.graph import Array, F32Array, S8Array

GROUPS = (128, 64, 32)
"""Numbers of inputs that may share a scale of their own, tried in this order."""
MIN_ALIKE = 16
"""How many elements must share a magnitude that is theirs alone (a row's, a column's) for it to be no accident."""
TOLERANCE = {"f32": SAME_TOL, "f16": HALF_TOL, "bf16": 2.0**-7}
"""Relative: which magnitudes count as the same, by how they are stored (at most one unit in the last place of a half)."""

Masters = Literal["absmean", "sign"]


def unpack_bands(packed: Array, rows: int, where: str) -> S8Array:
    """Trits (rows, K) from uint8 (ceil(rows / 4), K): bits 2i and 2i + 1 of a byte in row r are row i * R + r, plus one.

    R = ceil(rows / 4). Codes past the last row are not looked at.
    """
    band = packed.shape[0]
    out: S8Array = np.empty((rows, packed.shape[1]), np.int8)
    for i in range(4):
        part = out[i * band : (i + 1) * band]
        np.right_shift(packed[: len(part)], 2 * i, out=part.view(np.uint8))
        part &= 3
        if (part == 3).any():
            raise ModelError(f"{where}: holds the code 3, which is no trit; it is not packed ternary weights")
        part -= 1
    return out


def whole_bytes(values: F32Array, where: str) -> Array:
    """Packed bytes that were stored in a float type, as uint8."""
    if not np.all((values >= 0) & (values <= 255) & (values == np.rint(values))):
        raise ModelError(f"{where}: has the shape of packed weights, but its values are not bytes")
    return values.astype(np.uint8)


def find_scales(data: Array, dtype: str, where: str) -> tuple[F32Array, int] | None:
    """Scale and group, when every value of a matrix is 0 or plus or minus a scale; else None.

    Looks for one scale for all, (1, 1); one a row, (R, 1); one a band of columns, (1, K / group); one a group of
    inputs of a row, (R, K / group). Bands wider than 128 that divide into groups of 128 are stated by those. Where
    magnitudes that belong together differ in their last place the scale is the middle. Parts that are all zero take
    the scale of another part.
    """
    out, k = data.shape
    unit = GROUPS[-1] if k % GROUPS[-1] == 0 else k
    top = np.zeros((out, k // unit), np.float32)
    low = np.full_like(top, np.inf)
    col_top, col_low = np.zeros(k, np.float32), np.full(k, np.inf, np.float32)
    for rows, values in row_blocks(data, dtype, where):
        mag = np.abs(values)
        parts = mag.reshape(len(mag), -1, unit)
        top[rows] = parts.max(axis=2)
        np.maximum(col_top, mag.max(axis=0), out=col_top)
        mag[mag == 0] = np.inf
        low[rows] = parts.min(axis=2)
        np.minimum(col_low, mag.min(axis=0), out=col_low)
    tol = TOLERANCE[dtype]
    found = merge_scales(top, low, (1, 1), tol) if data.size >= 2 * MIN_ALIKE else None
    if found is None and k >= MIN_ALIKE:
        found = merge_scales(top, low, (out, 1), tol)
    if found is not None:
        return found, 0
    if out >= MIN_ALIKE:
        column = merge_scales(col_top[None], col_low[None], (1, k), tol)
        if column is not None:
            return _bands(col_top, col_low, tol)
    for group in GROUPS:
        if k % group == 0:
            found = merge_scales(top, low, (out, k // group), tol)
            if found is not None:
                return found, group
    return None


def merge_scales(top: F32Array, low: F32Array, shape: tuple[int, int], tol: float) -> F32Array | None:
    """The scales if top and low, merged to `shape`, agree everywhere.

    top, low: the largest and the least magnitude of each part that is not 0; 0 and infinity for a part of zeros.
    """
    n, m = shape
    top = top.reshape(n, top.shape[0] // n, m, top.shape[1] // m).max(axis=(1, 3))
    low = low.reshape(n, low.shape[0] // n, m, low.shape[1] // m).min(axis=(1, 3))
    used = top > 0
    if not np.all(top[used] <= low[used] * np.float32(1 + tol)):
        return None
    base = np.where(used, low, 0)
    return filled((base + (top - base) / 2).astype(np.float32), used)


def filled(scale: F32Array, used: Array) -> F32Array:
    if not used.any():
        return np.ones_like(scale)
    return np.where(used, scale, scale.flat[int(np.argmax(used))]).astype(np.float32)


def _bands(top: F32Array, low: F32Array, tol: float) -> tuple[F32Array, int]:
    """The widest equal bands of columns that have one scale each."""
    k = len(top)
    for group in sorted((g for g in range(1, k) if k % g == 0), reverse=True):
        found = merge_scales(top[None], low[None], (1, k // group), tol)
        if found is not None:
            return _split(found, group)
    raise AssertionError("single columns were found to have one scale each")


def shared_scales(trits: S8Array, scale: F32Array) -> tuple[F32Array, int]:
    """Scale and group of trits (R, K) with scales (R, K / block), which hold what the blocks store.

    Blocks that are all zero take any scale. One scale for all, for a row or for a band of columns is stated once;
    blocks wider than a group of the runtime are split, narrower ones that agree are joined.
    """
    out, blocks = scale.shape
    k = trits.shape[1]
    used: Array = np.asarray(trits.reshape(out, blocks, -1).any(axis=2))
    top, low = np.where(used, scale, 0).astype(np.float32), np.where(used, scale, np.inf).astype(np.float32)
    for shape in ((1, 1), (out, 1), (1, blocks)):
        found = merge_scales(top, low, shape, 0.0)
        if found is not None:
            return (found, 0) if shape[1] == 1 else _split(found, k // blocks)
    block = k // blocks
    if block < GROUPS[0] and k % GROUPS[0] == 0:
        found = merge_scales(top, low, (out, k // GROUPS[0]), 0.0)
        if found is not None:
            return found, GROUPS[0]
    return _split(filled(top, used), block)


def _split(scale: F32Array, group: int) -> tuple[F32Array, int]:
    """The same scales for groups of GROUPS[0] inputs, where wider groups divide into those."""
    if group <= GROUPS[0] or group % GROUPS[0]:
        return scale, group
    return np.repeat(scale, group // GROUPS[0], axis=1), GROUPS[0]


def signs(data: Array, dtype: str, where: str) -> S8Array:
    """The sign of every value, as trits."""
    out: S8Array = np.empty(data.shape, np.int8)
    for rows, values in row_blocks(data, dtype, where):
        out[rows] = np.sign(values)
    return out


def quantise_masters(data: Array, dtype: str, how: Masters, where: str) -> tuple[S8Array, np.float32]:
    """Trits and scale of the float weights a network was trained with.

    absmean (BitNet b1.58): a = max(mean |W|, 1e-5), trits = clamp(rint(W * (1 / a)), -1, 1), scale = 1 / (1 / a).
    sign (the first BitNet): trits = +1 where W > mean W, else -1; scale = mean |W|. Means are of the whole matrix,
    summed in binary64 and rounded to binary32; products and quotients are binary32.
    """
    total = magnitude = 0.0
    for _, values in row_blocks(data, dtype, where):
        total += float(values.sum(dtype=np.float64))
        magnitude += float(np.abs(values).sum(dtype=np.float64))
    mean, absmean = np.float32(total / data.size), np.float32(magnitude / data.size)
    trits: S8Array = np.empty(data.shape, np.int8)
    if how == "sign":
        for rows, values in row_blocks(data, dtype, where):
            trits[rows] = np.where(values > mean, 1, -1)
        return trits, absmean
    inverse = np.float32(1) / np.maximum(absmean, np.float32(1e-5))
    for rows, values in row_blocks(data, dtype, where):
        trits[rows] = np.clip(np.rint(values * inverse), -1, 1)
    return trits, np.float32(1) / inverse
