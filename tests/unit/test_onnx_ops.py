"""Every supported ONNX operator, imported and executed, against onnxruntime without graph optimisation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_models import build, compare, imported, node, ops, save

from edgebit.errors import ModelError
from edgebit.importers.base import load_model
from edgebit.importers.oracle import run_source
from edgebit.ops.base import execute

I64 = np.int64


def rand(*shape: int, seed: int = 7) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


CONVS = {
    "plain": ({}, (5, 4, 3, 3), (1, 4, 7, 6)),
    "pads": ({"pads": [1, 0, 2, 3]}, (5, 4, 3, 3), (1, 4, 7, 6)),
    "strides": ({"strides": [2, 3], "pads": [1, 1, 1, 1]}, (5, 4, 3, 3), (1, 4, 7, 9)),
    "same_upper": ({"auto_pad": "SAME_UPPER", "strides": [2, 2]}, (5, 4, 3, 4), (1, 4, 7, 6)),
    "same_lower": ({"auto_pad": "SAME_LOWER", "strides": [2, 1]}, (5, 4, 4, 3), (1, 4, 7, 6)),
    "valid": ({"auto_pad": "VALID"}, (5, 4, 2, 3), (1, 4, 7, 6)),
    "dilated": ({"dilations": [2, 1], "pads": [2, 1, 2, 1]}, (5, 4, 3, 3), (1, 4, 9, 6)),
    "groups": ({"group": 2}, (6, 2, 3, 3), (1, 4, 7, 6)),
    "depthwise": ({"group": 4, "pads": [1, 1, 1, 1]}, (8, 1, 3, 3), (1, 4, 7, 6)),
    "batch": ({}, (5, 4, 3, 3), (3, 4, 5, 5)),
    "one_d": ({"pads": [2, 1], "strides": [2]}, (6, 4, 5), (2, 4, 17)),
    "one_d_same": ({"auto_pad": "SAME_UPPER"}, (6, 4, 5), (1, 4, 17)),
}


@pytest.mark.parametrize("case", CONVS)
@pytest.mark.parametrize("bias", [False, True])
def test_conv(tmp_path: Path, case: str, bias: bool) -> None:
    attrs, w, x = CONVS[case]
    consts = {"w": rand(*w), **({"b": rand(w[0])} if bias else {})}
    g = compare(build([node("Conv", ["x", *consts], **attrs)], {"x": x}, consts=consts), tmp_path)
    assert ops(g) == ["conv2d"]


@pytest.mark.parametrize("trans_a", [0, 1])
@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("c", [None, (5,), (1, 5), (1,), (1, 1)])
def test_gemm(tmp_path: Path, trans_a: int, trans_b: int, c: tuple[int, ...] | None) -> None:
    consts = {"w": rand(5, 8) if trans_b else rand(8, 5)}
    if c is not None:
        consts["c"] = rand(*c)
    n = node("Gemm", ["x", *consts], transA=trans_a, transB=trans_b, alpha=0.5, beta=-2.0)
    compare(build([n], {"x": (8, 3) if trans_a else (3, 8)}, consts=consts), tmp_path)


@pytest.mark.parametrize("x", [(3, 8), (2, 3, 8), (2, 2, 3, 8)])
def test_matmul(tmp_path: Path, x: tuple[int, ...]) -> None:
    compare(build([node("MatMul", ["x", "w"])], {"x": x}, consts={"w": rand(8, 5)}), tmp_path)


def test_matmul_with_the_constant_first(tmp_path: Path) -> None:
    compare(build([node("MatMul", ["w", "x"])], {"x": (8, 3)}, consts={"w": rand(5, 8)}), tmp_path)


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize(
    "shape", [(), (1,), (6,), (4, 1, 1), (1, 4, 1, 1), (1, 4, 5, 6), (5, 1), (4, 5, 1), (5, 6)]
)
def test_arithmetic_with_constants(tmp_path: Path, op: str, first: bool, shape: tuple[int, ...]) -> None:
    model = build(
        [node(op, ["c", "x"] if first else ["x", "c"])], {"x": (2, 4, 5, 6)}, consts={"c": rand(*shape) + 3}
    )
    if op == "Div" and first:
        with pytest.raises(ModelError, match="divides a constant"):
            imported(model, tmp_path)
    else:
        compare(model, tmp_path)


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul"])
def test_arithmetic_with_activations(tmp_path: Path, op: str) -> None:
    compare(build([node(op, ["a", "b"])], {"a": (2, 4, 5), "b": (2, 4, 5)}), tmp_path)
    compare(build([node("Mul", ["a", "b"])], {"a": (2, 4, 5, 3), "b": (2, 4, 1, 1)}), tmp_path)


FUNCTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("Relu", {}),
    "leaky": ("LeakyRelu", {"alpha": 0.1}),
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "hard_swish": ("HardSwish", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}),
    "neg": ("Neg", {}),
    "identity": ("Identity", {}),
    "global_avg": ("GlobalAveragePool", {}),
    "global_max": ("GlobalMaxPool", {}),
    "flatten": ("Flatten", {"axis": 2}),
    "flatten_neg": ("Flatten", {"axis": -3}),
    "transpose": ("Transpose", {"perm": [0, 3, 1, 2]}),
    "transpose_all": ("Transpose", {}),
    "softmax": ("Softmax", {"axis": 1}),
    "softmax_last": ("Softmax", {}),
    "max_pool": ("MaxPool", {"kernel_shape": [2, 3], "strides": [2, 1], "pads": [1, 0, 0, 2]}),
    "max_pool_dilated": ("MaxPool", {"kernel_shape": [2, 2], "dilations": [2, 3]}),
    "max_pool_ceil": ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 4], "ceil_mode": 1}),
    "max_pool_same": ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    "avg_pool": ("AveragePool", {"kernel_shape": [2, 3], "pads": [1, 1, 0, 1]}),
    "avg_pool_include": (
        "AveragePool",
        {"kernel_shape": [2, 3], "pads": [1, 1, 0, 1], "count_include_pad": 1},
    ),
    "avg_pool_ceil": ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
    "mean_hw": ("ReduceMean", {"axes": [2, 3]}),
    "mean_hw_flat": ("ReduceMean", {"axes": [-1, -2], "keepdims": 0}),
    "mean_w": ("ReduceMean", {"axes": [3]}),
    "mean_c": ("ReduceMean", {"axes": [1], "keepdims": 0}),
    "mean_chw": ("ReduceMean", {"axes": [1, 2, 3]}),
    "max_hw": ("ReduceMax", {"axes": [2, 3]}),
}


@pytest.mark.parametrize("case", FUNCTIONS)
def test_functions(tmp_path: Path, case: str) -> None:
    op, attrs = FUNCTIONS[case]
    compare(build([node(op, ["x"], **attrs)], {"x": (2, 4, 7, 9)}), tmp_path)


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_one_dimensional_pools(tmp_path: Path, op: str) -> None:
    compare(build([node(op, ["x"], kernel_shape=[3], strides=[2], pads=[1, 0])], {"x": (2, 4, 9)}), tmp_path)


def test_mean_over_a_sequence(tmp_path: Path) -> None:
    compare(build([node("ReduceMean", ["x"], axes=[1], keepdims=0)], {"x": (2, 5, 7)}), tmp_path)
    compare(
        build([node("ReduceMean", ["x", "a"])], {"x": (1, 5)}, consts={"a": np.array([], I64)}, opset=18),
        tmp_path,
    )


@pytest.mark.parametrize("bounds", [(-1.0, 1.0), (None, 0.5), (-0.5, None), (None, None)])
def test_clip(tmp_path: Path, bounds: tuple[float | None, float | None]) -> None:
    consts = {k: np.float32(v) for k, v in zip(("lo", "hi"), bounds, strict=True) if v is not None}
    ins = ["x", "lo" if "lo" in consts else "", "hi" if "hi" in consts else ""]
    compare(build([node("Clip", ins)], {"x": (2, 9)}, consts=consts), tmp_path)
    attrs = {k: v for k, v in zip(("min", "max"), bounds, strict=True) if v is not None}
    compare(build([node("Clip", ["x"], **attrs)], {"x": (2, 9)}, opset=10), tmp_path)


def test_min_and_max_with_constants(tmp_path: Path) -> None:
    nodes = [node("Max", ["x", "zero"], ["a"]), node("Min", ["six", "a"])]
    g = compare(build(nodes, {"x": (2, 9)}, consts={"zero": np.float32(0), "six": np.float32(1.5)}), tmp_path)
    assert ops(g) == ["clip", "clip"]


@pytest.mark.parametrize("shape", [(2, 5), (2, 5, 4), (2, 5, 4, 3)])
def test_batch_normalization(tmp_path: Path, shape: tuple[int, ...]) -> None:
    consts = {k: rand(5, seed=i) for i, k in enumerate("sbmv")}
    consts["v"] = np.abs(consts["v"]) + 0.1
    g = compare(
        build([node("BatchNormalization", ["x", *"sbmv"], epsilon=1e-3)], {"x": shape}, consts=consts),
        tmp_path,
    )
    assert ops(g) == ["mul", "add"]


def test_gates_become_one_op(tmp_path: Path) -> None:
    silu = [node("Sigmoid", ["x"], ["s"]), node("Mul", ["s", "x"])]
    assert ops(compare(build(silu, {"x": (2, 9)}), tmp_path)) == ["silu"]
    swish = [node("HardSigmoid", ["x"], ["s"], alpha=1 / 6, beta=0.5), node("Mul", ["x", "s"])]
    assert ops(compare(build(swish, {"x": (2, 9)}), tmp_path)) == ["hard_swish"]
    other = [node("Sigmoid", ["x"], ["s"]), node("Mul", ["s", "z"])]
    assert ops(compare(build(other, {"x": (2, 9), "z": (2, 9)}), tmp_path)) == ["sigmoid", "mul"]


@pytest.mark.parametrize("opset", [9, 13])
def test_softmax_of_old_opsets_flattens(tmp_path: Path, opset: int) -> None:
    compare(build([node("Softmax", ["x"], axis=1)], {"x": (2, 4, 5)}, opset=opset), tmp_path)
    compare(build([node("Softmax", ["x"])], {"x": (2, 4, 5)}, opset=opset), tmp_path)


def test_shapes_computed_in_the_graph(tmp_path: Path) -> None:
    """torch's legacy `x.view(x.size(0), -1)`."""
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "zero"], ["n"]),
        node("Unsqueeze", ["n", "axes"], ["n1"]),
        node("Concat", ["n1", "minus"], ["shape"], axis=0),
        node("Reshape", ["x", "shape"]),
    ]
    consts = {"zero": np.array(0, I64), "axes": np.array([0], I64), "minus": np.array([-1], I64)}
    g = compare(build(nodes, {"x": ("N", 3, 4)}, consts=consts), tmp_path, batch=2)
    assert g.tensors["y"].shape == (2, 12)


