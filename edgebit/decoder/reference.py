"""Runs a decoder in NumPy: what every target must equal, byte for byte.

ref = Reference(decoder, precision, context)
logits = ref.run([1, 2, 3])[-1]      # a tile of tokens; the next run goes on after it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from edgebit.decoder import canonical, ops
from edgebit.decoder.canonical import Projection, Rows
from edgebit.decoder.model import PROJECTIONS, Decoder
from edgebit.decoder.precision import Precision
from edgebit.decoder.rope import tables
from edgebit.errors import ModelError, UsageError
from edgebit.ir.graph import Array, F32Array

Inputs: TypeAlias = tuple[Array, F32Array | None]
"""Of projections: int8 with the steps in 1, or binary32 and None."""
_KEPT_BYTES = 1 << 29  # weights of up to this many trits stay in memory between tokens


@dataclass
class _Cache:
    """Keys or values of one layer, (kv_heads, context, hd) as stored; unit (kv_heads, context) of int8."""

    data: Array
    unit: F32Array | None

    def write(self, position: int, x: F32Array, kind: str) -> None:
        """x (T, kv_heads, hd)"""
        x = np.ascontiguousarray(x.transpose(1, 0, 2))
        span = slice(position, position + x.shape[1])
        if kind == "int8":
            assert self.unit is not None
            self.data[:, span], self.unit[:, span] = ops.store_s8(x)
        else:
            self.data[:, span] = ops.store_f16(x) if kind == "f16" else x


@dataclass
class Reference:
    """A decoder with its state. context: how many positions it may hold.

    hidden holds, after each run, every layer's output (T, width), the final normalisation's after them.
    """

    decoder: Decoder
    precision: Precision
    context: int
    position: int = 0
    hidden: list[F32Array] = field(default_factory=list)
    _weights: dict[tuple[str, int], Projection] = field(default_factory=dict)
    _rows: dict[str, Rows] = field(default_factory=dict)

    def __post_init__(self) -> None:
        spec = self.decoder.spec
        canonical.check_spec(spec)
        if not 1 <= self.context <= spec.max_context:
            raise UsageError(
                f"a context of {self.context} positions; {self.decoder.source or 'the model'} has at most {spec.max_context}"
            )
        self._rope = tables(spec.rope, spec.head_dim, self.context)
        kind = {"f32": np.float32, "f16": np.float16, "int8": np.int8}[self.precision.kv]
        shape = (spec.kv_heads, self.context, spec.head_dim)

        def cache() -> _Cache:
            unit = np.zeros(shape[:2], np.float32) if self.precision.kv == "int8" else None
            return _Cache(np.zeros(shape, kind), unit)

        self._kv = [(cache(), cache()) for _ in range(spec.layers)]
        shapes = [canonical.shape_of(spec, role) for role in PROJECTIONS]
        self._keep = spec.layers * sum(rows * cols for rows, cols in shapes) <= _KEPT_BYTES

    def projection(self, role: str, layer: int) -> Projection:
        """A layer's projection; kept in memory when the model is small."""
        found = self._weights.get((role, layer))
        if found is None:
            found = canonical.projection(self.decoder, role, layer, self.precision)
            if self._keep:
                self._weights[role, layer] = found
        return found

    def rows(self, role: str) -> Rows:
        """ "embed" or "head" (the embedding when they are tied)."""
        if role == "head" and self.decoder.spec.tied:
            role = "embed"
        if role not in self._rows:
            self._rows[role] = canonical.rows(self.decoder, role, self.precision)
        return self._rows[role]

    def reset(self) -> None:
        """Forget all tokens."""
        self.position = 0

    def run(self, ids: Sequence[int], *, last_only: bool = False) -> F32Array:
        """Take tokens in; the logits after each of them (T, vocab), or after the last (1, vocab)."""
        tokens = np.asarray(list(ids), np.int64)
        spec = self.decoder.spec
        if tokens.size == 0 or tokens.min() < 0 or tokens.max() >= spec.vocab:
            raise UsageError(f"tokens are numbers in 0..{spec.vocab - 1}, and at least one is needed")
        if self.position + len(tokens) > self.context:
            raise UsageError(f"the context of {self.context} positions is full")
        h = self.rows("embed").take(tokens)
        self.hidden = []
        for layer in range(spec.layers):
            h = self._layer(layer, h)
            self.hidden.append(h)
        self.position += len(tokens)
        h = ops.rms_norm(h, canonical.norm(self.decoder, "final_norm", None), spec.norm_eps)
        self.hidden.append(h)
        if not np.isfinite(h).all():
            raise ModelError(
                f"{self.decoder.source or 'the model'}: activations overflow; its weights are damaged"
            )
        return ops.head(h[-1:] if last_only else h, self.rows("head"))

    def _layer(self, layer: int, h: F32Array) -> F32Array:
        spec = self.decoder.spec

        def norm(x: F32Array, role: str) -> F32Array:
            return ops.rms_norm(x, canonical.norm(self.decoder, role, layer), spec.norm_eps)

        def project(x: Inputs, role: str) -> F32Array:
            p = self.projection(role, layer)
            return ops.project_f32(x[0], p) if x[1] is None else ops.project(x[0], x[1], p)

        def inputs(x: F32Array) -> Inputs:
            if self.precision.act == "f32":
                return x, None
            return ops.quantize(x, self.precision.act_block)

        a = inputs(norm(h, "attn_norm"))
        q, k, v = (
            project(a, r).reshape(len(h), heads, spec.head_dim)
            for r, heads in (("q", spec.heads), ("k", spec.kv_heads), ("v", spec.kv_heads))
        )
        if spec.qk_norm:
            q, k = norm(q, "q_norm"), norm(k, "k_norm")
        angles = self._rope[self.position : self.position + len(h)]
        o = self._attend(layer, ops.rotate(q, angles), ops.rotate(k, angles), v)
        if spec.sub_norms:
            o = norm(o, "attn_sub_norm")
        h = h + project(inputs(o), "o")
        b = inputs(norm(h, "ffn_norm"))
        f = ops.gated(project(b, "gate"), project(b, "up"), spec.activation)
        if spec.sub_norms:
            f = norm(f, "ffn_sub_norm")
        return np.asarray(h + project(inputs(f), "down"), np.float32)

    def _attend(self, layer: int, q: F32Array, k: F32Array, v: F32Array) -> F32Array:
        spec, kind = self.decoder.spec, self.precision.kv
        keys, values = self._kv[layer]
        keys.write(self.position, k, kind)
        values.write(self.position, v, kind)
        end, shared = self.position + len(q), spec.heads // spec.kv_heads
        out = np.empty_like(q)
        for g in range(spec.kv_heads):
            units = None
            if keys.unit is not None and values.unit is not None:
                units = (keys.unit[g, :end], values.unit[g, :end])
            mine = slice(g * shared, (g + 1) * shared)
            out[:, mine] = ops.attention(
                q[:, mine],
                keys.data[g, :end].astype(np.float32),
                values.data[g, :end].astype(np.float32),
                units,
                self.position,
            )
        return out.reshape(len(q), -1)


def greedy(ref: Reference, prompt: Sequence[int], tokens: int, *, stop: Sequence[int] = ()) -> list[int]:
    """The `tokens` most likely tokens after a prompt, one by one (the first of equals); fewer at one of `stop`."""
    ref.reset()
    out: list[int] = []
    logits = ref.run(prompt, last_only=True)[-1]
    while True:
        best = int(np.argmax(logits))
        out.append(best)
        if len(out) == tokens or best in stop or ref.position == ref.context:
            return out
        logits = ref.run([best])[-1]
