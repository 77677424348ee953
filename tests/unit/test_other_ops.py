"""The NumPy meaning of the ops that are not matrix products: against onnxruntime, naive code and exact maths."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from edgebit.errors import ModelError
from edgebit.ir.graph import Array, DType, Graph, Node, Quant, Tensor
from edgebit.ops import floatmath, intmath
from edgebit.ops.base import execute, op_of, registry
from edgebit.ops.pool import random_window, window_of
from edgebit.ops.support import random_f32, random_quant, random_s8, sample, stream_overlap

INF = float("inf")


def run(
    op: str, inputs: list[Array], attrs: dict[str, Any], quant: Quant | None = None, **more: Any
) -> Array:
    s = sample(op, [(np.asarray(x), quant) for x in inputs], attrs, **more)
    return execute(s.graph, s.inputs)["y0"]


def onnx_run(op: str, inputs: list[Array], out: int = TensorProto.FLOAT, **attrs: Any) -> Array:
    names = [f"x{i}" for i in range(len(inputs))]
    made = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for n, x in zip(names, inputs, strict=True)
    ]
    node = helper.make_node(op, names, ["y"], **attrs)
    graph = helper.make_graph([node], "g", made, [helper.make_tensor_value_info("y", out, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    y: Array = session.run(None, dict(zip(names, map(np.asarray, inputs), strict=True)))[0]
    return y


def rng_for(*key: int) -> np.random.Generator:
    return np.random.default_rng([71, *key])


# Against onnxruntime

X = (rng_for(0).standard_normal((2, 5, 7, 3)) * 4).astype(np.float32)


@pytest.mark.parametrize(
    ("op", "attrs", "theirs", "theirs_attrs"),
    [
        ("leaky_relu", {"alpha": 0.1}, "LeakyRelu", {"alpha": 0.1}),
        ("hard_swish", {}, "HardSwish", {}),
        ("hard_sigmoid", {"alpha": 0.3, "beta": 0.4}, "HardSigmoid", {"alpha": 0.3, "beta": 0.4}),
        ("sigmoid", {}, "Sigmoid", {}),
        ("tanh", {}, "Tanh", {}),
        ("softmax", {}, "Softmax", {"axis": -1}),
        ("transpose", {"perm": [0, 3, 1, 2]}, "Transpose", {"perm": [0, 3, 1, 2]}),
        ("clip", {"lo": 0.0, "hi": INF}, "Relu", {}),
    ],
)
def test_unary_agrees_with_onnxruntime(
    op: str, attrs: dict[str, Any], theirs: str, theirs_attrs: dict[str, Any]
) -> None:
    want = onnx_run(theirs, [X], **theirs_attrs)
    np.testing.assert_allclose(run(op, [X], attrs), want, rtol=3e-6, atol=1e-7)


def test_silu_agrees_with_onnxruntime() -> None:
    # onnxruntime's sigmoid is only good to about 6e-8 absolute
    np.testing.assert_allclose(run("silu", [X], {}), X * onnx_run("Sigmoid", [X]), rtol=3e-6, atol=1e-6)


@pytest.mark.parametrize(("op", "theirs"), [("add", "Add"), ("mul", "Mul")])
def test_binary_is_onnxruntime_bit_for_bit(op: str, theirs: str) -> None:
    b = rng_for(1).standard_normal(X.shape).astype(np.float32)
    assert np.array_equal(run(op, [X, b], {}), onnx_run(theirs, [X, b]))
    for c in (b[0, 0, 0], b[0, 0, 0, :1], np.array(b[0, 0, 0, 0])):
        assert np.array_equal(run(op, [X], {}, consts=[c]), onnx_run(theirs, [X, c]))
    per_image = b[:, :1, :1, :]
    assert np.array_equal(run(op, [X, per_image], {}), onnx_run(theirs, [X, per_image]))
    lo, hi = np.float32(0), np.float32(2)
    want = np.clip(onnx_run(theirs, [X, b]), lo, hi)
    assert np.array_equal(run(op, [X, b], {"lo": 0.0, "hi": 2.0}), want)


@pytest.mark.parametrize("seed", range(25))
def test_pools_agree_with_onnxruntime(seed: int) -> None:
    rng = rng_for(2, seed)
    shape, attrs = random_window(rng, dilate=True)
    x = rng.standard_normal(shape).astype(np.float32)
    nchw = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    pads = attrs["pads"]
    kernel = attrs["kernel"]
    if all(p < k for p, k in zip(pads, kernel * 2, strict=True)):  # what onnxruntime accepts
        common = {"kernel_shape": kernel, "strides": attrs["strides"], "pads": pads}
        want = onnx_run("MaxPool", [nchw], dilations=attrs["dilations"], **common)
        assert np.array_equal(run("max_pool2d", [x], dict(attrs)).transpose(0, 3, 1, 2), want)
        plain = {k: v for k, v in attrs.items() if k != "dilations"}
        if attrs["dilations"] == [1, 1]:
            for include in (0, 1):
                want = onnx_run("AveragePool", [nchw], count_include_pad=include, **common)
                got = run("avg_pool2d", [x], {**plain, "count_include_pad": bool(include)})
                np.testing.assert_allclose(got.transpose(0, 3, 1, 2), want, rtol=1e-5, atol=1e-6)


def test_movement_agrees_with_onnxruntime() -> None:
    parts = [X, X[:, :2], X[:, 1:]]
    assert np.array_equal(run("concat", parts, {"axis": 1}), onnx_run("Concat", parts, axis=1))
    pads = [0, 1, 2, 0, 0, 2, 0, 1]
    want = onnx_run("Pad", [X, np.array(pads, np.int64), np.array(-1.5, np.float32)])
    assert np.array_equal(run("pad", [X], {"pads": pads, "value": -1.5}), want)
    attrs = {"starts": [0, 1, 2, 0], "sizes": [2, 2, 3, 1], "steps": [1, 3, 2, 1]}
    ends = [a + (n - 1) * s + 1 for a, n, s in zip(*attrs.values(), strict=True)]
    arrays = [np.array(v, np.int64) for v in (attrs["starts"], ends, range(4), attrs["steps"])]
    assert np.array_equal(run("slice", [X], dict(attrs)), onnx_run("Slice", [X, *arrays]))


def test_argmax_agrees_with_onnxruntime() -> None:
    x = np.round(X)  # with ties
    for keep in (True, False):
        want = onnx_run("ArgMax", [x], TensorProto.INT64, axis=-1, keepdims=int(keep))
        assert np.array_equal(run("argmax", [x], {"keepdims": keep}), want)


@pytest.mark.parametrize("zero", [-128, 0, 5, 127])
def test_quantize_and_dequantize_are_onnxruntime_bit_for_bit(zero: int) -> None:
    scale = np.float32(0.05)
    ties = (np.arange(-700, 700, dtype=np.float32) / 2) * scale
    x = np.concatenate([ties, [3e38, -3e38, 1e-45, 0, -0.0, 1e9]]).astype(np.float32)
    q = Quant(float(scale), zero)
    want = onnx_run("QuantizeLinear", [x, scale.reshape(()), np.array(zero, np.int8)], TensorProto.INT8)
    got = run("quantize", [x], {"out_quant": q})
    assert np.array_equal(got, want)
    back = onnx_run("DequantizeLinear", [got, scale.reshape(()), np.array(zero, np.int8)])
    assert np.array_equal(run("dequantize", [got], {}, quant=q), back)


# Defined corners


def test_infinities_stay_defined() -> None:
    x = np.array([[-INF, 1.0, INF], [-INF, -INF, -INF], [INF, INF, 0.0]], np.float32)
    assert run("softmax", [x], {}).tolist() == [[0, 0, 1], [np.float32(1) / np.float32(3)] * 3, [0.5, 0.5, 0]]
    assert run("silu", [x[0]], {}).tolist()[::2] == [0.0, INF]
    assert run("hard_swish", [x[0]], {}).tolist()[::2] == [0.0, INF]
    assert run("quantize", [x[0]], {"out_quant": Quant(0.1, 3)}).tolist() == [-128, 13, 127]


def test_clip_has_select_semantics() -> None:
    x = np.array([-0.0, 0.0, -1.0], np.float32)
    assert np.signbit(run("clip", [x], {"lo": 0.0, "hi": INF})).tolist() == [True, False, False]
    y = run("max_pool2d", [np.array([0.0, -0.0], np.float32).reshape(1, 1, 2, 1)], {"kernel": [1, 2]})
    assert not np.signbit(y)[0, 0, 0, 0]  # the first of equals wins


@pytest.mark.parametrize("form", ["recip_mul", "div"])
@pytest.mark.parametrize("per", ["row", "image"])
def test_dynamic_quantize(form: str, per: str) -> None:
    x = random_f32(rng_for(4), (3, 4, 5)) * np.float32(1e-3)
    x[1, 2] = 0
    attrs = {"per": per, "form": form, "eps": 1e-5, "qmin": -128, "qmax": 127}
    s = sample("dynamic_quantize", [(x, None)], attrs, outputs=2)
    out = execute(s.graph, s.inputs)
    rows = x.reshape(12, 5) if per == "row" else x.reshape(3, 20)
    f = np.float32
    for row, q, d in zip(rows, out["y0"].reshape(rows.shape), out["y1"], strict=True):
        a = max(f(1e-5), max(abs(v) for v in row))
        scale = (f(1) / a) * f(127) if form == "recip_mul" else f(127) / a
        assert d == f(1) / scale
        assert q.tolist() == [int(np.clip(np.rint(v * scale), -128, 127)) for v in row]
    assert np.abs(out["y0"].reshape(rows.shape) * out["y1"][:, None] - rows).max() <= out["y1"].max() * 0.51


# Integer forms


def close(got: Array, real: Array, quant: Quant) -> None:
    """Within 1 of the float result rounded to the grid."""
    want = np.clip(np.rint(real / quant.scale) + quant.zero_point, -128, 127)
    assert np.abs(got.astype(np.int64) - want).max() <= 1


@pytest.mark.parametrize("seed", range(40))
def test_integer_forms_are_within_one_step(seed: int) -> None:
    rng = rng_for(5, seed)
    qa, qb, out = (random_quant(rng) for _ in range(3))
    a, b = (random_s8(rng, (1, 6, 6, 4)) for _ in range(2))
    ra = (a.astype(np.float64) - qa.zero_point) * qa.scale
    rb = (b.astype(np.float64) - qb.zero_point) * qb.scale
    for op, make, real in (
        ("add", intmath.make_add_params, ra + rb),
        ("mul", intmath.make_mul_params, ra * rb),
    ):
        for lo in (-INF, 0.0):
            attrs = make(qa, qb, out, lo)
            s = sample(op, [(a, qa), (b, qb)], attrs)
            close(execute(s.graph, s.inputs)["y0"], np.maximum(real, lo), out)
    window: dict[str, Any] = {"kernel": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}
    for include in (False, True):
        attrs = {**window, "count_include_pad": include, **intmath.make_avg_params(qa, out, 6)}
        got = run("avg_pool2d", [a], attrs, quant=qa)
        real = run("avg_pool2d", [ra.astype(np.float32)], {**window, "count_include_pad": include})
        close(got, real.astype(np.float64), out)
    got = run("avg_pool2d", [a], {"kernel": [6, 6], **intmath.make_avg_params(qa, out, 36)}, quant=qa)
    close(got, ra.mean(axis=(1, 2), keepdims=True), out)
    attrs = intmath.make_lut(floatmath.sigmoid, qa, out)
    close(run("lut", [a], attrs, quant=qa), 1 / (1 + np.exp(-ra)), out)


def test_integer_parameters_refuse_what_overflows() -> None:
    q = Quant(1.0, 0)
    with pytest.raises(ModelError, match="cannot add"):
        intmath.make_add_params(Quant(1e9), q, Quant(1e-9))
    with pytest.raises(ModelError, match="cannot multiply"):
        intmath.make_mul_params(Quant(1e9), q, Quant(1e-9))
    with pytest.raises(ModelError, match="cannot average"):
        intmath.make_avg_params(Quant(1e9), Quant(1e-9), 4)
    with pytest.raises(ModelError, match="positive"):
        intmath.make_add_params(Quant(0.0), q, q)
    x = np.zeros((1, 4), np.int8)
    huge = {"ma": 2**20, "mb": 2**20, "add": 2**31 - 1, "shift": 0, "out_quant": q}
    with pytest.raises(ModelError, match="overflow int32"):
        sample("add", [(x, q), (x, q)], huge)


# Memory promises


@pytest.mark.parametrize("seed", range(40))
def test_pool_overlap_is_exact(seed: int) -> None:
    """Replays reads and writes in the kernels' order: D works for every byte, D + 1 for not every byte."""
    rng = rng_for(6, seed)
    shape, attrs = random_window(rng, dilate=True)
    x = random_s8(rng, shape)
    s = sample("max_pool2d", [(x, None)], dict(attrs))
    _, g = window_of(s.graph.nodes[0], s.graph)
    reads: list[int] = []  # the lowest index each step reads; step t then writes output byte t
    py, px = g.positions(0), g.positions(1)
    for n in range(g.batch):
        for oh in range(g.out[0]):
            for ow in range(g.out[1]):
                first = min(
                    (n * g.size[0] + h) * g.size[1] + w for h in py[oh] if h >= 0 for w in px[ow] if w >= 0
                )
                reads += [first * g.channels + c for c in range(g.channels)]
    later = [min(reads[t + 1 :]) - (t + 1) for t in range(len(reads) - 1)]
    want = min(later) if later else x.size
    assert g.overlap(1) == want
    assert g.overlap(4) == 4 * want


