"""Activations quantised at export: statically from samples, dynamically as the model runs."""

from __future__ import annotations

import numpy as np
import pytest
from graph_build import INF, Build, ops

from edgebit.errors import UsageError
from edgebit.ir.graph import (
    Affine,
    DType,
    Node,
    Quant,
)
from edgebit.ir.serial import graph_to_bytes
from edgebit.ops.base import execute, op_of
from edgebit.passes.calibrate import choose_quant
from edgebit.passes.prepare import prepare


def network(seed: int = 0) -> tuple[Build, str]:
    """A float network (no quantisation yet): conv, silu, residual, concat, pools, dense."""
    b = Build(seed)
    rng = b.rng

    def conv(x: str, outs: int, lo: float = -INF) -> str:
        w = b.const(rng.normal(size=(outs, 3, 3, b.shape(x)[3])).astype(np.float32) / 5)
        attrs = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "groups": 1}
        return b.op(
            "conv2d", x, w, epilogue=Affine(bias=rng.normal(size=outs).astype(np.float32), lo=lo), **attrs
        )

    x = conv(b.input(1, 8, 8, 3), 6, 0.0)
    y = conv(b.op("mul", x, b.op("sigmoid", x)), 6)
    x = b.op("clip", b.op("add", x, y), lo=0.0, hi=INF)
    x = b.channel("add", b.channel("mul", x))
    x = b.pool("max_pool2d", b.op("concat", x, conv(x, 4), axis=3), 2)
    x = b.op("reshape", b.pool("avg_pool2d", x, 4), shape=(1, 10))
    w = b.const(rng.normal(size=(5, 10)).astype(np.float32))
    return b, b.op("dense", x, w, epilogue=Affine(bias=rng.normal(size=5).astype(np.float32)))


def test_static_quantisation_is_integer_from_end_to_end() -> None:
    b, y = network()
    g = b.done(b.op("softmax", y))
    samples = [{"x": b.rng.normal(size=(1, 8, 8, 3)).astype(np.float32)} for _ in range(4)] + [
        {"x": b.values["x"]}
    ]
    p = prepare(g, activations="int8-static", calibration=samples)
    floats = [n.op for n in p.nodes if p.tensors[n.outputs[0]].dtype is DType.F32]
    assert floats == ["dense", "softmax"]
    assert ops(p)[0] == "quantize"
    got = execute(p, {"x": b.values["x"]})
    dense = p.nodes[-2].outputs[0]
    assert np.abs(got[dense] - b.values[y]).max() < 0.1 * np.abs(b.values[y]).max()
    assert graph_to_bytes(p) == graph_to_bytes(prepare(g, activations="int8-static", calibration=samples))


def test_static_quantisation_names_a_missing_calibration_input() -> None:
    b, y = network()
    with pytest.raises(UsageError, match="'x'"):
        prepare(b.done(y), activations="int8-static", calibration=[{"other": b.values["x"]}])


def test_dynamic_quantisation_feeds_every_linear_layer() -> None:
    b, y = network()
    g = b.done(y)
    p = prepare(g, activations="int8-dynamic")
    assert all(len(n.inputs) == 3 for n in p.nodes if n.op in ("dense", "conv2d"))
    got = execute(p, {"x": b.values["x"]})[y]
    assert np.abs(got - b.values[y]).max() < 0.05 * np.abs(b.values[y]).max()
    again = prepare(p, activations="int8-static", calibration=[{"x": b.values["x"]}])
    assert "dynamic_quantize" not in ops(again)
    assert "quantize" in ops(again)


def test_equal_dynamic_quantisations_merge() -> None:
    b = Build()
    x = b.input(2, 16)
    attrs = {"per": "row", "form": "div", "eps": 1e-5, "qmin": -128, "qmax": 127}
    outs = []
    for k in range(3):
        node = Node("dynamic_quantize", f"q{k}", [x], [f"xq{k}", f"d{k}"], dict(attrs))
        for t in op_of(node).infer(node, b.g):
            b.g.tensors[t.name] = t
        for o, v in zip(node.outputs, op_of(node).run(node, b.g, [b.values[x]]), strict=True):
            b.values[o] = v
        b.g.nodes.append(node)
        w, scale = b.weights(8, 16)
        outs.append(b.op("dense", f"xq{k}", w, f"d{k}", epilogue=Affine(scale=scale)))
    p = prepare(b.done(*outs))
    assert ops(p) == ["dynamic_quantize", "dense", "dense", "dense"]


def test_choose_quant_covers_the_range() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        lo, hi = sorted(rng.normal(size=2) * 10 ** rng.uniform(-6, 6))
        q = choose_quant(float(lo), float(hi))
        assert q.scale == float(np.float32(q.scale))
        assert (-128 - q.zero_point) * q.scale <= min(lo, 0) + q.scale
        assert (127 - q.zero_point) * q.scale >= max(hi, 0) - q.scale
    assert choose_quant(0.0, 0.0) == Quant(1.0, 0)
    assert choose_quant(0.0, 2.55).zero_point == -128
