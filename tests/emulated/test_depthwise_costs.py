"""Depthwise layers of real networks on emulated boards: bit for bit the reference, and within 10 % of what the
cores' tables say of their kernels by bands of rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edgebit.exporters.pipeline import ExportMeta, export_model

from edgebit.bench.folder import open_export
from edgebit.bench.session import connect
from edgebit.board import load_board
from edgebit.ir.graph import DType, Graph, Node, Quant, Tensor, TernaryWeights
from edgebit.ops.base import execute, infer_all
from edgebit.ops.linear import acc_bounds
from edgebit.ops.requant import make_requant
from edgebit.plan.kernels import kernels_for
from edgebit.plan.plan import make_plan

LAYERS = [((25, 5, 64), 1), ((24, 24, 32), 1), ((12, 12, 64), 2), ((6, 6, 128), 1)]  # (H, W, C), stride
QUANT = Quant(0.05, -3)


def network(stem: str) -> tuple[Graph, dict[str, str]]:
    """The layers side by side, after one whose count holds the check of the model's inputs."""
    rng = np.random.default_rng(2)
    g = Graph("depthwise", ["x"], ["y"])
    g.tensors["x"] = Tensor("x", (1, 2, 2, 4), DType.S8, QUANT)
    pool = {"kernel": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0), "dilations": (1, 1)}
    g.nodes.append(Node("max_pool2d", "first", ["x"], ["y"], pool))
    forced: dict[str, str] = {}
    for i, ((h, w, c), stride) in enumerate(LAYERS):
        trits = rng.choice([-1, 1], (c, 3, 3, 1)) * (rng.random((c, 3, 3, 1)) < 0.6)
        weights = TernaryWeights(trits.astype(np.int8), np.ones(1, np.float32))
        bounds = acc_bounds(weights)
        requant = make_requant(400 / np.maximum(bounds, 1), rng.normal(-40, 40, c), bounds, -128, 127)
        g.tensors[f"x{i}"] = Tensor(f"x{i}", (1, h, w, c), DType.S8, QUANT)
        g.consts[f"w{i}"] = weights
        pads = (1, 1, 1, 1) if stride == 1 else (0, 0, 1, 1)
        attrs = {"strides": (stride,) * 2, "pads": pads, "dilations": (1, 1), "groups": c}
        attrs |= {"epilogue": requant, "out_quant": QUANT}
        g.nodes.append(Node("conv2d", f"n{i}", [f"x{i}", f"w{i}"], [f"y{i}"], attrs))
        g.inputs.append(f"x{i}")
        g.outputs.append(f"y{i}")
        forced[f"n{i}"] = stem
    infer_all(g)
    g.check()
    return g, forced


@pytest.mark.parametrize("name", ["pico", "mps2-an386"])
def test_depthwise_layers_cost_what_the_tables_say(name: str, tmp_path: Path) -> None:
    board = load_board(name)
    stem = [k.stem for k in kernels_for("dwconv3x3_t_s8", board.core) if k.variant != "ref"][-1]
    g, forced = network(stem)
    rng = np.random.default_rng(3)
    values = {i: rng.integers(-128, 128, g.tensors[i].shape).astype(np.int8) for i in g.inputs}
    plan = make_plan(g, board.core, board, kernels=forced)
    meta = ExportMeta("depthwise", board.name, "depthwise", "0" * 64, source_note="random")
    folder = open_export(export_model(plan, [values], tmp_path / "depthwise", meta=meta))
    want = execute(g, values)
    with connect(folder, emulate="", count=True) as device:
        for k, i in enumerate(g.inputs):
            device.link.write_input(k, values[i].tobytes())
        device.link.run(hash_layers=False)
        assert device.counter is not None
        counted = dict(device.counter.layers())
        for k, o in enumerate(g.outputs):
            assert device.link.read_output(k) == want[o].tobytes(), o
    off = {layer.node.name: layer.cost / counted[layer.index] - 1 for layer in plan.layers[1:]}
    assert all(layer.modelled for layer in plan.layers[1:])
    assert all(abs(v) < 0.1 for v in off.values()), off