def test_slices_and_joins(tmp_path: Path) -> None:
    consts = {
        "starts": np.array([1, -3], I64),
        "ends": np.array([2**62, 4], I64),
        "axes": np.array([2, 1], I64),
        "steps": np.array([2, 1], I64),
    }
    compare(build([node("Slice", ["x", *consts])], {"x": (2, 6, 7)}, consts=consts), tmp_path)
    compare(
        build([node("Slice", ["x"], starts=[1], ends=[5], axes=[1])], {"x": (2, 6, 7)}, opset=9), tmp_path
    )
    nodes = [node("Split", ["x"], ["a", "b"], axis=1), node("Concat", ["b", "a", "x"], axis=-2)]
    compare(build(nodes, {"x": (2, 6, 7)}), tmp_path)
    nodes = [node("Split", ["x", "s"], ["a", "b"], axis=2), node("Concat", ["b", "a"], axis=2)]
    compare(build(nodes, {"x": (2, 6, 7)}, consts={"s": np.array([3, 4], I64)}), tmp_path)
    compare(
        build([node("Gather", ["x", "i"], axis=1)], {"x": (2, 6, 7)}, consts={"i": np.array(-1, I64)}),
        tmp_path,
    )


def test_pad(tmp_path: Path) -> None:
    consts = {"p": np.array([0, 0, 1, 2, 0, 1, 0, 3], I64), "v": np.float32(-1.5)}
    compare(build([node("Pad", ["x", "p", "v"])], {"x": (1, 2, 3, 4)}, consts=consts), tmp_path)
    consts = {"p": np.array([1, 2], I64), "v": np.float32(2), "a": np.array([-1], I64)}
    compare(build([node("Pad", ["x", *consts])], {"x": (1, 2, 3, 4)}, consts=consts, opset=18), tmp_path)
    compare(build([node("Pad", ["x"], pads=[0, 1, 0, 0], value=1.0)], {"x": (2, 3)}, opset=9), tmp_path)
    with pytest.raises(ModelError, match="mode 'reflect'"):
        imported(
            build([node("Pad", ["x"], pads=[0, 1, 0, 0], mode="reflect")], {"x": (2, 3)}, opset=9), tmp_path
        )


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("keep", [0, 1])
def test_argmax(tmp_path: Path, axis: int, keep: int) -> None:
    model = build([node("ArgMax", ["x"], axis=axis, keepdims=keep)], {"x": (3, 4, 5)}, out_elem=7)
    compare(model, tmp_path, tol=0)


