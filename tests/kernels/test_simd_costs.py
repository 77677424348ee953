"""What the core's table says of a layer and what the emulated board counts, on layers of real size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edgebit.exporters.pipeline import ExportMeta, export_model

from edgebit.bench.folder import open_export
from edgebit.bench.session import connect
from edgebit.board import load_board
from edgebit.ir.graph import Affine, DType, Graph, Node, Quant, Tensor, TernaryWeights
from edgebit.plan.kernels import kernels_for
from edgebit.plan.plan import make_plan

SHAPES = [(1, 640, 128), (1, 1024, 256), (1, 2560, 320), (4, 512, 96), (8, 256, 64)]  # rows, columns, outputs


def network(rng: np.random.Generator, stems: list[str]) -> tuple[Graph, dict[str, str]]:
    """Dense layers side by side: every shape on every kernel that takes it, and the kernel of each node."""
    g, forced = Graph("costs"), {}
    for rows, cols, outs in SHAPES:
        for stem in stems:
            if rows < 4 and stem.startswith("tmatmat_s8"):
                continue
            name = f"{stem}.{rows}x{cols}x{outs}"
            trits = rng.integers(-1, 2, (outs, cols)).astype(np.int8)
            scale = rng.random(outs).astype(np.float32)
            g.tensors[f"{name}.x"] = Tensor(f"{name}.x", (rows, cols), DType.S8, Quant(0.05, 0))
            g.tensors[f"{name}.y"] = Tensor(f"{name}.y", (rows, outs), DType.F32)
            g.consts[f"{name}.w"] = TernaryWeights(trits, np.ones(1, np.float32))
            epilogue = Affine(scale=scale, bias=None, corr=None)
            node = Node("dense", name, [f"{name}.x", f"{name}.w"], [f"{name}.y"], {"epilogue": epilogue})
            g.nodes.append(node)
            g.inputs.append(f"{name}.x")
            g.outputs.append(f"{name}.y")
            forced[name] = stem
    g.check()
    return g, forced


@pytest.mark.parametrize("board_name", ["rpi5", "rpi4", "rpi-zero-2w"])
def test_predicted_instructions_agree_with_counted_ones(board_name: str, tmp_path: Path) -> None:
    board = load_board(board_name)
    families = ("tmatvec_s8", "tmatmat_s8")
    stems = [k.stem for f in families for k in kernels_for(f, board.core) if k.variant != "ref"]
    rng = np.random.default_rng(2)
    g, forced = network(rng, stems)
    values = {n: rng.integers(-128, 128, g.tensors[n].shape).astype(np.int8) for n in g.inputs}
    plan = make_plan(g, board.core, board, kernels=forced)
    meta = ExportMeta("costs", board.name, "costs", "0" * 64, source_note="random")
    folder = open_export(export_model(plan, [values], tmp_path / "costs", meta=meta))
    with connect(folder, emulate="", count=True) as device:
        for k, name in enumerate(g.inputs):
            device.link.write_input(k, values[name].tobytes())
        device.link.run(hash_layers=False)
        assert device.counter is not None
        counted = dict(device.counter.layers())
    errors = {layer.node.name: layer.cost / counted[layer.index] - 1 for layer in plan.layers}
    assert all(layer.modelled for layer in plan.layers)
    assert {n: f"{e:+.1%}" for n, e in errors.items() if abs(e) > 0.10} == {}
