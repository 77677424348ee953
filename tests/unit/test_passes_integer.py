"""Integer rewrites: on the same integers every int8 tensor is within one step of the float path."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graph_build import INF, Build, compare, ops, prepared

from edgebit.errors import ModelError
from edgebit.ir.graph import (
    Affine,
    DType,
    Int8Weights,
    Node,
    Quant,
    Requant,
    Tensor,
)
from edgebit.ir.serial import graph_to_bytes
from edgebit.ops.base import execute
from edgebit.passes.prepare import prepare


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("relu", [False, True])
def test_conv_becomes_integer(seed: int, relu: bool) -> None:
    b = Build(seed)
    x = b.qdq(b.input(1, 7, 6, 5), Quant(0.03, int(b.rng.integers(-128, 128))))
    y = b.conv(x, 9, 3, lo=0.0 if relu else -INF, depthwise=seed % 3 == 0)
    p = prepared(b, b.qdq(y))
    assert ops(p) == ["quantize", "conv2d", "dequantize"]
    assert isinstance(p.nodes[1].attrs["epilogue"], Requant)


def test_last_dense_gives_float_with_zero_point_undone() -> None:
    b = Build()
    y = b.dense(b.qdq(b.input(3, 40), Quant(0.02, 17)), 6)
    g = b.done(y)
    p = prepare(g)
    assert ops(p) == ["quantize", "dense"]
    assert p.nodes[1].attrs["epilogue"].corr is not None
    out = execute(p, {"x": b.values["x"]})[p.outputs[0]]
    np.testing.assert_allclose(out, b.values[y], rtol=1e-4, atol=1e-4)


def test_float_weights_stay_float() -> None:
    b = Build()
    w = b.const(b.rng.normal(size=(4, 8)).astype(np.float32))
    y = b.op("dense", b.qdq(b.input(2, 8)), w, epilogue=Affine())
    p = prepared(b, b.qdq(y))
    assert ops(p) == ["quantize", "dequantize", "dense", "quantize", "dequantize"]


def test_second_reader_keeps_the_float_result() -> None:
    b = Build()
    y = b.conv(b.qdq(b.input(1, 4, 4, 3)), 4, 3)
    p = prepared(b, b.qdq(y), b.op("softmax", y))
    assert ops(p) == ["quantize", "conv2d", "quantize", "dequantize", "softmax"]


@pytest.mark.parametrize("op", ["add", "mul"])
def test_two_tensors(op: str) -> None:
    b = Build(3)
    x, y = b.qdq(b.input(2, 5, 5, 3)), b.qdq(b.input(2, 5, 5, 3), Quant(0.011, -30))
    p = prepared(b, b.qdq(b.op("clip", b.op(op, x, y), lo=0.0, hi=1.5)))
    assert ops(p) == ["quantize", "quantize", op, "dequantize"]


def test_pools_and_moves() -> None:
    b = Build(4)
    x = b.qdq(b.input(1, 8, 8, 4), Quant(0.02, 5))
    x = b.pool("max_pool2d", x, 2)
    x = b.op("pad", x, pads=(0, 1, 0, 0, 0, 1, 2, 0), value=0.0)
    x = b.op(
        "slice", b.op("clip", x, lo=0.0, hi=INF), starts=(0, 0, 0, 0), sizes=(1, 6, 6, 4), steps=(1, 1, 1, 1)
    )
    x = b.qdq(x, Quant(0.02, 5))
    x = b.qdq(b.pool("avg_pool2d", x, 3))
    x = b.op("reshape", x, shape=(1, 16))
    p = prepared(b, b.op("argmax", x, keepdims=False))
    assert {n.op for n in p.nodes} <= {
        "quantize",
        "max_pool2d",
        "pad",
        "slice",
        "lut",
        "avg_pool2d",
        "reshape",
        "argmax",
    }
    assert all(p.tensors[n.outputs[0]].dtype is not DType.F32 for n in p.nodes)


def test_pad_with_a_value_between_steps_stays_float() -> None:
    b = Build()
    x = b.qdq(b.input(1, 3, 3, 2), Quant(0.25, 0))
    p = prepared(b, b.op("sigmoid", b.op("pad", x, pads=(0, 1, 1, 0) * 2, value=0.1)))
    assert ops(p) == ["quantize", "dequantize", "pad", "sigmoid"]


def test_functions_of_one_tensor_become_a_table_bit_for_bit() -> None:
    b = Build(5)
    x = b.qdq(b.input(2, 50))
    y = b.op("mul", x, b.op("sigmoid", b.op("mul", x, b.const(np.array(1.7, np.float32)))))
    y = b.qdq(b.op("tanh", y))
    z = b.qdq(b.op("leaky_relu", y, alpha=0.1))
    g = b.done(z)
    p = prepare(g)
    assert ops(p) == ["quantize", "lut", "dequantize"]
    np.testing.assert_array_equal(execute(p, {"x": b.values["x"]})[p.outputs[0]], b.values[z])


def test_same_quantisation_twice_disappears() -> None:
    b = Build()
    q = Quant(0.05, 3)
    x = b.op("reshape", b.qdq(b.input(2, 6), q), shape=(3, 4))
    p = prepared(b, b.qdq(b.qdq(x, q), q))
    assert ops(p) == ["quantize", "reshape", "dequantize"]


def test_concat_of_other_scales_goes_through_tables() -> None:
    b = Build(6)
    x, y = b.input(1, 4, 4, 2), b.input(1, 4, 4, 3)
    z = b.op("concat", b.qdq(x, Quant(0.02, 4)), b.qdq(y, Quant(0.04, -9)), axis=3)
    p = prepared(b, b.qdq(z, Quant(0.04, -9)))
    assert ops(p) == ["quantize", "quantize", "lut", "concat", "dequantize"]


def test_normalisation_without_a_conv_becomes_a_depthwise_one() -> None:
    b = Build(7)
    x, y = b.qdq(b.input(1, 4, 4, 6)), b.qdq(b.input(1, 4, 4, 6))
    s = b.qdq(b.op("add", x, y))
    z = b.qdq(b.op("clip", b.channel("add", b.channel("mul", s)), lo=0.0, hi=INF))
    p = prepared(b, z)
    assert ops(p) == ["quantize", "quantize", "add", "conv2d", "dequantize"]
    assert isinstance(p.nodes[3].attrs["epilogue"], Requant)


def test_unusable_scales_stay_float() -> None:
    b = Build(8)
    x = b.qdq(b.input(1, 4, 4, 2), Quant(1e30, 0))
    y = b.conv(x, 3, 1)
    p = prepared(b, b.op("dequantize", b.op("quantize", y, out_quant=Quant(1e-30, 0), qmin=-128, qmax=127)))
    assert "quantize" in ops(p)


def test_accumulator_that_could_overflow_is_refused() -> None:
    b = Build()
    k = 2**31 // (128 * 127) + 1
    w = b.const(Int8Weights(np.full((1, k), 127, np.int8), np.ones(1, np.float32)))
    g = b.g
    x = b.input(1, k)
    g.tensors["y"] = Tensor("y", (1, 1))
    g.nodes.append(Node("dense", "big", [x, w], ["y"], {"epilogue": Affine(scale=np.ones(1, np.float32))}))
    with pytest.raises(ModelError, match="big"):
        prepare(b.done("y"), activations="int8-dynamic")


def step(b: Build, live: list[str]) -> str:
    """One more random op on a random live (dequantised) tensor."""
    rng = b.rng
    x = live[int(rng.integers(len(live)))]
    same = [t for t in live if b.shape(t) == b.shape(x)]
    other = same[int(rng.integers(len(same)))]
    kind = rng.choice(
        ["conv", "depth", "relu", "add", "mul", "max", "avg", "silu", "pad", "cat", "norm", "scale"]
    )
    side = min(b.shape(x)[1:3])
    if kind == "conv":
        return b.conv(x, int(rng.integers(1, 9)), int(rng.choice([1, 3])), lo=float(rng.choice([-INF, 0.0])))
    if kind == "depth":
        return b.conv(x, 0, 3, depthwise=True)
    if kind == "relu":
        return b.op("clip", x, lo=0.0, hi=float(rng.choice([INF, 6.0])))
    if kind in ("add", "mul"):
        return b.op(str(kind), x, other)
    if kind == "max":
        return b.pool("max_pool2d", x, min(2, side))
    if kind == "avg":
        return b.pool("avg_pool2d", x, min(int(rng.integers(1, 4)), side))
    if kind == "pad":
        return b.op("pad", x, pads=(0, *(int(v) for v in rng.integers(0, 2, 2)), 0) * 2, value=0.0)
    if kind == "cat":
        return b.op("concat", x, other, axis=3)
    if kind == "norm":
        return b.channel("add", b.channel("mul", x))
    if kind == "scale":
        return b.op("mul", x, b.const(np.array(rng.normal(), np.float32)))
    return b.op("silu", x)


def test_random_quantised_graphs(record_property: Any) -> None:
    total = different = 0
    for seed in range(25):
        b = Build(seed)
        live = [b.qdq(b.input(1, *(int(v) for v in b.rng.integers(4, 9, 2)), 3))]
        for _ in range(int(b.rng.integers(2, 9))):
            y = b.qdq(step(b, live))
            if np.prod(b.shape(y)) < 4000:
                live.append(y)
        outputs = list(dict.fromkeys([live[-1], live[len(live) // 2]]))
        g = b.done(*outputs)
        fused = prepare(g)
        n, d = compare(b, fused)
        total, different = total + n, different + d
        floats = {m.op for m in fused.nodes if fused.tensors[m.outputs[0]].dtype is DType.F32}
        assert floats <= {"dequantize"}, f"seed {seed}: {floats} stayed float"
        assert graph_to_bytes(prepare(g)) == graph_to_bytes(fused)
    rate = different / total
    record_property("differing", rate)
    print(f"{different} of {total} int8 elements differ by one step ({rate:.3%})")
    assert rate < 0.01
