"""A long emulation is interrupted now and then to be looked at. The program must not notice."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebit.bench.folder import open_export
from edgebit.bench.session import connect
from edgebit.board import load_board
from edgebit.ops.base import execute
from edgebit.plan.plan import make_plan

shapes: Any = importlib.import_module("edgebit.bench.kernel_shapes")
pipeline: Any = importlib.import_module("edgebit.exporters.pipeline")


@pytest.mark.parametrize("name", ["rpi5", "rpi2", "mps2-an386"])
def test_pauses_change_neither_results_nor_counts(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = load_board(name)
    g = shapes.layer("dense", (1, 640), (256, 640), {})
    plan = make_plan(g, board.core, board, kernels={g.nodes[0].name: "tmatvec_s8__ref"})
    values = {"x": np.random.default_rng(3).integers(-128, 128, (1, 640)).astype(np.int8)}
    meta = pipeline.ExportMeta("pauses", board.name, "pauses", "0" * 64, source_note="random")
    folder = open_export(pipeline.export_model(plan, [values], tmp_path / "pauses", meta=meta))
    want = execute(g, values)["y"].tobytes()
    seen = []
    for seconds in (60.0, 0.0005):
        monkeypatch.setattr("edgebit.devices.unicorn_base._SLICE_SECONDS", seconds)
        with connect(folder, emulate="unicorn", count=True) as device:
            for _ in range(3):
                device.link.write_input(0, values["x"].tobytes())
                device.link.run(hash_layers=True)
                assert device.link.read_output(0) == want
            assert device.counter is not None
            seen.append(device.counter.layers())
    assert seen[0] == seen[1]