def test_stream_overlap() -> None:
    assert stream_overlap(10, 4, 1) == 3
    assert stream_overlap(10, 1, 4) == -27
    assert stream_overlap(1, 40, 4) == 40


def test_views_that_move_nothing_are_aliases() -> None:
    x = np.zeros((1, 1, 5, 3), np.float32)
    for op, attrs, want in (
        ("transpose", {"perm": [0, 2, 1, 3]}, True),
        ("transpose", {"perm": [0, 1, 3, 2]}, False),
        ("slice", {"starts": [0] * 4, "sizes": [1, 1, 5, 3]}, True),
        ("slice", {"starts": [0] * 4, "sizes": [1, 1, 4, 3]}, False),
        ("pad", {"pads": [0] * 8}, True),
    ):
        s = sample(op, [(x, None)], attrs)
        node = s.graph.nodes[0]
        assert op_of(node).lower(node, s.graph, None).alias is want
        assert (op_of(node).families(node, s.graph) == ()) is want


# Validation


def node_of(op: str, attrs: dict[str, Any], *shapes: tuple[int, ...], dtype: DType = DType.F32) -> None:
    g = Graph("g")
    quant = Quant(0.1, 0) if dtype is DType.S8 else None
    for i, shape in enumerate(shapes):
        g.tensors[f"x{i}"] = Tensor(f"x{i}", shape, dtype, quant)
    node = Node(
        op, "the node", [f"x{i}" for i in range(len(shapes))], ["y", "d"][: op.count("dyn") + 1], attrs
    )
    registry()[op].infer(node, g)


