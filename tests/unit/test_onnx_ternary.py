"""Detection of ternary weights: what is found, with which scales, and what only looks ternary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx_models import build, compare, imported, node, trits

from edgebit.importers._onnx_ternary import describe_weights, find_ternary, from_levels
from edgebit.ir.graph import Int8Weights, TernaryWeights

RNG = np.random.default_rng(5)


def rows_of(levels: Any, shape: tuple[int, int] = (16, 24), seed: int = 3) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).choice(np.array(levels, np.float32), shape)


def test_one_scale_for_the_tensor() -> None:
    t = trits(RNG, (16, 24))
    found = find_ternary(t * np.float32(0.037))
    assert found is not None
    np.testing.assert_array_equal(found[0], t)
    np.testing.assert_array_equal(found[1], np.full(16, 0.037, np.float32))


def test_a_scale_per_row_with_empty_and_negative_rows() -> None:
    t = trits(RNG, (16, 24))
    t[5] = 0
    s = RNG.uniform(0.01, 3, 16).astype(np.float32)
    s[7] = -s[7]
    found = find_ternary(t * s[:, None])
    assert found is not None
    np.testing.assert_array_equal(found[0] * found[1][:, None], t * s[:, None])
    assert (found[1] > 0).all()


def test_straight_through_noise_is_cleaned() -> None:
    w = np.random.default_rng(1).standard_normal((32, 48)).astype(np.float32) * np.float32(0.37)
    a = np.float32(np.abs(w).mean())
    q = np.clip(np.rint(w / a), -1, 1) * a
    noisy = w + (q - w)
    assert len(np.unique(np.abs(noisy))) > 2
    found = find_ternary(noisy)
    assert found is not None
    np.testing.assert_array_equal(found[0], np.clip(np.rint(w / a), -1, 1))
    np.testing.assert_allclose(found[1], a, rtol=2e-7)


def test_binary_weights_count_as_ternary() -> None:
    assert find_ternary(rows_of([-0.5, 0.5])) is not None


NEAR_MISSES = {
    "thirds": rows_of([-1, -1 / 3, 1 / 3, 1]),
    "halves": rows_of([-1.5, -0.5, 0.5, 1.5]),
    "two bits": rows_of([-2, -1, 0, 1]),
    "five levels": rows_of([-1, -0.5, 0, 0.5, 1]),
    "random": RNG.standard_normal((16, 24)).astype(np.float32),
    "small noise": (rows_of([-1, 0, 1]) * (1 + 1e-4 * RNG.standard_normal((16, 24)))).astype(np.float32),
    "nearly zero": np.where(rows_of([0, 1]) == 0, np.float32(1e-4), rows_of([-1, 1])).astype(np.float32),
    "one value": np.full((16, 24), 0.3, np.float32),
    "one value per row": np.repeat(RNG.standard_normal((16, 1)), 24, axis=1).astype(np.float32),
    "rows of one": RNG.standard_normal((64, 1)).astype(np.float32),
    "all zero": np.zeros((16, 24), np.float32),
    "too few": rows_of([-1, 0, 1], (3, 5)),
    "column scales": rows_of([-1, 0, 1]) * RNG.uniform(0.5, 2, (1, 24)).astype(np.float32),
    "groups": np.repeat(RNG.uniform(0.5, 2, (16, 2)), 12, axis=1).astype(np.float32) * rows_of([-1, 0, 1]),
    "infinite": np.where(rows_of([0, 1]) == 0, np.float32(np.inf), 0).astype(np.float32),
}


@pytest.mark.parametrize("case", NEAR_MISSES)
def test_what_only_looks_ternary_stays_float(case: str) -> None:
    assert find_ternary(NEAR_MISSES[case]) is None


def test_half_precision_needs_its_own_tolerance() -> None:
    w = trits(RNG, (16, 24)) * np.float32(0.1)
    w = np.where(RNG.random(w.shape) < 0.5, w, w * np.float32(1 + 2**-11)).astype(np.float32)
    assert find_ternary(w) is None
    assert find_ternary(w, half=True) is not None


@pytest.mark.parametrize("scale", [0.5, -0.25, 0.0])
def test_stored_integers(scale: float) -> None:
    q = trits(RNG, (6, 9)).astype(np.int8)
    w = from_levels(q, np.full(6, scale, np.float32))
    assert isinstance(w, TernaryWeights)
    np.testing.assert_array_equal(w.dense(), q * np.float32(scale))
    assert (w.scale > 0).all()
    w = from_levels(q * 127, np.full(6, scale, np.float32))
    assert isinstance(w, TernaryWeights)
    np.testing.assert_array_equal(w.dense(), q * np.float32(127) * np.float32(scale))


def test_stored_integers_that_are_not_ternary() -> None:
    q = RNG.integers(-127, 128, (6, 9)).astype(np.int8)
    w = from_levels(q, np.linspace(-1, 1, 6).astype(np.float32))
    assert isinstance(w, Int8Weights)
    np.testing.assert_array_equal(w.dense(), q * np.linspace(-1, 1, 6).astype(np.float32)[:, None])
    q[0, 0] = -128
    assert from_levels(q, np.full(6, -1.0, np.float32)) is None


def test_orientation_of_each_operator(tmp_path: Path) -> None:
    """Scales per output channel are found whichever way the operator stores them."""
    t, s = trits(RNG, (12, 16)), RNG.uniform(0.1, 2, 12).astype(np.float32)
    w = t * s[:, None]
    cases = [
        (node("MatMul", ["x", "w"]), w.T),
        (node("Gemm", ["x", "w"], alpha=-0.5), w.T),
        (node("Gemm", ["x", "w"], transB=1), w),
    ]
    for n, value in cases:
        g = compare(build([n], {"x": (2, 16)}, consts={"w": value}), tmp_path)
        c = next(iter(g.consts.values()))
        assert isinstance(c, TernaryWeights)
        np.testing.assert_array_equal(np.abs(c.trits), np.abs(t))
    conv = t.reshape(12, 4, 2, 2) * s[:, None, None, None]
    g = compare(build([node("Conv", ["x", "w"])], {"x": (1, 4, 5, 5)}, consts={"w": conv}), tmp_path)
    (info,) = describe_weights(g)
    assert (info.kind, info.shape, info.scales) == ("ternary", (12, 2, 2, 4), 12)
    assert info.sparsity == pytest.approx(1 - np.count_nonzero(t) / t.size)


def test_shared_weights_are_stored_once(tmp_path: Path) -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("MatMul", ["a", "w"])]
    g = compare(build(nodes, {"x": (2, 16)}, consts={"w": trits(RNG, (16, 16))}), tmp_path)
    assert list(g.consts) == ["w"]


def packed(values: np.ndarray[Any, Any], elem: int) -> TensorProto:
    bits = 2 if elem in (TensorProto.INT2, TensorProto.UINT2) else 4
    flat = values.reshape(-1).astype(np.int64) & ((1 << bits) - 1)
    per = 8 // bits
    flat = np.pad(flat, (0, -len(flat) % per)).reshape(-1, per)
    raw = (flat << (bits * np.arange(per))).sum(axis=1).astype(np.uint8).tobytes()
    return helper.make_tensor("w", elem, values.shape, raw, raw=True)


STORED = [
    (TensorProto.INT8, None, 21),
    (TensorProto.UINT8, 128, 21),
    (TensorProto.INT4, None, 21),
    (TensorProto.UINT4, 8, 21),
    (TensorProto.INT2, None, 25),
    (TensorProto.UINT2, 1, 25),
]


@pytest.mark.parametrize(("elem", "zero", "opset"), STORED)
@pytest.mark.parametrize("per_axis", [False, True])
def test_dequantised_weights(tmp_path: Path, elem: int, zero: int | None, opset: int, per_axis: bool) -> None:
    t = trits(RNG, (12, 17)).T  # odd count: the last byte is not full
    if elem in (TensorProto.INT8, TensorProto.UINT8):
        kind = np.int8 if elem == TensorProto.INT8 else np.uint8
        stored = helper.make_tensor("w", elem, t.shape, (t + (zero or 0)).astype(kind).tobytes(), raw=True)
    else:
        stored = packed(t + (zero or 0), elem)
    consts: dict[str, Any] = {"w": stored, "s": RNG.uniform(0.1, 1, 12).astype(np.float32)}
    if not per_axis:
        consts["s"] = np.float32(0.25)
    if zero is not None:
        z = np.full(12 if per_axis else 1, zero)
        consts["z"] = packed(z, elem) if elem != TensorProto.UINT8 else z.astype(np.uint8)
        if not per_axis:
            consts["z"] = helper.make_tensor("z", elem, (), bytes([zero]), raw=True)
    nodes = [node("DequantizeLinear", list(consts), ["d"], axis=1), node("MatMul", ["x", "d"])]
    g = compare(build(nodes, {"x": (2, 17)}, consts=consts, opset=opset), tmp_path)
    (info,) = describe_weights(g)
    assert info.kind == "ternary"
    assert info.scales == (12 if per_axis else 1)


def test_dequantised_int8_weights(tmp_path: Path) -> None:
    q = RNG.integers(-128, 128, (16, 12)).astype(np.int8)
    consts = {"w": q, "s": RNG.uniform(0.1, 1, 12).astype(np.float32)}
    nodes = [node("DequantizeLinear", ["w", "s"], ["d"], axis=1), node("MatMul", ["x", "d"])]
    g = compare(build(nodes, {"x": (2, 16)}, consts=consts), tmp_path)
    assert describe_weights(g)[0].kind == "int8"
    consts["z"] = np.full(12, 100, np.int8)  # -128 - 100 does not fit int8
    nodes = [node("DequantizeLinear", ["w", "s", "z"], ["d"], axis=1), node("MatMul", ["x", "d"])]
    g = compare(build(nodes, {"x": (2, 16)}, consts=consts), tmp_path, tol=1e-5)
    assert describe_weights(g)[0].kind == "float"


def test_quantised_in_the_graph(tmp_path: Path) -> None:
    """Brevitas QCDQ: QuantizeLinear, Clip(-1, 1), DequantizeLinear on a float master."""
    consts = {
        "w": RNG.standard_normal((12, 16)).astype(np.float32),
        "s": np.float32(0.7),
        "z": np.array(0, np.int8),
        "lo": np.array(-1, np.int8),
        "hi": np.array(1, np.int8),
    }
    nodes = [
        node("QuantizeLinear", ["w", "s", "z"], ["q"]),
        node("Clip", ["q", "lo", "hi"], ["c"]),
        node("DequantizeLinear", ["c", "s", "z"], ["d"]),
        node("Transpose", ["d"], ["t"]),
        node("MatMul", ["x", "t"]),
    ]
    g = compare(build(nodes, {"x": (2, 16)}, consts=consts), tmp_path)
    assert describe_weights(g)[0].kind == "ternary"


def absmean(w: str, out: str, spelling: str) -> list[Any]:
    """BitNet's weight quantisation of `w` with the straight-through estimator, as exporters spell it."""
    n = [node("Abs", [w], ["wa"])]
    if spelling == "axes":
        n.append(node("ReduceMean", ["wa", "axes"], ["wm"], keepdims=1))
    else:
        n.append(node("ReduceMean", ["wa"], ["wm"], keepdims=0))
    n += [node("Cast", ["eps64"], ["eps"], to=1), node("Clip", ["wm", "eps"], ["wc"])]
    if spelling == "reciprocal":
        n += [node("Reciprocal", ["wc"], ["wr"]), node("Mul", ["wr", "one"], ["ws"])]
        n += [node("Mul", [w, "ws"], ["wd"])]
    else:
        n += [node("Div", [w, "wc"], ["wd"])]
    n += [
        node("Round", ["wd"], ["wi"]),
        node("Clip", ["wi", "m1"], ["wl"]),
        node("Clip", ["wl", "", "one"], ["wq"]),
    ]
    n += [
        node("Div", ["wq", "ws"], ["wz"]) if spelling == "reciprocal" else node("Mul", ["wq", "wc"], ["wz"])
    ]
    n += [node("Identity", ["wz"], ["wy"]), node("Sub", ["wy", w], ["wx"]), node("Add", [w, "wx"], [out])]
    return n