def test_squeeze_unsqueeze_cast_dropout_expand(tmp_path: Path) -> None:
    nodes = [
        node("Unsqueeze", ["x", "a"], ["u"]),
        node("Cast", ["u"], ["c"], to=1),
        node("Dropout", ["c"], ["d"]),
        node("Expand", ["d", "e"], ["f"]),
        node("Squeeze", ["f", "a"], ["g"]),
        node("CastLike", ["g", "x"], ["h"]),
        node("Relu", ["h"]),
    ]
    consts = {"a": np.array([0, 2], I64), "e": np.array([1, 3], I64)}
    assert ops(compare(build(nodes, {"x": (2, 3)}, consts=consts), tmp_path)) == ["clip"]
    nodes = [node("Unsqueeze", ["x"], ["u"], axes=[1]), node("Squeeze", ["u"], axes=[1])]
    compare(build(nodes, {"x": (2, 3)}, opset=11), tmp_path)


def test_outputs_keep_their_names(tmp_path: Path) -> None:
    """Also when one value is several outputs, or is an input too."""
    nodes = [
        node("Relu", ["x"], ["a"]),
        node("Identity", ["a"], ["b"]),
        node("Identity", ["x"], ["c"]),
        node("Neg", ["a"], ["d"]),
    ]
    g = compare(build(nodes, {"x": (2, 3)}, ["b", "a", "c", "d"]), tmp_path)
    assert g.outputs == ["b", "a", "c", "d"]


