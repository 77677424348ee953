"""The constant folder, operator by operator, against onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper
from onnx_models import build, node, save

from edgebit.errors import ModelError
from edgebit.importers._onnx_fold import fold, foldable
from edgebit.importers._onnx_read import read_model
from edgebit.importers.oracle import run_source

RNG = np.random.default_rng(2)
X = RNG.standard_normal((2, 3, 4)).astype(np.float32)
P = np.abs(X) + np.float32(0.1)
I8 = RNG.integers(-128, 128, (2, 3, 4)).astype(np.int8)
HALVES = (np.arange(-12, 12).reshape(2, 3, 4) / 2).astype(np.float32)


def i64(*v: int) -> np.ndarray[Any, Any]:
    return np.array(v, np.int64)


def f32(v: float) -> np.ndarray[Any, Any]:
    return np.array(v, np.float32)


Case = tuple[str, list[Any], dict[str, Any]]

CASES: dict[str, Case] = {
    "add": ("Add", [X, X[0]], {}),
    "sub": ("Sub", [X, f32(2)], {}),
    "mul": ("Mul", [X, X[:, :1]], {}),
    "div": ("Div", [X, P], {}),
    "div int": ("Div", [i64(-7, 7, 9), i64(2, -2, 4)], {}),
    "pow": ("Pow", [P, f32(2)], {}),
    "min": ("Min", [X, f32(0)], {}),
    "max": ("Max", [X, f32(0)], {}),
    "equal": ("Equal", [HALVES, f32(1)], {}),
    "greater": ("Greater", [HALVES, f32(1)], {}),
    "where": ("Where", [X > 0, X, f32(9)], {}),
    "abs": ("Abs", [X], {}),
    "neg": ("Neg", [X], {}),
    "sign": ("Sign", [HALVES], {}),
    "sqrt": ("Sqrt", [P], {}),
    "reciprocal": ("Reciprocal", [P], {}),
    "round": ("Round", [HALVES], {}),
    "floor": ("Floor", [HALVES], {}),
    "ceil": ("Ceil", [HALVES], {}),
    "relu": ("Relu", [X], {}),
    "clip": ("Clip", [X, f32(-0.5), f32(0.5)], {}),
    "clip min": ("Clip", [X, f32(-0.5)], {}),
    "clip max": ("Clip", [X, None, f32(0.5)], {}),
    "mean": ("ReduceMean", [X, i64(0, -1)], {"keepdims": 0}),
    "mean all": ("ReduceMean", [X], {}),
    "mean noop": ("ReduceMean", [X, i64()], {"noop_with_empty_axes": 1}),
    "reduce max": ("ReduceMax", [X, i64(1)], {}),
    "reduce sum": ("ReduceSum", [X, i64(1)], {}),
    "cast int": ("Cast", [HALVES], {"to": 6}),
    "cast double": ("Cast", [X], {"to": 11}),
    "cast half": ("Cast", [X], {"to": 10}),
    "cast like": ("CastLike", [I8, X], {}),
    "reshape": ("Reshape", [X, i64(0, -1)], {}),
    "flatten": ("Flatten", [X], {"axis": 2}),
    "transpose": ("Transpose", [X], {"perm": [2, 0, 1]}),
    "transpose all": ("Transpose", [X], {}),
    "squeeze": ("Squeeze", [X[:, :1], i64(-2)], {}),
    "unsqueeze": ("Unsqueeze", [X, i64(0, -1)], {}),
    "expand": ("Expand", [X[:, :1], i64(5, 2, 3, 1)], {}),
    "concat": ("Concat", [X, X], {"axis": -1}),
    "slice": ("Slice", [X, i64(-1, 0), i64(-100, 3), i64(1, 2), i64(-1, 2)], {}),
    "gather": ("Gather", [X, np.array([[2, -1]], np.int64)], {"axis": 1}),
    "tile": ("Tile", [X, i64(1, 2, 3)], {}),
    "shape": ("Shape", [X], {"start": 1}),
    "size": ("Size", [X], {}),
    "range": ("Range", [i64(5)[0], i64(-4)[0], i64(-3)[0]], {}),
    "constant of shape": ("ConstantOfShape", [i64(2, 3)], {"value": helper.make_tensor("v", 1, [1], [2.5])}),
    "quantize": ("QuantizeLinear", [HALVES, f32(0.25), np.array(5, np.uint8)], {}),
    "quantize axis": ("QuantizeLinear", [X, P[0, :, 0], np.array([1, 2, 3], np.int8)], {"axis": 1}),
    "quantize block": ("QuantizeLinear", [X, P[:, :, :2]], {"axis": 2, "block_size": 2}),
    "dequantize": ("DequantizeLinear", [I8, f32(0.1), np.array(-7, np.int8)], {}),
    "dequantize axis": ("DequantizeLinear", [I8, P[0, :, 0]], {"axis": -2}),
    "dequantize int32": ("DequantizeLinear", [I8.astype(np.int32) * 1000, f32(0.1)], {}),
    "dequantize block": ("DequantizeLinear", [I8, P[:, :, :2]], {"axis": 2, "block_size": 2}),
}


@pytest.mark.parametrize("case", CASES)
def test_against_onnxruntime(tmp_path: Path, case: str) -> None:
    op, values, attrs = CASES[case]
    consts = {f"c{i}": np.asarray(v) for i, v in enumerate(values) if v is not None}
    names = [f"c{i}" if v is not None else "" for i, v in enumerate(values)]
    path = save(build([node(op, names, **attrs)], {"x": (1,)}, consts=consts, opset=21, out_elem=0), tmp_path)
    source = read_model(path)
    (n,) = source.nodes
    assert foldable(op)
    (got,) = fold(op, [source.consts[i] if i else None for i in n.inputs], n.attrs)
    model = build([node(op, names, **attrs)], {"x": (1,)}, consts=consts, opset=21)
    model.graph.output[0].type.tensor_type.elem_type = got.elem
    want, why = run_source(save(model, tmp_path), [{"x": np.zeros(1, np.float32)}])
    assert want is not None, why
    y = want[0]["y"]
    assert (y.shape, y.dtype) == (got.array.shape, got.array.dtype)
    np.testing.assert_allclose(got.array, y, rtol=3e-7)


def test_split(tmp_path: Path) -> None:
    model = build([node("Split", ["c"], ["a", "b"], axis=1)], {"x": (1,)}, ["a", "b"], {"c": X[:, :2]})
    source = read_model(save(model, tmp_path))
    a, b = fold("Split", [source.consts["c"]], source.nodes[0].attrs, 2)
    np.testing.assert_array_equal(np.concatenate([a.array, b.array], axis=1), X[:, :2])


@pytest.mark.parametrize("kind", ["value", "value_float", "value_floats", "value_int", "value_ints"])
def test_constant_nodes(tmp_path: Path, kind: str) -> None:
    value: Any = {
        "value": helper.make_tensor("v", 1, [2], [1.0, 2.0]),
        "value_float": 1.5,
        "value_floats": [1.5, 2.5],
        "value_int": 3,
        "value_ints": [3, 4],
    }[kind]
    source = read_model(save(build([node("Constant", [], **{kind: value})], {"x": (1,)}), tmp_path))
    (c,) = fold("Constant", [], source.nodes[0].attrs)
    assert c.array.dtype == (np.int64 if "int" in kind else np.float32)


def test_malformed_constants_are_refused() -> None:
    with pytest.raises(ModelError, match="missing"):
        fold("Abs", [], {})
    with pytest.raises(ModelError, match="without a numeric value"):
        fold("Constant", [], {})
