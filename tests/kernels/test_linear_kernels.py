"""The C of dense and conv2d gives the bytes of their NumPy meaning, for every weight kind and epilogue."""

from __future__ import annotations

import c_harness
import numpy as np
import pytest

from edgebit.ir.graph import Affine, Array, DType, Graph, Int8Weights, Node, Quant, Tensor, TernaryWeights
from edgebit.ops.base import Sample, op_of
from edgebit.ops.dense import Dense
from edgebit.ops.linear import acc_bounds
from edgebit.ops.requant import make_requant


@pytest.mark.parametrize("op", ["dense", "conv2d"])
def test_random_layers(op: str) -> None:
    assert c_harness.check_samples(c_harness.random_samples(op, 11, 110), extra=["-O0"]) >= 220


@pytest.mark.parametrize("op", ["dense", "conv2d"])
def test_random_layers_optimised(op: str) -> None:
    samples = c_harness.random_samples(op, 12, 50)
    assert c_harness.check_samples(samples, extra=["-O2", "-fno-sanitize=all"]) >= 100


def _dense(weights: TernaryWeights | Int8Weights, x: Array, note: str) -> Sample:
    """An int8 dense layer whose outputs spread over int8."""
    g = Graph("extreme", ["x"], ["y"])
    g.tensors["x"] = Tensor("x", x.shape, DType.S8, Quant(0.02, 3))
    g.consts["w"] = weights
    bounds = acc_bounds(weights)
    requant = make_requant(120.0 / np.maximum(bounds, 1), np.full(len(bounds), 1.5), bounds)
    g.nodes = [Node("dense", "n", ["x", "w"], ["y"], {"epilogue": requant, "out_quant": Quant(0.1, 1)})]
    g.tensors["y"] = op_of(g.nodes[0]).infer(g.nodes[0], g)[0]
    return Sample(g, {"x": x}, note)


@pytest.mark.parametrize("cols", [1, 15, 16, 63, 64, 65, 1024, 4097])
def test_extreme_sums(cols: int) -> None:
    one = np.ones(5, np.float32)
    samples = []
    for value in (-128, 127):
        x = np.full((2, cols), value, np.int8)
        trits = np.stack([np.full(cols, v, np.int8) for v in (1, -1, 0)] + [np.arange(cols) % 3 - 1] * 2)
        ints = np.stack([np.full(cols, v, np.int8) for v in (-128, 127, 0, 1, -1)])
        samples.append(_dense(TernaryWeights(trits.astype(np.int8), one), x, f"trits x={value}"))
        samples.append(_dense(Int8Weights(ints, one), x, f"int8 x={value}"))
    c_harness.check_samples(samples)


def test_subnormal_and_huge_floats() -> None:
    x = np.array([[1e-45, -1e-45, 1.2e-38, 3e38, -3e38, 1.0, -0.0, 1e-40] * 3], np.float32)
    samples = []
    for w in (
        np.ones((3, 24), np.float32),
        TernaryWeights(np.ones((3, 24), np.int8), np.ones(3, np.float32)),
    ):
        g = Graph("floats", ["x"], ["y"])
        g.tensors["x"] = Tensor("x", x.shape)
        g.consts["w"] = w
        scale = np.array([1e-30, 0.5, 1e30], np.float32)
        g.nodes = [Node("dense", "n", ["x", "w"], ["y"], {"epilogue": Affine(scale)})]
        g.tensors["y"] = op_of(g.nodes[0]).infer(g.nodes[0], g)[0]
        samples.append(Sample(g, {"x": x}, "subnormals"))
    c_harness.check_samples(samples)


def test_the_comparison_notices_one_wrong_element(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Dense.run

    def wrong(self: Dense, node: Node, graph: Graph, args: list[object]) -> list[Array]:
        (y,) = right(self, node, graph, args)  # type: ignore[arg-type]
        y = y.copy()
        y.flat[-1] += 1
        return [y]

    samples = c_harness.random_samples("dense", 3, 2)
    monkeypatch.setattr(Dense, "run", wrong)
    with pytest.raises(AssertionError, match="1 of"):
        c_harness.check_samples(samples)
