"""Counts in qemu-system: the same instructions as in Unicorn, layer by layer, and cycles of the Cortex-M55."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebit.bench.folder import ExportFolder, open_export
from edgebit.bench.npz import read_npz
from edgebit.bench.session import connect
from edgebit.bench.verify import golden, verify
from edgebit.board import load_board
from edgebit.devices import cycles_mca
from edgebit.devices.open import Device
from edgebit.devices.qemu_counting import QemuCounter, check_version
from edgebit.errors import ToolchainError
from edgebit.ir import Affine, DType, Graph, Node, Tensor, TernaryWeights
from edgebit.ops.base import infer_all
from edgebit.plan.plan import make_plan

pipeline: Any = importlib.import_module("edgebit.exporters.pipeline")

if shutil.which("qemu-system-arm") is None:
    pytest.skip("qemu-system-arm is not installed", allow_module_level=True)
try:
    check_version("qemu-system-arm")
except ToolchainError as e:
    pytest.skip(str(e), allow_module_level=True)


def network() -> Graph:
    """Quantised on the way: a layer with two outputs, a ternary one on int8, and a decision."""
    rng = np.random.default_rng(7)
    g = Graph("tinynet")
    g.tensors["x"] = Tensor("x", (1, 100))
    g.inputs, g.outputs = ["x"], ["y", "best"]
    quantise = {"per": "row", "form": "div", "eps": 1e-6, "qmin": -127, "qmax": 127}
    trits = rng.integers(-1, 2, (24, 100)).astype(np.int8)
    g.consts["w"] = TernaryWeights(trits, np.ones(24, np.float32))
    affine = Affine(
        scale=rng.uniform(0.1, 1.0, 24).astype(np.float32), bias=rng.standard_normal(24).astype(np.float32)
    )
    g.nodes = [
        Node("dynamic_quantize", "quantise", ["x"], ["q", "d"], quantise),
        Node("dense", "fc", ["q", "w", "d"], ["y"], {"epilogue": affine}),
        Node("argmax", "argmax", ["y"], ["best"], {"keepdims": 0}),
    ]
    infer_all(g)
    assert g.tensors["q"].dtype is DType.S8
    return g


def export(board: str, folder: Path) -> ExportFolder:
    b = load_board(board)
    meta = pipeline.ExportMeta(name="tinynet", target=board, source_name="-", source_sha256="0" * 64)
    rng = np.random.default_rng(8)
    vectors = [{"x": rng.standard_normal((1, 100)).astype(np.float32)} for _ in range(2)]
    return open_export(
        Path(pipeline.export_model(make_plan(network(), b.core, b), vectors, folder / board, meta=meta))
    )


def run(device: Device, folder: ExportFolder, *, hash_layers: bool = False) -> None:
    x = read_npz(next(folder.path.glob("*_vectors.npz")))["in0"][0]
    device.link.reset()
    device.link.write_input(0, np.ascontiguousarray(x).tobytes())
    device.link.run(hash_layers=hash_layers)


def test_instructions_are_those_that_unicorn_counts(tmp_path: Path) -> None:
    folder = export("mps2-an386", tmp_path)
    found = {}
    for emulator in ("unicorn", "qemu"):
        with connect(folder, emulate=emulator, count=True) as device:
            run(device, folder)
            assert device.counter is not None
            found[emulator] = device.counter.instructions()
    assert [layer for layer, _ in found["qemu"]] == [0, 1, 2]
    assert found["qemu"] == found["unicorn"]


def test_the_m55_is_right_and_counted_the_same_every_time(tmp_path: Path) -> None:
    folder = export("mps3-an547", tmp_path)
    assert "tmatvec_s8__mve" in [row["kernel"] for row in folder.manifest["layers"]]
    with connect(folder, emulate="qemu", count=True) as device:
        result = verify(folder, device.link, golden(folder))
        assert result.bit_exact, result.first_mismatch
        counts = []
        for hash_layers in (False, True, False):
            run(device, folder, hash_layers=hash_layers)
            assert isinstance(device.counter, QemuCounter)
            counts.append((device.counter.layers(), device.counter.instructions()))
    assert counts[0] == counts[2]
    hashed = zip(counts[0][1], counts[1][1], strict=True)
    assert all(abs(a - b) < 20 for (_, a), (_, b) in hashed)  # hashing is not counted, only the way round it
    layers, instructions = counts[0]
    assert [layer for layer, _ in layers] == [0, 1, 2]
    assert all(n > 100 for _, n in instructions)
    if device.counter.metric == "modelled cycles":
        assert all(0.5 * n < c < 4 * n for (_, c), (_, n) in zip(layers, instructions, strict=True))


needs_mca = pytest.mark.skipif(not cycles_mca.available(), reason="llvm-mca 22 or later is not installed")


@needs_mca
def test_a_step_of_the_kernel_takes_nine_cycles(tmp_path: Path) -> None:
    """64 products: four of the multiplier's two cycles, and one instruction that none of them hides."""
    folder = export("mps3-an547", tmp_path)
    with connect(folder, emulate="qemu", count=True) as device:
        run(device, folder)
        assert isinstance(device.counter, QemuCounter)
        model = cycles_mca.McaModel(device.counter.image.path)
        kernel = next(f for f in device.counter.image.functions if "eb_tmatvec_s8__mve" in f.names)
        loops = {
            edge: count
            for edge, count in device.counter.profile()[1].items()
            if edge[0] == edge[1] and kernel.start <= edge[0][0] < kernel.end and count > 20
        }
    (edge,) = loops
    assert edge[0][1] == 40  # nine vector instructions and le
    assert (
        loops[edge] == 6 * 5
    )  # 24 rows; 112 columns, less the first step and the one that falls into the loop
    assert model.cycles({edge: 1}) == 9


def test_a_version_without_the_interface_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "qemu-system-arm"
    fake.write_text("#!/bin/sh\necho QEMU emulator version 9.1.0\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolchainError, match="versions 6 to 8"):
        check_version("qemu-system-arm")
