"""A decoder's tensors as every target sees them: checked, scales in one shape, the embedding in its precision.

Nothing that an importer hands over is trusted: shapes are those of the spec, trits are trits, scales finite.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import gcd
from typing import Literal, TypeAlias

import numpy as np

from edgebit.decoder.model import NORMS, PROJECTIONS, Decoder, DecoderSpec, FloatTensor
from edgebit.decoder.precision import Precision
from edgebit.errors import ModelError
from edgebit.ir.graph import Array, F32Array, S8Array

RowsKind: TypeAlias = Literal["s4", "s8", "bf16", "f16", "f32"]
S4_GROUP = 32
"""Numbers of a row that share a code, where they have four bits."""
_MAX_SIZE = {
    "vocab": 1 << 20,
    "width": 1 << 15,
    "layers": 512,
    "heads": 512,
    "kv_heads": 512,
    "head_dim": 512,
    "ffn": 1 << 16,
    "max_context": 1 << 24,
}


@dataclass(frozen=True)
class Projection:
    """w[o, i] = scale[o or 0, i // group] * trits[o, i].

    trits (rows, cols) int8; scale (rows or 1, groups) binary32, group columns each (the last may have fewer);
    bias (rows,) or None. divisor (rows or 1,): what scale is the inverse of, where inputs are int8 and there is one
    group.
    """

    trits: S8Array
    scale: F32Array
    group: int
    bias: F32Array | None
    divisor: F32Array | None = None

    @property
    def factors(self) -> F32Array:
        """What sums meet, as targets hold it: the divisor (1, rows or 1), or scales (groups, rows or 1)."""
        return np.ascontiguousarray(self.scale.T) if self.divisor is None else self.divisor[None]


@dataclass(frozen=True)
class Rows:
    """Embedding or head: data (vocab, width) int8, binary32, binary16, or bfloat16 as uint16; scale (vocab,)
    with int8, else None. Four bits ("s4"): int8 in -8..7, codes (vocab, groups) uint8 that multiply S4_GROUP of them
    each, the last group may have fewer."""

    kind: RowsKind
    data: Array
    scale: F32Array | None
    codes: Array | None = None

    def take(self, ids: Array) -> F32Array:
        """The rows of some tokens, (n, width) binary32."""
        rows = widen(self.data[ids], self.kind)
        if self.codes is not None:
            rows = rows * np.repeat(self.codes[ids].astype(np.float32), S4_GROUP, axis=1)[:, : rows.shape[1]]
        return rows if self.scale is None else rows * self.scale[ids][:, None]


def widen(data: Array, kind: RowsKind) -> F32Array:
    """Exact binary32 values of stored ones."""
    if kind == "bf16":
        return np.asarray((data.astype(np.uint32) << np.uint32(16)).view(np.float32))
    return data.astype(np.float32)


def check_spec(spec: DecoderSpec) -> None:
    """ModelError unless the sizes make a decoder that EdgeBit can run."""

    def refuse(why: str) -> ModelError:
        return ModelError(f"the model's configuration is not usable: {why}")

    for name, limit in _MAX_SIZE.items():
        value = getattr(spec, name)
        if type(value) is not int or not 1 <= value <= limit:
            raise refuse(f"{name} is {value!r}, it must be in 1..{limit}")
    if spec.heads % spec.kv_heads:
        raise refuse(f"{spec.heads} heads do not share {spec.kv_heads} key-value heads evenly")
    if spec.head_dim % 2:
        raise refuse(f"the head size {spec.head_dim} is odd")
    if not (np.isfinite(spec.norm_eps) and 0 < spec.norm_eps < 1):
        raise refuse(f"the normalisation's epsilon is {spec.norm_eps!r}")
    for what, token in (("bos", spec.bos), *(("eos", t) for t in spec.eos)):
        if token is not None and not 0 <= token < spec.vocab:
            raise refuse(f"the token {what} is {token}, outside of the vocabulary of {spec.vocab}")
    if spec.activation not in ("silu", "relu2"):
        raise refuse(f"the activation {spec.activation!r} is not known")
    if spec.act_quant not in ("token", "none"):
        raise refuse(f"the activation quantisation {spec.act_quant!r} is not known")


def shape_of(spec: DecoderSpec, role: str) -> tuple[int, int]:
    """(rows, cols) of a projection."""
    inner = spec.heads * spec.head_dim
    return {
        "q": (inner, spec.width),
        "k": (spec.kv_heads * spec.head_dim, spec.width),
        "v": (spec.kv_heads * spec.head_dim, spec.width),
        "o": (spec.width, inner),
        "gate": (spec.ffn, spec.width),
        "up": (spec.ffn, spec.width),
        "down": (spec.width, spec.ffn),
    }[role]


def norms_of(spec: DecoderSpec) -> tuple[str, ...]:
    """The normalisations that a layer has, in the order of NORMS."""
    absent = set() if spec.qk_norm else {"q_norm", "k_norm"}
    absent |= set() if spec.sub_norms else {"attn_sub_norm", "ffn_sub_norm"}
    return tuple(n for n in NORMS if n not in absent)


def norm_width(spec: DecoderSpec, role: str) -> int:
    """Elements of a normalisation's weight."""
    inner = {"q_norm": spec.head_dim, "k_norm": spec.head_dim, "ffn_sub_norm": spec.ffn}
    return inner.get(role, spec.heads * spec.head_dim if role == "attn_sub_norm" else spec.width)


def projection(decoder: Decoder, role: str, layer: int, precision: Precision) -> Projection:
    """One projection, checked. With act "block", no group has inputs of two blocks."""
    m = decoder.weights.projection(role, layer)
    where = f"{decoder.source or 'the model'}, layer {layer}, {role}"
    rows, cols = shape_of(decoder.spec, role)
    if m.trits.shape != (rows, cols) or m.trits.dtype != np.int8:
        raise ModelError(f"{where}: the matrix is {m.trits.dtype} {m.trits.shape}, not int8 {(rows, cols)}")
    if m.trits.min() < -1 or m.trits.max() > 1:
        raise ModelError(f"{where}: the matrix holds values that are not -1, 0 or +1")
    group = m.group or cols
    if not (0 < group <= cols) or (group < cols and group % 16):
        raise ModelError(f"{where}: scales for {m.group} inputs each; groups are multiples of 16 inputs")
    count = -(-cols // group)
    if m.scale.shape not in ((1, 1), (rows, 1), (1, count), (rows, count)):
        raise ModelError(f"{where}: scales of the shape {m.scale.shape} for {rows} x {count} groups")
    scale = np.asarray(m.scale, np.float32)
    if not np.isfinite(scale).all():
        raise ModelError(f"{where}: a scale is NaN or infinite")
    bias = None if m.bias is None else np.asarray(m.bias, np.float32)
    if bias is not None and (bias.shape != (rows,) or not np.isfinite(bias).all()):
        raise ModelError(f"{where}: a bias of the shape {bias.shape} for {rows} rows, or not finite")
    block = precision.act_block
    if block and group < cols and block % group:  # inputs with one scale of weights and one of activations
        both = gcd(group, block)
        if scale.shape[1] > 1:
            scale = np.repeat(scale, group // both, axis=1)[:, : -(-cols // both)]
        group, count = both, -(-cols // both)
    if block and group == cols:
        group = min(block, cols)
        count = -(-cols // group)
    if scale.shape[1] != count or scale.shape[0] not in (1, rows):
        scale = np.ascontiguousarray(np.broadcast_to(scale, (scale.shape[0], count)))
    if count > 1 and scale.shape[0] == 1:
        scale = np.ascontiguousarray(np.broadcast_to(scale, (rows, count)))
    divisor = None
    if count == 1 and precision.act != "f32":
        with np.errstate(all="ignore"):
            divisor = np.float32(1) / scale[:, 0]
        if m.divisor is not None:
            one = np.float32(m.divisor)
            if not (one > 0 and scale.shape == (1, 1) and np.float32(1) / one == scale[0, 0]):
                raise ModelError(f"{where}: a divisor of {m.divisor} that does not belong to its scale")
            divisor = np.array([one])
        if (np.isinf(divisor) & (scale[:, 0] != 0)).any():
            least = np.abs(scale[scale != 0]).min()
            raise ModelError(
                f"{where}: a scale of {least:.3g} has no inverse in binary32; make it 0 or larger"
            )
    return Projection(m.trits, scale, group, bias, divisor)


def norm(decoder: Decoder, role: str, layer: int | None) -> F32Array:
    """A normalisation's weight, checked."""
    w = np.asarray(decoder.weights.norm(role, layer), np.float32)
    n = decoder.spec.width if role == "final_norm" else norm_width(decoder.spec, role)
    if w.shape != (n,) or not np.isfinite(w).all():
        where = "" if layer is None else f"layer {layer}, "
        raise ModelError(
            f"{decoder.source or 'the model'}, {where}{role}: {w.shape} values where {n} finite ones belong"
        )
    return w


def rows(decoder: Decoder, role: str, precision: Precision) -> Rows:
    """ "embed" or "head" in the precision asked for."""
    t = decoder.weights.matrix(role)
    where = f"{decoder.source or 'the model'}, {role}"
    want = (decoder.spec.vocab, decoder.spec.width)
    if t.data.shape != want:
        raise ModelError(f"{where}: the matrix is {t.data.shape}, not {want}")
    if precision.matrix == "source":
        _check_finite(widen_rows(t), where)
        return Rows(t.dtype, t.data, None)
    if precision.matrix == "int4":
        return _four_bits(t, where)
    q = np.empty(want, np.int8)
    scale = np.empty(want[0], np.float32)
    for start in range(0, want[0], 4096):
        part = widen(t.data[start : start + 4096], t.dtype)
        _check_finite(part, where)
        largest = np.abs(part).max(axis=1).astype(np.float64)
        s = (largest / 127.0).astype(np.float32)
        s = np.where(s > 0, s, np.float32(1.0))  # a row of zeros, or too small to matter
        scale[start : start + 4096] = s
        exact = part.astype(np.float64) / s.astype(np.float64)[:, None]
        q[start : start + 4096] = np.clip(np.rint(exact), -127, 127).astype(np.int8)
    return Rows("s8", q, scale)


def _four_bits(t: FloatTensor, where: str) -> Rows:
    """Groups of S4_GROUP with the code, of some, that leaves the least squared error.

    A row's scale is its largest magnitude / (7 * 255); codes are tried that put a group's largest magnitude at 8,
    7.5, 7 and 6.5 steps. Every operation is done number by number, so that all machines choose alike.
    """
    vocab, width = t.data.shape
    groups = -(-width // S4_GROUP)
    q = np.empty((vocab, width), np.int8)
    codes = np.empty((vocab, groups), np.uint8)
    scale = np.empty(vocab, np.float32)
    for start in range(0, vocab, 1024):
        part = widen(t.data[start : start + 1024], t.dtype)
        _check_finite(part, where)
        padded = np.pad(part, ((0, 0), (0, groups * S4_GROUP - width))).reshape(len(part), groups, S4_GROUP)
        g = np.ascontiguousarray(padded.transpose(2, 0, 1))  # (S4_GROUP, rows, groups)
        largest = np.abs(g).max(axis=0)
        s = (largest.max(axis=1).astype(np.float64) / (7 * 255)).astype(np.float32)
        s = np.where(s > 0, s, np.float32(1.0))
        least = np.full(largest.shape, np.inf, np.float32)
        best_q, best_code = np.zeros(g.shape, np.int8), np.zeros(largest.shape, np.uint8)
        for steps in (8.0, 7.5, 7.0, 6.5):
            code = np.clip(np.rint(largest / np.float32(steps) / s[:, None]), 0, 255).astype(np.float32)
            step = code * s[:, None]
            tried = np.clip(np.rint(g / np.where(step > 0, step, np.float32(1.0))), -8, 7)
            error = np.zeros(largest.shape, np.float32)
            for e in g - tried * step:
                error += e * e
            better = error < least
            least = np.where(better, error, least)
            best_q = np.where(better, tried, best_q).astype(np.int8)
            best_code = np.where(better, code, best_code).astype(np.uint8)
        q[start : start + 1024] = best_q.transpose(1, 2, 0).reshape(len(part), -1)[:, :width]
        codes[start : start + 1024] = best_code
        scale[start : start + 1024] = s
    return Rows("s4", q, scale, codes)


def widen_rows(t: FloatTensor) -> F32Array:
    """A float tensor as binary32."""
    return widen(t.data, t.dtype)


def _check_finite(values: F32Array, where: str) -> None:
    if not np.isfinite(values).all():
        raise ModelError(f"{where}: the matrix holds NaN or infinity")


def spec_json(spec: DecoderSpec, precision: Precision) -> bytes:
    """Shape and numbers of a decoder in one fixed text; what only says how to talk to it is left out."""
    record = asdict(spec)
    for name in ("name", "bos", "eos", "max_context"):
        del record[name]
    return json.dumps({"spec": record, "precision": asdict(precision)}, sort_keys=True).encode()


def tensor_digest(kind: str, *arrays: Array | None) -> bytes:
    """SHA-256 of a tensor's arrays with their shapes."""
    h = hashlib.sha256(kind.encode())
    for a in arrays:
        if a is None:
            h.update(b"none;")
            continue
        little = np.ascontiguousarray(a, dtype=a.dtype.newbyteorder("<"))
        h.update(f"{a.dtype.str[1:]}{a.shape};".encode())
        h.update(little.data)
    return h.digest()


def layer_roles(spec: DecoderSpec) -> Iterator[str]:
    """The tensors of a layer in the order in which digests and files have them."""
    yield from norms_of(spec)
    yield from PROJECTIONS
