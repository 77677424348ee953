"""The intermediate representation.

A `Graph` is a list of `Node`s in execution order over named `Tensor`s (activations) and `Const`s
(weights and other data known at export). It is executable at every stage: each op in `edgebit.ops`
has one NumPy meaning, and a pass may change the graph only into one with the meaning it documents.

Activations are channels-last: feature maps are (N, H, W, C), sequences (N, 1, L, C), vectors (M, K).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import prod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from edgebit.errors import EdgebitError

F32Array: TypeAlias = npt.NDArray[np.float32]
S8Array: TypeAlias = npt.NDArray[np.int8]
S32Array: TypeAlias = npt.NDArray[np.int32]
Array: TypeAlias = npt.NDArray[Any]


class DType(enum.StrEnum):
    """Element types of activations."""

    F32 = "f32"
    S8 = "s8"
    S32 = "s32"

    @property
    def numpy(self) -> np.dtype[Any]:
        return np.dtype({"f32": np.float32, "s8": np.int8, "s32": np.int32}[self.value])

    @property
    def bytes(self) -> int:
        return self.numpy.itemsize


@dataclass(frozen=True)
class Quant:
    """Static quantisation: real = scale * (q - zero_point), with q an int8 and scale a binary32 value."""

    scale: float
    zero_point: int = 0


@dataclass
class Tensor:
    """An activation: name, full shape with the batch dimension, element type, static quantisation if any.

    `source_perm` is set on graph inputs and outputs whose source layout differs from the canonical one:
    canonical = source.transpose(source_perm), reshaped to `shape`. `source_shape` is the shape the model
    file declares (after the batch was fixed).
    """

    name: str
    shape: tuple[int, ...]
    dtype: DType = DType.F32
    quant: Quant | None = None
    source_perm: tuple[int, ...] | None = None
    source_shape: tuple[int, ...] | None = None

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.elements * self.dtype.bytes


@dataclass
class TernaryWeights:
    """Weights in {-1, 0, +1} times a scale per output channel: w[o, ...] = scale[o] * trits[o, ...].

    trits is int8 of shape (OC, KH, KW, IC/groups) for conv2d, (N, K) for dense; scale is float32 (OC,).
    """

    trits: S8Array
    scale: F32Array

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.trits.shape)

    def dense(self) -> F32Array:
        s = self.scale.reshape((-1,) + (1,) * (self.trits.ndim - 1))
        return self.trits.astype(np.float32) * s


@dataclass
class GroupTernaryWeights(TernaryWeights):
    """Ternary weights (N, K) with a scale for each `group` inputs: w[n, k] = scale[n, k // group] * trits[n, k].

    scale is float32 (N, groups); the last group may be shorter. Only dense_groups takes them.
    """

    group: int

    @property
    def groups(self) -> int:
        return -(-int(self.trits.shape[1]) // self.group)

    def dense(self) -> F32Array:
        each = np.repeat(self.scale, self.group, axis=1)[:, : self.trits.shape[1]]
        return self.trits.astype(np.float32) * each


@dataclass
class Int8Weights:
    """Symmetric int8 weights with a scale per output channel: w[o, ...] = scale[o] * q[o, ...]."""

    q: S8Array
    scale: F32Array

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.q.shape)

    def dense(self) -> F32Array:
        s = self.scale.reshape((-1,) + (1,) * (self.q.ndim - 1))
        return self.q.astype(np.float32) * s


Const: TypeAlias = Array | TernaryWeights | Int8Weights


@dataclass
class Requant:
    """Integer requantisation of an int32 accumulator, per output channel (or one entry for all).

    t = (acc + (1 << (pre_shift - 1))) >> pre_shift        (pre_shift 0: t = acc)
    q = clamp((t * mul[c] + add[c]) >> shift[c], qmin, qmax)

    All shifts are arithmetic, so rounding is half up, and is applied once through `add`. mul fits int16,
    shift is 0..30, and the export proves |t * mul + add| < 2^31 for every reachable accumulator.
    """

    mul: S32Array
    add: S32Array
    shift: S32Array
    pre_shift: int = 0
    qmin: int = -128
    qmax: int = 127


@dataclass
class Affine:
    """Float epilogue: y = clamp(float(acc + corr[c]) * scale[c] + bias[c], lo, hi), binary32, no FMA.

    A field that is None is left out of the formula (not multiplied by one). `corr` (int32) undoes an
    input zero point. lo/hi are -inf/+inf when there is no clamp.
    """

    scale: F32Array | None = None
    bias: F32Array | None = None
    corr: S32Array | None = None
    lo: float = float("-inf")
    hi: float = float("inf")


@dataclass
class Node:
    """One operation. `inputs` name tensors or constants by position ("" for an absent optional one)."""

    op: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attrs: dict[str, Any] = field(default_factory=dict)


class GraphError(EdgebitError):
    """A graph broke an invariant: a bug in EdgeBit, never the user's fault."""


@dataclass
class Graph:
    """A network. `nodes` is in execution order; `inputs` and `outputs` name tensors."""

    name: str
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    consts: dict[str, Const] = field(default_factory=dict)

    def producer(self, tensor: str) -> Node | None:
        for n in self.nodes:
            if tensor in n.outputs:
                return n
        return None

    def consumers(self, tensor: str) -> list[Node]:
        return [n for n in self.nodes if tensor in n.inputs]

    def is_const(self, name: str) -> bool:
        return name in self.consts

    def fresh(self, stem: str) -> str:
        """A tensor or constant name not yet used, starting with `stem`."""
        if stem not in self.tensors and stem not in self.consts:
            return stem
        i = 1
        while f"{stem}.{i}" in self.tensors or f"{stem}.{i}" in self.consts:
            i += 1
        return f"{stem}.{i}"

    def replace_uses(self, old: str, new: str) -> None:
        """Make every consumer of `old`, and the graph's outputs, read `new` instead."""
        for n in self.nodes:
            n.inputs = [new if i == old else i for i in n.inputs]
        self.outputs = [new if o == old else o for o in self.outputs]

    def prune(self) -> None:
        """Drop nodes, tensors and constants that no output needs."""
        live = set(self.outputs)
        kept: list[Node] = []
        for n in reversed(self.nodes):
            if any(o in live for o in n.outputs):
                kept.append(n)
                live.update(i for i in n.inputs if i)
        self.nodes = kept[::-1]
        made = {o for n in self.nodes for o in n.outputs}
        self.tensors = {k: t for k, t in self.tensors.items() if k in made or k in self.inputs}
        self.consts = {k: c for k, c in self.consts.items() if k in live}

    def check(self) -> None:
        """Raise `GraphError` unless names resolve, nodes are in order, and every tensor is made once."""
        known: set[str] = set(self.inputs) | set(self.consts)
        _unique(self.inputs, "graph input")
        for n in self.nodes:
            for i in n.inputs:
                if i and i not in known:
                    raise GraphError(f"node {n.name!r} reads {i!r} before it is made")
            for o in n.outputs:
                if o in known:
                    raise GraphError(f"node {n.name!r} makes {o!r} a second time")
                if o not in self.tensors:
                    raise GraphError(f"node {n.name!r} makes {o!r}, which has no tensor entry")
                known.add(o)
        for o in self.outputs:
            if o not in known:
                raise GraphError(f"graph output {o!r} is never made")


def _unique(names: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for n in names:
        if n in seen:
            raise GraphError(f"{what} {n!r} appears twice")
        seen.add(n)
