"""The next token from logits, as runtime_c/text/sample.c draws it, id for id.

runtime_c/text/sample.h states the steps. Weights are integers (2^31 for the likeliest token), so sums are exact and
the C code's order of additions does not matter; exp is EdgeBit's own (edgebit/ops/floatmath.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgebit.errors import ModelError, UsageError
from edgebit.ir.graph import Array
from edgebit.ops import floatmath

_F = np.float32
_M64 = (1 << 64) - 1


class Rng:
    """PCG32 (O'Neill 2014, XSH RR 64/32), stream 54."""

    def __init__(self, seed: int) -> None:
        self._state, self._increment = 0, (54 << 1) | 1
        self.next()
        self._state = (self._state + (seed & _M64)) & _M64
        self.next()

    def next(self) -> int:
        """A uniform number of 32 bits."""
        old = self._state
        self._state = (old * 6364136223846793005 + self._increment) & _M64
        x = (((old >> 18) ^ old) >> 27) & 0xFFFFFFFF
        turn = old >> 59
        return ((x >> turn) | (x << (-turn & 31))) & 0xFFFFFFFF


@dataclass(frozen=True)
class Sampling:
    """How to choose; the defaults choose the likeliest token. UsageError for a value outside its range."""

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        limits = {
            "temperature": (0.0 <= _F(self.temperature) < np.inf, "at least 0"),
            "top-k": (0 <= self.top_k < 1 << 32, "at least 0"),
            "top-p": (0.0 < _F(self.top_p) <= 1.0, "above 0 and at most 1"),
            "min-p": (0.0 <= _F(self.min_p) <= 1.0, "between 0 and 1"),
            "repetition penalty": (0.0 < _F(self.repetition_penalty) < np.inf, "above 0"),
        }
        for name, (good, range_) in limits.items():
            if not good:
                raise UsageError(f"{name} must be {range_}")


@np.errstate(all="ignore")
def weights(logits: Array, how: Sampling, history: Sequence[int] = ()) -> tuple[Array, int]:
    """Integer weights (n,) uint64 of the tokens that may be drawn, and the likeliest token.

    logits: (n,) binary32, finite or -infinity. history: ids whose logits are penalised. ModelError for NaN or
    +infinity, and when all are -infinity.
    """
    v = np.array(logits, np.float32)
    if how.repetition_penalty != 1.0:
        ids = np.unique([i for i in history if i < len(v)]).astype(np.int64)
        penalty = _F(how.repetition_penalty)
        v[ids] = np.where(v[ids] > 0, v[ids] / penalty, v[ids] * penalty)
    if not (v < np.inf).all() or not (v > -np.inf).any():
        raise ModelError("a logit is not finite: the model's weights or its input are damaged")
    best = int(np.argmax(v))
    if how.temperature == 0.0:
        return np.eye(1, len(v), best, np.uint64)[0], best
    ids = np.arange(len(v))
    kept = np.ones(len(v), bool)
    if 0 < how.top_k < len(v):
        kept[np.lexsort((ids, -v))[how.top_k :]] = False
    x = np.where(v == v[best], _F(0.0), (v - v[best]) * (_F(1.0) / _F(how.temperature)))
    w = floatmath.exp(x)
    q = np.where(kept & (w >= _F(how.min_p)), w * _F(2.0**31), _F(0.0)).astype(np.uint64)
    if _F(how.top_p) < 1.0:
        share = int(_F(how.top_p) * _F(2.0**24))
        target = max(1, (int(q.sum()) * share) >> 24)
        order = np.lexsort((ids, -q.astype(np.int64)))
        last = int(np.searchsorted(np.cumsum(q[order]), np.uint64(target)))
        q[order[last + 1 :]] = 0
    return q, best


def sample(logits: Array, how: Sampling, history: Sequence[int], rng: Rng) -> int:
    """The id of the next token."""
    q, best = weights(logits, how, history)
    if how.temperature == 0.0:
        return best
    total = int(q.sum())
    left = (((rng.next() << 32) | rng.next()) * total) >> 64
    return int(np.searchsorted(np.cumsum(q), np.uint64(left), side="right"))
