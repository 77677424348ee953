"""Random dense and conv2d nodes for tests: every weight kind under every kind of activation and epilogue."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgebit.ir.graph import (
    Affine,
    Array,
    Const,
    DType,
    F32Array,
    Graph,
    Int8Weights,
    Node,
    Quant,
    Tensor,
    TernaryWeights,
)
from edgebit.ops.base import Sample, op_of
from edgebit.ops.linear import acc_bounds
from edgebit.ops.requant import make_requant
from edgebit.ops.support import random_f32, random_quant, random_s8

MODES = ("f32", "requant", "affine", "dynamic")


def linear_sample(
    rng: np.random.Generator,
    op: str,
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    attrs: dict[str, Any],
    d_rows: int,
) -> Sample:
    """A node with random weights, activations and epilogue for the given shapes."""
    mode = str(rng.choice(MODES))
    kinds = ("trit", "trit", "s8", "f32") if mode == "f32" else ("trit", "trit", "s8")
    kind = str(rng.choice(kinds))
    outs = w_shape[0]
    const, scale = _weights(rng, kind, w_shape)
    g = Graph("sample")
    quant = random_quant(rng) if mode in ("requant", "affine") else None
    dtype = DType.F32 if mode == "f32" else DType.S8
    g.tensors["x"] = Tensor("x", x_shape, dtype, quant)
    g.inputs = ["x"]
    g.consts["w"] = const
    x: Array = random_f32(rng, x_shape) if mode == "f32" else random_s8(rng, x_shape)
    values = {"x": x}
    names = ["x", "w"]
    if mode == "dynamic":
        g.tensors["d"] = Tensor("d", (d_rows,), DType.F32)
        g.inputs.append("d")
        values["d"] = np.exp(rng.uniform(-6, 0, d_rows)).astype(np.float32)
        names.append("d")
    attrs = dict(attrs)
    if mode == "requant":
        assert quant is not None
        attrs |= _requant(rng, const, scale * np.float32(quant.scale), outs)
    else:
        corr = None
        if mode == "affine" and quant is not None and rng.random() < 0.8:
            assert isinstance(const, (TernaryWeights, Int8Weights))
            q = const.trits if isinstance(const, TernaryWeights) else const.q
            sums = q.reshape(outs, -1).astype(np.int64).sum(axis=1)
            corr = (-quant.zero_point * sums).astype(np.int32)
        attrs["epilogue"] = _affine(rng, outs, None if kind == "f32" else scale, corr)
    node = Node(op, "n", names, ["y"], attrs)
    g.nodes = [node]
    g.outputs = ["y"]
    for t in op_of(node).infer(node, g):
        g.tensors[t.name] = t
    return Sample(
        g, values, f"{mode} {kind} x{x_shape} w{w_shape} { {k: attrs[k] for k in attrs if k in _SHOWN} }"
    )


_SHOWN = ("strides", "pads", "dilations", "groups")


def _weights(rng: np.random.Generator, kind: str, shape: tuple[int, ...]) -> tuple[Const, F32Array]:
    """A weight constant and its scale per output channel (a spread of magnitudes)."""
    scale = np.exp(rng.uniform(-5, 0, shape[0])).astype(np.float32)
    if kind == "trit":
        style = rng.random()
        if style < 0.25:
            trits = np.full(shape, rng.choice([-1, 0, 1]), np.int8)
        else:
            zeros = rng.choice([0.1, 0.5, 0.9])
            trits = rng.choice([-1, 0, 1], shape, p=[(1 - zeros) / 2, zeros, (1 - zeros) / 2]).astype(np.int8)
        return TernaryWeights(trits, scale), scale
    if kind == "s8":
        return Int8Weights(random_s8(rng, shape), scale), scale
    return random_f32(rng, shape), np.ones(shape[0], np.float32)


def _affine(rng: np.random.Generator, outs: int, scale: F32Array | None, corr: Array | None) -> Affine:
    if scale is not None and rng.random() < 0.2:
        scale = scale[:1]
    bias = random_f32(rng, (outs,)) if rng.random() < 0.7 else None
    clamps = ((-np.inf, np.inf), (0.0, np.inf), (0.0, 6.0), (-1.0, 1.0), (-np.inf, 0.5))
    lo, hi = clamps[int(rng.integers(len(clamps)))]
    return Affine(scale, bias, corr, float(lo), float(hi))


def _requant(rng: np.random.Generator, const: Const, multiplier: F32Array, outs: int) -> dict[str, Any]:
    """A requantisation whose outputs spread over int8, with a dead and a negated channel now and then."""
    bounds = acc_bounds(const)
    out_scale = float(
        np.float32(max(1e-6, float((multiplier * bounds).max()) / rng.choice([100, 400, 3000])))
    )
    quant = Quant(out_scale, int(rng.integers(-128, 128)))
    scale = multiplier.astype(np.float64) / out_scale
    if rng.random() < 0.3:
        scale[int(rng.integers(outs))] *= float(rng.choice([0.0, -1.0]))
    bias = quant.zero_point + rng.normal(0, 20, outs)
    qmin, qmax = ((-128, 127), (quant.zero_point, 127), (-127, 127))[int(rng.integers(3))]
    return {"epilogue": make_requant(scale, bias, bounds, qmin, qmax), "out_quant": quant}