@pytest.mark.parametrize(
    ("op", "attrs", "shapes", "why"),
    [
        ("add", {}, [(2, 3), (3, 2)], "do not go together"),
        ("add", {"lo": 2.0, "hi": 1.0}, [(2,), (2,)], "above hi"),
        ("mul", {}, [(2,)], "takes 2 input"),
        ("clip", {"lo": float("nan")}, [(2,)], "'lo'"),
        ("leaky_relu", {}, [(2,)], "'alpha' must be a number"),
        ("leaky_relu", {"alpha": INF}, [(2,)], "finite"),
        ("hard_sigmoid", {"alpha": 0.0}, [(2,)], "alpha is 0"),
        ("max_pool2d", {"kernel": [2, 2]}, [(2, 2)], "takes \\(N, H, W, C\\)"),
        ("max_pool2d", {"kernel": [3, 1]}, [(1, 2, 2, 1)], "window spans 3"),
        ("max_pool2d", {"kernel": [1, 1], "pads": [1, 0, 0, 0]}, [(1, 2, 2, 1)], "padding alone"),
        ("max_pool2d", {"kernel": [1, 0]}, [(1, 2, 2, 1)], "'kernel'"),
        ("avg_pool2d", {"kernel": [1, 1], "dilations": [2, 2]}, [(1, 2, 2, 1)], "dilations"),
        ("pad", {"pads": [1]}, [(2,)], "must be 2 integers"),
        ("pad", {"pads": [-1, 0]}, [(2,)], "'pads'"),
        ("pad", {"pads": [1] * 10}, [(2,) * 5], "at most 4"),
        ("pad", {"pads": [0, 2**30]}, [(2,)], "unsupported shape"),
        ("concat", {"axis": 1}, [(2, 3), (3, 3)], "do not join"),
        ("concat", {"axis": 2}, [(2, 3)], "'axis' is 2"),
        ("slice", {"starts": [1], "sizes": [2], "steps": [1]}, [(2,)], "reads index 2"),
        ("slice", {"starts": [0], "sizes": [1], "steps": [0]}, [(2,)], "'steps'"),
        ("transpose", {"perm": [0, 0]}, [(2, 3)], "no permutation"),
        ("transpose", {"perm": list(range(7))[::-1]}, [(2,) * 7], "at most 6"),
        ("reshape", {"shape": [5]}, [(2, 3)], "6 elements"),
        ("reshape", {}, [(2, 3)], "'shape'"),
        ("softmax", {}, [()], "at least one dimension"),
        ("argmax", {"keepdims": 7}, [(2,)], "'keepdims'"),
        ("quantize", {}, [(2,)], "out_quant"),
        ("quantize", {"out_quant": Quant(0.0, 0)}, [(2,)], "positive"),
        ("quantize", {"out_quant": Quant(1.0, 200)}, [(2,)], "zero point 200"),
        ("quantize", {"out_quant": Quant(1.0, 0), "qmin": 5, "qmax": 4}, [(2,)], "above qmax"),
        ("dynamic_quantize", {"per": "row", "form": "div", "eps": 0.0}, [(2, 2)], "'eps'"),
        ("dynamic_quantize", {"per": "row", "form": "div", "eps": 1e-40}, [(2, 2)], "'eps'"),
        ("dynamic_quantize", {"per": "axis", "form": "div", "eps": 1.0}, [(2, 2)], "'per'"),
    ],
)
def test_errors_name_the_node(
    op: str, attrs: dict[str, Any], shapes: list[tuple[int, ...]], why: str
) -> None:
    with pytest.raises(ModelError, match=f"node 'the node'.*{why}"):
        node_of(op, attrs, *shapes)


def test_integer_nodes_need_their_numbers() -> None:
    q = Quant(0.1, 0)
    for op, attrs, shapes, why in (
        ("add", {"out_quant": q}, [(2,), (2,)], "'ma'"),
        ("mul", {"out_quant": q, "za": 0, "zb": 0, "m": 2**14}, [(2,), (2,)], "'m'"),
        ("lut", {"out_quant": q, "table": np.zeros(4, np.int8)}, [(2,)], "256"),
        ("avg_pool2d", {"kernel": [2, 2], "out_quant": q}, [(1, 2, 2, 1)], "'mul'"),
        ("clip", {}, [(2,)], "only f32"),
    ):
        with pytest.raises(ModelError, match=f"node 'the node'.*{why}"):
            node_of(op, attrs, *shapes, dtype=DType.S8)