@pytest.mark.parametrize("spelling", ["plain", "reciprocal", "axes"])
def test_fake_quantised_masters_are_folded(tmp_path: Path, spelling: str) -> None:
    w = RNG.standard_normal((24, 96)).astype(np.float32)
    consts = {
        "w": w,
        "eps64": np.array(1e-5, np.float64),
        "m1": np.float32(-1),
        "one": np.float32(1),
        "axes": np.array([0, 1], np.int64),
    }
    nodes = [*absmean("w", "wt", spelling), node("Gemm", ["x", "wt"], transB=1)]
    g = compare(build(nodes, {"x": (2, 96)}, consts=consts, opset=18), tmp_path)
    (info,) = describe_weights(g)
    assert (info.kind, info.scales, info.const) == ("ternary", 1, "w")
    a = np.abs(w).mean()
    c = g.consts["w"]
    assert isinstance(c, TernaryWeights)
    np.testing.assert_array_equal(c.trits, np.clip(np.rint(w / a), -1, 1))


def test_float16_weights(tmp_path: Path) -> None:
    t = trits(RNG, (12, 16)).astype(np.float16) * RNG.uniform(0.1, 1, (12, 1)).astype(np.float16)
    nodes = [node("Cast", ["w"], ["f"], to=1), node("Gemm", ["x", "f"], transB=1)]
    g = imported(build(nodes, {"x": (2, 16)}, consts={"w": t}), tmp_path)
    assert describe_weights(g)[0].kind == "ternary"
    compare(build(nodes, {"x": (2, 16)}, consts={"w": t}), tmp_path)
