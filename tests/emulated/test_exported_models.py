"""Real exports on every emulated board: bit for bit the reference, layer by layer, and counted."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebit.bench.folder import ExportFolder, open_export
from edgebit.bench.session import connect
from edgebit.bench.verify import golden, verify
from edgebit.board import load_board, resolve_target
from edgebit.errors import UsageError
from edgebit.ir import Affine, Graph, Node, Tensor, TernaryWeights
from edgebit.ops.base import infer_all
from edgebit.plan.plan import make_plan
from edgebit.toolchain.build import build_export

pipeline: Any = importlib.import_module("edgebit.exporters.pipeline")
BOARDS = ("pico", "pico2", "nucleo-f446re", "mps2-an385", "mps2-an386", "rpi2", "rpi5")


def network() -> Graph:
    """Two ternary layers and a decision, float activations: 40 -> 24 -> 10 -> argmax."""
    rng = np.random.default_rng(7)
    g = Graph("tinynet")
    g.tensors["x"] = Tensor("x", (1, 40))
    g.inputs, g.outputs = ["x"], ["y", "best"]
    g.nodes = []
    for i, (n, k, a, b) in enumerate([(24, 40, "x", "h"), (10, 24, "h", "y")]):
        trits = rng.integers(-1, 2, (n, k)).astype(np.int8)
        g.consts[f"w{i}"] = TernaryWeights(trits, np.ones(n, np.float32))
        scale = rng.uniform(0.1, 1.0, n).astype(np.float32)
        bias = rng.standard_normal(n).astype(np.float32)
        affine = Affine(scale=scale, bias=bias, lo=0.0 if i == 0 else -np.inf)
        g.nodes.append(Node("dense", f"fc{i}", [a, f"w{i}"], [b], {"epilogue": affine}))
    g.nodes.append(Node("argmax", "argmax", ["y"], ["best"], {"keepdims": 0}))
    infer_all(g)
    return g


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ExportFolder]:
    root = tmp_path_factory.mktemp("exported")
    made: dict[str, ExportFolder] = {}

    def make(target: str) -> ExportFolder:
        if target not in made:
            core, board = resolve_target(target)
            meta = pipeline.ExportMeta(name="tinynet", target=target, source_name="-", source_sha256="0" * 64)
            rng = np.random.default_rng(8)
            vectors = [{"x": rng.standard_normal((1, 40)).astype(np.float32)} for _ in range(2)]
            plan = make_plan(network(), core, board)
            made[target] = open_export(Path(pipeline.export_model(plan, vectors, root / target, meta=meta)))
        return made[target]

    return make


@pytest.mark.parametrize("board", BOARDS)
def test_emulated_board_computes_the_reference(exported: Callable[[str], ExportFolder], board: str) -> None:
    folder = exported(board)
    cases = golden(folder)
    with connect(folder, emulate="", count=True) as device:
        assert device.counter is not None
        assert verify(folder, device.link, cases).bit_exact
        while_hashing = device.counter.layers()
        device.link.reset()
        device.link.write_input(0, cases[-1].inputs["x"].tobytes())
        device.link.run()
        layers = device.counter.layers()
        assert [i for i, _ in layers] == [0, 1, 2]
        # The first layer has four times the weights of the second; the driver round them costs both the same.
        assert layers[0][1] > 1.5 * layers[1][1] > 0
        for (_, a), (_, b) in zip(layers, while_hashing, strict=True):
            assert abs(a - b) < 20
    with connect(folder, emulate="") as device:
        assert verify(folder, device.link, cases).bit_exact


def test_inputs_that_are_no_numbers_are_refused(exported: Callable[[str], ExportFolder]) -> None:
    folder = exported("pico")
    with connect(folder, emulate="") as device:
        device.link.write_input(0, np.full((1, 40), np.nan, np.float32).tobytes())
        with pytest.raises(UsageError, match="NaN or infinity"):
            device.link.run()


@pytest.mark.parametrize("board", BOARDS)
def test_emulated_flash_says_who_answers(exported: Callable[[str], ExportFolder], board: str) -> None:
    from edgebit.flash.base import Chosen, choose_flasher

    folder = exported(board)
    built = build_export(folder.path)
    flasher = choose_flasher(load_board(board), emulate="")
    said = flasher.run(load_board(board), built, Chosen(emulate=""), model_id=folder.manifest["model_id"])
    assert "tinynet" in said
    assert built.image_id in said
    assert any(built.image_id in s for s in flasher.steps(load_board(board), built))