def test_constants_that_are_also_inputs(tmp_path: Path) -> None:
    model = build([node("MatMul", ["x", "w"])], {"x": (1, 8), "w": (8, 5)}, consts={"w": rand(8, 5)})
    assert compare(model, tmp_path).inputs == ["x"]


@pytest.mark.parametrize("opset", [9, 11, 13, 17, 18, 21, 23, 25])
def test_opsets(tmp_path: Path, opset: int) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node("Relu", ["a"], ["b"]),
        node("GlobalAveragePool", ["b"], ["c"]),
        node("Flatten", ["c"], ["d"]),
        node("Gemm", ["d", "v", "bias"], transB=1),
    ]
    consts = {"w": rand(6, 2, 3, 3), "v": rand(4, 6), "bias": rand(4)}
    compare(build(nodes, {"x": ("N", 2, 6, 6)}, consts=consts, opset=opset), tmp_path, batch=2)


QDQ = [
    (np.int8, 3, [("Relu", {})]),
    (np.uint8, 120, [("Relu", {})]),
    (np.uint8, 0, [("MaxPool", {"kernel_shape": [2, 2]})]),
]


@pytest.mark.parametrize(("dtype", "zero", "between"), QDQ)
def test_quantised_activations(tmp_path: Path, dtype: Any, zero: int, between: list[Any]) -> None:
    nodes = [node("QuantizeLinear", ["x", "s", "z"], ["q"]), node("DequantizeLinear", ["q", "s", "z"], ["d"])]
    nodes += [node(between[0][0], ["d"], **between[0][1])]
    consts = {"s": np.float32(0.03), "z": np.array(zero, dtype)}
    g = compare(build(nodes, {"x": (1, 3, 5, 5)}, consts=consts), tmp_path, tol=1e-7)
    assert ops(g)[:2] == ["quantize", "dequantize"]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_narrow_quantised_activations(tmp_path: Path, dtype: Any) -> None:
    """Brevitas: a Clip between QuantizeLinear and DequantizeLinear narrows the bit width."""
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        node("Clip", ["q", "lo", "hi"], ["c"]),
        node("DequantizeLinear", ["c", "s", "z"]),
    ]
    lo, hi = (-8, 7) if dtype == np.int8 else (0, 15)
    consts = {
        "s": np.float32(0.2),
        "z": np.array(0, dtype),
        "lo": np.array(lo, dtype),
        "hi": np.array(hi, dtype),
    }
    g = compare(build(nodes, {"x": (3, 40)}, consts=consts), tmp_path, tol=1e-7)
    assert ops(g) == ["quantize", "dequantize"]
    assert g.nodes[0].attrs["qmax"] - g.nodes[0].attrs["qmin"] == 15


