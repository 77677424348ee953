"""Rotary position embedding: the angles of every position, from binary32 arithmetic as Hugging Face does it.

Formulas: "default" Su et al., RoFormer (2021); "linear" divides positions; "llama3" as in the Llama 3.1 release;
"yarn" Peng et al., YaRN (2023). Powers and trigonometric functions are taken in binary64 of binary32 arguments
and rounded, so that tables are the same wherever they are made.
"""

from __future__ import annotations

from math import ceil, floor, log, pi

import numpy as np

from edgebit.decoder.model import Rope
from edgebit.errors import ModelError
from edgebit.ir.graph import F32Array

_F = np.float32


def inverse_frequencies(rope: Rope, head_dim: int) -> tuple[F32Array, float]:
    """(head_dim / 2) binary32 angles a position, and what sines and cosines are multiplied by.

    ModelError when the parameters make no sense.
    """
    if head_dim % 2:
        raise ModelError(f"rotary position embedding needs an even head size, not {head_dim}")
    if not (rope.theta > 1.0 and np.isfinite(rope.theta) and rope.factor >= 1.0 and np.isfinite(rope.factor)):
        raise ModelError(f"rotary position embedding of base {rope.theta} and factor {rope.factor}")
    exponent = np.arange(0, head_dim, 2).astype(_F) / _F(head_dim)
    period = np.power(float(rope.theta), exponent.astype(np.float64)).astype(_F)
    inv = _F(1.0) / period
    if rope.kind == "default":
        return inv, 1.0
    if rope.kind == "linear":
        return inv / _F(rope.factor), 1.0
    if rope.kind not in ("llama3", "yarn"):
        raise ModelError(f"rotary position embedding of the kind {rope.kind!r} is not supported")
    if rope.original_max_position < 1:
        raise ModelError(
            f"rotary position embedding of the kind {rope.kind} names no original context length"
        )
    if rope.kind == "llama3":
        return _llama3(rope, inv), 1.0
    return _yarn(rope, period, head_dim)


def _llama3(rope: Rope, inv: F32Array) -> F32Array:
    """Low frequencies divided by the factor, high ones kept, those between blended."""
    low, high, old = rope.low_freq_factor, rope.high_freq_factor, rope.original_max_position
    if not high > low > 0:
        raise ModelError(f"llama3 rotary position embedding with frequency factors {low} and {high}")
    length = _F(2 * pi) / inv
    smooth = (_F(old) / length - _F(low)) / _F(high - low)
    slow = inv / _F(rope.factor)
    between = (_F(1) - smooth) * slow + smooth * inv
    out = np.where(length > _F(old / low), slow, inv)
    inside = (length >= _F(old / high)) & (length <= _F(old / low))
    return np.where(inside, between, out).astype(_F)


def _yarn(rope: Rope, period: F32Array, head_dim: int) -> tuple[F32Array, float]:
    """A ramp from the kept high frequencies to the divided low ones."""

    def dimension(rotations: float) -> float:
        return (head_dim * log(rope.original_max_position / (rotations * 2 * pi))) / (2 * log(rope.theta))

    if not rope.beta_fast > rope.beta_slow > 0:
        raise ModelError(f"yarn rotary position embedding with betas {rope.beta_fast} and {rope.beta_slow}")
    low = max(floor(dimension(rope.beta_fast)), 0)
    high: float = min(ceil(dimension(rope.beta_slow)), head_dim - 1)
    if low == high:
        high += 0.001
    ramp = np.clip((np.arange(head_dim // 2).astype(_F) - _F(low)) / _F(high - low), _F(0), _F(1))
    keep = _F(1) - ramp
    inv = (_F(1) / (_F(rope.factor) * period)) * (_F(1) - keep) + (_F(1) / period) * keep
    scale = rope.attention_factor
    if scale is None:
        scale = 0.1 * log(rope.factor) + 1.0 if rope.factor > 1 else 1.0
    return inv.astype(_F), float(scale)


def tables(rope: Rope, head_dim: int, positions: int) -> F32Array:
    """(positions, 2, head_dim / 2) binary32: cosines, then sines, of every position's angles."""
    inv, scale = inverse_frequencies(rope, head_dim)
    out = np.empty((positions, 2, head_dim // 2), _F)
    for start in range(0, positions, 4096):  # in parts, to need little memory
        p = np.arange(start, min(start + 4096, positions)).astype(_F)
        angle = (p[:, None] * inv).astype(np.float64)
        out[start : start + len(p), 0] = np.cos(angle).astype(_F) * _F(scale)
        out[start : start + len(p), 1] = np.sin(angle).astype(_F) * _F(scale)
    return out
