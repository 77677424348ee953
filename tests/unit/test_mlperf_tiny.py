"""The MLPerf Tiny generators: the reference models' shapes, half the weights zero, the same bytes every time."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from edgebit.importers.base import load_model
from edgebit.ir import DType, Graph, Int8Weights, TernaryWeights
from edgebit.ops.base import execute, op_of
from edgebit.passes.prepare import prepare
from edgebit.passes.source_layout import to_canonical, to_source

networks: Any = importlib.import_module("edgebit.examples.mlperf_tiny.networks")

# multiply-accumulates of the reference models, padding counted; weights without biases
SIZES = {
    "kws": (2_656_768, 22_016),
    "ic": (12_501_632, 77_360),
    "ad": (264_192, 264_192),
    "vww": (7_489_664, 208_112),
}
OUTPUTS = {"kws": 12, "ic": 10, "ad": 640, "vww": 2}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("mlperf")
    for task in SIZES:
        (root / f"{task}.onnx").write_bytes(networks.make_model(task).SerializeToString(deterministic=True))
    return {task: root / f"{task}.onnx" for task in SIZES}


def canonical(path: Path) -> Graph:
    return prepare(load_model(path, batch=1))


@pytest.mark.parametrize("task", sorted(SIZES))
def test_shape_and_size(task: str, made: dict[str, Path]) -> None:
    g = canonical(made[task])
    weights = [c for c in g.consts.values() if isinstance(c, (TernaryWeights, Int8Weights))]
    macs = sum(op_of(n).macs(n, g) for n in g.nodes)
    assert (macs, sum(int(np.prod(w.shape)) for w in weights)) == SIZES[task]
    (x,), (y,) = (g.tensors[i] for i in g.inputs), (g.tensors[o] for o in g.outputs)
    assert x.dtype is DType.S8
    assert (x.source_shape or x.shape) == (1, *networks.TASKS[task].shape)
    assert y.elements == OUTPUTS[task]
    trits = [w for w in weights if isinstance(w, TernaryWeights)]
    assert len(weights) - len(trits) == (0 if task == "ad" else 1)
    zeros = sum(int((w.trits == 0).sum()) for w in trits) / sum(w.trits.size for w in trits)
    assert 0.48 < zeros < 0.52
    floats = [n.op for n in g.nodes if g.tensors[n.outputs[0]].dtype is DType.F32]
    assert floats in ([], ["dense", "softmax"])


@pytest.mark.parametrize("task", ["kws", "ic", "ad"])
def test_codes_are_used_and_onnxruntime_agrees(task: str, made: dict[str, Path]) -> None:
    g = canonical(made[task])
    x = np.random.default_rng(5).integers(-128, 128, (1, *networks.TASKS[task].shape)).astype(np.int8)
    trace = execute(g, {g.inputs[0]: to_canonical(g.tensors[g.inputs[0]], x)})
    for name, value in trace.items():
        if g.tensors[name].dtype is DType.S8 and value.size >= 128:
            assert len(np.unique(value)) > 16, f"{name} uses few of its codes"
            assert (np.abs(value.astype(int) - np.median(value)) == 0).mean() < 0.9
    (mine,) = (to_source(g.tensors[o], trace[o]).astype(np.float64) for o in g.outputs)
    session = onnxruntime.InferenceSession(made[task].read_bytes(), providers=["CPUExecutionProvider"])
    (theirs,) = session.run(None, {"x": x})
    limit = 3 if task == "ad" else 0.02
    assert np.abs(mine.reshape(theirs.shape) - theirs.astype(np.float64)).max() <= limit


def test_the_same_every_time_and_the_first_layer_is_a_choice(made: dict[str, Path], tmp_path: Path) -> None:
    assert networks.make_model("kws").SerializeToString(deterministic=True) == made["kws"].read_bytes()
    (tmp_path / "t.onnx").write_bytes(networks.make_model("kws", "ternary").SerializeToString())
    assert not [c for c in canonical(tmp_path / "t.onnx").consts.values() if isinstance(c, Int8Weights)]