def test_quantised_input(tmp_path: Path) -> None:
    consts = {"s": np.float32(0.2), "z": np.array(3, np.int8)}
    model = build([node("DequantizeLinear", ["x", "s", "z"])], {"x": (1, 8)}, consts=consts, elem=3)
    path = save(model, tmp_path)
    g = load_model(path)
    x = np.arange(-4, 4, dtype=np.int8).reshape(1, 8)
    want, why = run_source(path, [{"x": x}])
    assert want is not None, why
    np.testing.assert_array_equal(want[0]["y"], execute(g, {"x": x})["y"])


def test_quantisation_that_does_not_fit(tmp_path: Path) -> None:
    per_channel = {"s": np.full(5, 0.1, np.float32), "z": np.zeros(5, np.int8)}
    with pytest.raises(ModelError, match="scale per channel"):
        imported(
            build([node("QuantizeLinear", ["x", "s", "z"])], {"x": (1, 5)}, consts=per_channel), tmp_path
        )
    wide = {"s": np.float32(0.1), "z": np.array(0, np.int16)}
    with pytest.raises(ModelError, match="INT16"):
        imported(
            build([node("QuantizeLinear", ["x", "s", "z"])], {"x": (1, 5)}, consts=wide, opset=21), tmp_path
        )


UNSUPPORTED: dict[str, tuple[list[Any], dict[str, Any], str | None]] = {
    "unknown": ([node("Erf", ["x"])], {}, r"node 'n_y' \(Erf\): this operator is not supported"),
    "suggests": ([node("ConvTranspose", ["x", "w"])], {"w": rand(3, 3, 2, 2)}, "Conv"),
    "round": ([node("Round", ["x"])], {}, "only as part of an activation quantisation"),
    "act_product": ([node("MatMul", ["x", "x"])], {}, "two activations"),
    "act_divide": ([node("Div", ["x", "x"])], {}, "one activation by another"),
    "broadcast": ([node("Add", ["x", "c"])], {"c": rand(2, 1, 3, 3, 3)}, "broadcasts"),
    "gather": ([node("Gather", ["x", "i"], axis=1)], {"i": np.array([0, 2], I64)}, "not consecutive"),
    "embedding": ([node("Gather", ["c", "x"])], {"c": rand(4, 4)}, "embedding"),
    "negative_step": ([node("Slice", ["x", *"abcd"])],
                      {k: np.array([v], I64) for k, v in zip("abcd", (5, 0, 2, -1), strict=True)}, "negative step"),
    "cast": ([node("Cast", ["x"], to=7)], {}, "casts an activation"),
    "constant_output": ([node("Neg", ["c"])], {"c": rand(2)}, "is constant"),
    "training": ([node("BatchNormalization", ["x", *"sbmv"], training_mode=1)],
                 {k: np.ones(3, np.float32) for k in "sbmv"}, "evaluation mode"),
    "ceil_in_padding": ([node("MaxPool", ["x"], kernel_shape=[1, 1], strides=[2, 2], ceil_mode=1,
                              pads=[0, 0, 0, 0])], {}, None),  # fits: 3 -> 2, no padding needed
    "huge_kernel": ([node("MaxPool", ["x"], kernel_shape=[9, 9])], {}, "does not fit"),
    "bad_groups": ([node("Conv", ["x", "w"], group=2)], {"w": rand(4, 3, 1, 1)}, "groups"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_unsupported_is_refused_by_name(tmp_path: Path, case: str) -> None:
    nodes, consts, match = UNSUPPORTED[case]
    model = build(nodes, {"x": (1, 3, 3, 3)}, consts=consts)
    if match is None:
        compare(model, tmp_path)
        return
    with pytest.raises(ModelError, match=match) as e:
        imported(model, tmp_path)
    assert str(e.value).startswith("m.onnx")
    assert e.value.exit_code == 3
