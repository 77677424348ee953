"""Dynamic activation quantisation: every spelling becomes dynamic_quantize, anything else is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_models import build, compare, imported, node, ops, trits

from edgebit.errors import ModelError
from edgebit.importers.base import load_model
from edgebit.importers.oracle import run_source
from edgebit.ops.base import execute

K = 32
RNG = np.random.default_rng(11)
CONSTS: dict[str, Any] = {
    "w": trits(RNG, (24, K)) * np.float32(0.1),
    "eps": np.float32(1e-5),
    "eps64": np.array(1e-5, np.float64),
    "c127": np.float32(127),
    "one": np.float32(1),
    "lo": np.float32(-128),
    "hi": np.float32(127),
    "axes": np.array([-1], np.int64),
}


def quantise(
    x: str,
    out: str,
    *,
    scale: str = "recip",
    clip: str = "one",
    ste: str = "out",
    eps: str = "clip",
    noise: bool = False,
    axes: str = "axes",
    keep: int = 1,
) -> list[Any]:
    """The absmax quantisation of `x` as nodes named after `out`, in one of its spellings."""
    made: list[Any] = []

    def n(op: str, ins: list[str], name: str, **attrs: Any) -> str:
        made.append(node(op, ins, [f"{out}.{name}"], **attrs))
        return f"{out}.{name}"

    def rest(v: str, name: str) -> str:
        return n("Cast", [n("Identity", [v], f"{name}.i")], f"{name}.c", to=1) if noise else v

    m = rest(n("ReduceMax", [n("Abs", [x], "abs"), axes], "max", keepdims=keep), "max")
    if not keep:
        m = n("Unsqueeze", [m, "axes"], "unsq")
    if eps == "clip":
        m = n("Clip", [m, n("Cast", ["eps64"], "eps", to=1), ""], "cl")
    elif eps == "max":
        m = n("Max", ["eps", m], "cl")
    if scale == "recip":
        s = n("Mul", [n("Reciprocal", [m], "rec"), "c127"], "s")
    elif scale == "one_over":
        s = n("Mul", ["c127", n("Div", ["one", m], "rec")], "s")
    elif scale == "div":
        s = n("Div", ["c127", m], "s")
    else:
        s = n("Div", [m, "c127"], "s")
    v = n("Div", [x, s], "v") if scale == "step" else n("Mul", [x, s], "v")
    q = n("Round", [v], "r")
    if ste == "inner":
        q = n("Add", [v, n("Sub", [q, v], "sub")], "add")
    q = rest(q, "q")
    if clip == "one":
        q = n("Clip", [q, "lo", "hi"], "q1")
    elif clip == "two":
        q = n("Clip", [n("Clip", [q, "lo"], "q1"), "", "hi"], "q2")
    elif clip == "minmax":
        q = n("Max", [n("Min", [q, "hi"], "q1"), "lo"], "q2")
    y = n("Mul" if scale == "step" else "Div", [q, s], "y")
    if ste == "out":
        y = n("Add", [x, n("Sub", [y, x], "sub")], "z")
    made.append(node("Identity", [y], [out]))
    return made


GEMM = node("Gemm", ["q", "w"], transB=1)
SPELLINGS: list[dict[str, Any]] = [
    {},
    {"scale": "one_over"},
    {"scale": "div"},
    {"clip": "two"},
    {"clip": "minmax"},
    {"clip": "none"},
    {"ste": "none"},
    {"ste": "inner"},
    {"eps": "max"},
    {"noise": True},
    {"keep": 0},
    {"scale": "div", "clip": "two", "ste": "none", "noise": True},
]


@pytest.mark.parametrize("spelling", SPELLINGS, ids=str)
def test_spellings(tmp_path: Path, spelling: dict[str, Any]) -> None:
    model = build([*quantise("x", "q", **spelling), GEMM], {"x": (5, K)}, consts=CONSTS, opset=18)
    g = compare(model, tmp_path, tol=1e-5)
    assert ops(g) == ["dynamic_quantize", "dense"]
    attrs = g.nodes[0].attrs
    assert attrs["form"] == ("div" if spelling.get("scale") == "div" else "recip_mul")
    assert attrs["eps"] == np.float32(1e-5)
    assert (attrs["per"], attrs["qmin"], attrs["qmax"]) == ("row", -128, 127)


def test_step_form_may_flip_ties_only(tmp_path: Path) -> None:
    model = build([*quantise("x", "q", scale="step"), GEMM], {"x": (5, K)}, consts=CONSTS, opset=18)
    g = compare(model, tmp_path, tol=1e-5, flips=0.05)
    assert g.nodes[0].attrs["form"] == "div"


def test_missing_eps_and_zero_rows(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    model = build([*quantise("x", "q"), GEMM], {"x": (2, K)}, consts=CONSTS, opset=18)
    path.write_bytes(model.SerializeToString())
    x = np.zeros((2, K), np.float32)
    want, why = run_source(path, [{"x": x}])
    assert want is not None, why
    np.testing.assert_array_equal(execute(load_model(path), {"x": x})["y"], want[0]["y"])
    model = build([*quantise("x", "q", eps="none"), GEMM], {"x": (5, K)}, consts=CONSTS, opset=18)
    compare(model, tmp_path, tol=1e-5)


def test_one_quantisation_for_several_consumers(tmp_path: Path) -> None:
    """q, k and v projections each bring a copy of the subgraph."""
    nodes: list[Any] = []
    for i in "abc":
        nodes += [*quantise("x", f"q{i}"), node("Gemm", [f"q{i}", "w"], [f"y{i}"], transB=1)]
    g = compare(build(nodes, {"x": (3, K)}, ["ya", "yb", "yc"], consts=CONSTS, opset=18), tmp_path, tol=1e-5)
    assert sorted(ops(g)) == ["dense"] * 3 + ["dynamic_quantize"]


def test_tokens_of_a_sequence(tmp_path: Path) -> None:
    nodes = [*quantise("x", "q"), node("MatMul", ["q", "wt"])]
    model = build(nodes, {"x": (2, 3, K)}, consts={**CONSTS, "wt": CONSTS["w"].T}, opset=18)
    g = compare(model, tmp_path, tol=1e-5)
    assert ops(g) == ["dynamic_quantize", "dense"]
    assert g.tensors["y"].shape == (2, 3, 24)


def test_images_before_a_convolution(tmp_path: Path) -> None:
    w = trits(RNG, (6, 4 * 9)).reshape(6, 4, 3, 3) * np.float32(0.2)
    consts = {**CONSTS, "w": w, "image": np.array([1, 2, 3], np.int64)}
    nodes = [*quantise("x", "q", axes="image"), node("Conv", ["q", "w"], pads=[1, 1, 1, 1])]
    g = compare(build(nodes, {"x": (2, 4, 5, 5)}, consts=consts, opset=18), tmp_path, tol=1e-5)
    assert ops(g) == ["dynamic_quantize", "conv2d"]
    assert g.nodes[1].attrs["per"] == "image"


def test_flattened_after_quantisation(tmp_path: Path) -> None:
    consts = {**CONSTS, "image": np.array([1, 2, 3], np.int64)}
    nodes = [
        *quantise("x", "q", axes="image"),
        node("Flatten", ["q"], ["f"]),
        node("Gemm", ["f", "w"], transB=1),
    ]
    g = compare(build(nodes, {"x": (2, 8, 2, 2)}, consts=consts, opset=18), tmp_path, tol=1e-5)
    assert ops(g) == ["dynamic_quantize", "dense"]


def test_int8_weights_under_dynamic_activations(tmp_path: Path) -> None:
    q = RNG.integers(-127, 128, (24, K)).astype(np.int8)
    consts = {**CONSTS, "wq": q, "ws": np.float32(0.01)}
    nodes = [*quantise("x", "q"), node("DequantizeLinear", ["wq", "ws"], ["wd"])]
    nodes += [node("Gemm", ["q", "wd"], transB=1)]
    compare(build(nodes, {"x": (3, K)}, consts=consts, opset=18), tmp_path, tol=1e-5)


LATE = {
    "by the scale": [node("Mul", ["p", "ws"], ["m"]), node("Div", ["m", "q.s"])],
    "by scale times constant": [node("Mul", ["q.s", "ws"], ["m"]), node("Div", ["p", "m"])],
    "constants on both": [
        node("Div", ["p", "ws"], ["m"]),
        node("Mul", ["ws", "q.s"], ["t"]),
        node("Div", ["m", "t"]),
    ],
    "times the reciprocal": [node("Reciprocal", ["q.s"], ["r"]), node("Mul", ["r", "p"])],
}


@pytest.mark.parametrize("case", LATE)
@pytest.mark.parametrize("shape", [(5, K), (2, 3, K)])
def test_division_after_the_product(tmp_path: Path, case: str, shape: tuple[int, ...]) -> None:
    """y = (xq . q) * ws / s, as inference code writes it."""
    nodes = [n for n in quantise("x", "q", ste="none") if n.output[0] not in ("q", "q.y")]
    nodes += [node("MatMul", ["q.q1", "wt"], ["p"]), *LATE[case]]
    consts = {**CONSTS, "wt": np.sign(CONSTS["w"]).T, "ws": np.float32(0.3)}
    g = compare(build(nodes, {"x": shape}, consts=consts, opset=18), tmp_path, tol=1e-5)
    assert set(ops(g)) <= {"dynamic_quantize", "dense", "mul"}
    assert g.outputs == ["y"]


def test_a_product_that_is_never_divided_is_refused(tmp_path: Path) -> None:
    nodes = [n for n in quantise("x", "q", ste="none") if n.output[0] not in ("q", "q.y")]
    nodes += [node("Gemm", ["q.q1", "w"], ["p"], transB=1), node("Relu", ["p"])]
    with pytest.raises(ModelError, match="not divided by their scale"):
        imported(build(nodes, {"x": (3, K)}, consts=CONSTS, opset=18), tmp_path)


REFUSED = [
    ("nonlinear", [*quantise("x", "q"), node("Relu", ["q"])], {}, "feeds MatMul, Gemm or Conv directly"),
    ("output", [*quantise("x", "y")], {}, "cannot be an output"),
    ("float weights", [*quantise("x", "q"), GEMM],
     {"w": RNG.standard_normal((24, K)).astype(np.float32)}, "neither ternary nor int8"),
    ("other scale", [*quantise("x", "q"), GEMM], {"c127": np.float32(100)}, "dynamic activation quantisation"),
    ("bare abs", [node("Abs", ["x"])], {}, "cannot be an output"),
    ("whole batch", [*quantise("x", "q", axes="both"), GEMM], {"both": np.array([0, 1], np.int64)},
     "one scale per row"),
]  # fmt: skip


@pytest.mark.parametrize("case", REFUSED, ids=lambda c: str(c[0]))
def test_refused(tmp_path: Path, case: Any) -> None:
    _, nodes, consts, match = case
    with pytest.raises(ModelError, match=match):
        imported(build(nodes, {"x": (3, K)}, consts={**CONSTS, **consts}, opset=18), tmp_path)


@pytest.mark.parametrize("axes", [[2], [3]])
def test_scales_per_channel_or_column_before_a_convolution_are_refused(
    tmp_path: Path, axes: list[int]
) -> None:
    w = trits(RNG, (6, 4)).reshape(6, 4, 1, 1)
    consts = {**CONSTS, "w": np.tile(w, (2, 1, 1, 1)), "image": np.array(axes, np.int64)}
    nodes = [*quantise("x", "q", axes="image"), node("Conv", ["q", "w"])]
    with pytest.raises(ModelError, match="one scale per image"):
        imported(build(nodes, {"x": (1, 4, 5, 5)}, consts=consts, opset=18), tmp_path)
