"""What the cores' tables say of a layer and what the emulated boards count: within 10 %, over shapes that models
have and the tables were not fitted to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edgebit.exporters.pipeline import ExportMeta, export_model

from edgebit.bench.folder import open_export
from edgebit.bench.session import connect
from edgebit.board import load_board
from edgebit.ir.graph import DType, Graph, Int8Weights, Node, Quant, Requant, Tensor, TernaryWeights
from edgebit.ops.base import infer_all
from edgebit.plan.kernels import kernels_for
from edgebit.plan.plan import make_plan

BOARDS = ("pico", "mps2-an386", "pico2")
DENSE = [(200, 48, 0.5), (512, 100, 0.33), (320, 64, 0.6), (128, 20, 0.5)]  # columns, outputs, nonzero share
CONV = [
    ((7, 7, 16), 24, 3, 1),
    ((6, 6, 48), 32, 1, 1),
    ((12, 12, 3), 12, 3, 2),
]  # (H, W, C), outputs, side, stride
DEPTHWISE = [((7, 7, 48), 3, 1), ((9, 9, 16), 3, 2), ((6, 6, 24), 5, 1)]  # (H, W, C), side, stride
POOLS = [((12, 12, 16), 2, 2), ((7, 7, 32), 3, 2), ((5, 5, 64), 5, 5)]  # (H, W, C), side, stride
QUANT = Quant(0.05, 2)
POOL: dict[str, object] = {"kernel": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0), "dilations": (1, 1)}


class Network:
    """Layers side by side, each on one kernel."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.graph = Graph("costs")
        self.forced: dict[str, str] = {}

    def weights(self, shape: tuple[int, ...], ternary: bool, share: float) -> TernaryWeights | Int8Weights:
        one = np.ones(1, np.float32)
        if not ternary:
            return Int8Weights(self.rng.integers(-90, 91, shape).astype(np.int8), one)
        signs = self.rng.choice([-1, 1], shape) * (self.rng.random(shape) < share)
        return TernaryWeights(signs.astype(np.int8), one)

    def linear(
        self,
        op: str,
        stem: str,
        shape: tuple[int, ...],
        weights: tuple[int, ...],
        share: float,
        attrs: dict[str, object],
    ) -> None:
        outs = weights[0]
        pre_shift = 9 if stem.startswith(("matvec", "dwconv_s8")) else 3
        epilogue = Requant(
            np.full(outs, 300, np.int32),
            np.full(outs, 8192, np.int32),
            np.full(outs, 14, np.int32),
            pre_shift,
        )
        ternary = stem.startswith(("tmatvec", "dwconv_t"))
        self.node(
            op,
            stem,
            shape,
            attrs | {"epilogue": epilogue, "out_quant": QUANT},
            self.weights(weights, ternary, share),
        )

    def node(
        self,
        op: str,
        stem: str,
        shape: tuple[int, ...],
        attrs: dict[str, object],
        weights: TernaryWeights | Int8Weights | None = None,
    ) -> None:
        g, name = self.graph, f"n{len(self.graph.nodes)}"
        floats = op == "quantize"
        g.tensors[f"{name}.x"] = Tensor(
            f"{name}.x", shape, DType.F32 if floats else DType.S8, None if floats else QUANT
        )
        g.tensors[f"{name}.y"] = Tensor(f"{name}.y", shape, DType.S8, QUANT)
        inputs = [f"{name}.x"]
        if weights is not None:
            g.consts[f"{name}.w"] = weights
            inputs.append(f"{name}.w")
        g.nodes.append(Node(op, name, inputs, [f"{name}.y"], dict(attrs)))
        g.inputs.append(f"{name}.x")
        g.outputs.append(f"{name}.y")
        self.forced[name] = stem


def stems(board_name: str, family: str) -> list[str]:
    return [k.stem for k in kernels_for(family, load_board(board_name).core) if k.variant != "ref"]


def build(board_name: str) -> Network:
    net = Network(5)
    net.node("max_pool2d", stems(board_name, "max_pool2d_s8")[0], (1, 2, 2, 4), POOL)  # see below
    for family in ("tmatvec_s8", "matvec_s8"):
        for stem in stems(board_name, family):
            for cols, outs, share in DENSE:
                net.linear("dense", stem, (1, cols), (outs, cols), share, {})
            for (h, w, c), outs, side, stride in CONV:
                pads = (side // 2,) * 4
                attrs = {"strides": (stride, stride), "pads": pads, "dilations": (1, 1), "groups": 1}
                net.linear("conv2d", stem, (1, h, w, c), (outs, side, side, c), 0.5, attrs)
    for family in ("dwconv_t_s8", "dwconv_s8"):
        for stem in stems(board_name, family):
            for (h, w, c), side, stride in DEPTHWISE:
                pads = (side // 2,) * 4
                attrs = {"strides": (stride, stride), "pads": pads, "dilations": (1, 1), "groups": c}
                net.linear("conv2d", stem, (1, h, w, c), (c, side, side, 1), 0.5, attrs)
    for op in ("max_pool2d", "avg_pool2d"):
        for stem in stems(board_name, f"{op}_s8"):
            for (h, w, c), side, stride in POOLS:
                window = {"kernel": (side, side), "strides": (stride, stride), "pads": (0, 0, 0, 0)}
                own: dict[str, object] = {"dilations": (1, 1)}
                if op == "avg_pool2d":
                    mul = np.array([max(1, 4096 // n) for n in range(1, side * side + 1)], np.int32)
                    own = {"count_include_pad": False, "mul": mul, "add": 2048, "shift": 12, "zp_in": 2}
                    own |= {"qmin": -128, "qmax": 127, "out_quant": QUANT}
                net.node(op, stem, (1, h, w, c), window | own)
    for stem in stems(board_name, "quantize_f32"):
        net.node("quantize", stem, (1, 700), {"out_quant": QUANT, "qmin": -128, "qmax": 127})
    return net


@pytest.mark.parametrize("board_name", BOARDS)
def test_predicted_costs_agree_with_counted_ones(board_name: str, tmp_path: Path) -> None:
    board = load_board(board_name)
    net = build(board_name)
    infer_all(net.graph)
    net.graph.check()
    rng = np.random.default_rng(9)
    values = {
        n: rng.normal(0, 2, t.shape).astype(np.float32)
        if t.dtype is DType.F32
        else rng.integers(-128, 128, t.shape).astype(np.int8)
        for n, t in ((n, net.graph.tensors[n]) for n in net.graph.inputs)
    }
    plan = make_plan(net.graph, board.core, board, kernels=net.forced)
    meta = ExportMeta("costs", board.name, "costs", "0" * 64, source_note="random")
    folder = open_export(export_model(plan, [values], tmp_path / "costs", meta=meta))
    with connect(folder, emulate="", count=True) as device:
        for k, name in enumerate(net.graph.inputs):
            device.link.write_input(k, np.ascontiguousarray(values[name]).tobytes())
        device.link.run(hash_layers=False)
        assert device.counter is not None
        counted = dict(device.counter.layers())
    off = [
        f"{layer.lowered.kernel} {layer.node.op} {net.graph.tensors[layer.node.inputs[0]].shape}: "
        f"{layer.cost / counted[layer.index] - 1:+.1%} of {counted[layer.index]}"
        for layer in plan.layers[1:]  # the first one's count holds the check of the model's inputs
        if abs(layer.cost / counted[layer.index] - 1) > 0.1
    ]
    assert all(layer.modelled for layer in plan.layers)
    assert not off, "\n".join(off)
