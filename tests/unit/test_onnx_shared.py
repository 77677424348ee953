"""The shared ONNX models: QAT graphs of both torch exporters, QDQ, Brevitas, plain float, a trained MNIST net."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgebit.errors import ModelError
from edgebit.importers.base import load_model
from edgebit.importers.onnx import describe_weights
from edgebit.importers.oracle import run_source
from edgebit.ops.base import execute

TERNARY = {
    "a_cnn_dynamo": 4,
    "a_cnn_ts_nofold": 4,
    "a_mlp_dynamo": 3,
    "a_mlp_ts_nofold": 3,
    "b_dq_int2_opset25": 1,
    "b_dq_int4_opset23": 1,
    "b_dq_int8_opset21": 1,
    "b_qdq_int8": 1,
    "c_matmulnbits_b2_blk32_nozp": 1,
    "c_matmulnbits_b2_blk32_zpu8": 1,
    "d_ternary_qcdq": 3,
    "f_cnn_float_dynamo": 4,
    "f_mlp_float_ts": 3,
}


@pytest.mark.parametrize("name", TERNARY)
def test_agrees_with_onnxruntime(shared: Path, name: str) -> None:
    path = shared / "models" / "onnx" / f"{name}.onnx"
    g = load_model(path)
    assert sum(w.kind == "ternary" for w in describe_weights(g)) == TERNARY[name]
    rng = np.random.default_rng(0)
    feeds = [
        {n: rng.standard_normal(g.tensors[n].shape).astype(np.float32) for n in g.inputs} for _ in range(20)
    ]
    want, why = run_source(path, feeds)
    assert want is not None, why
    flipped = 0
    for feed, w in zip(feeds, want, strict=True):
        got = execute(g, feed)
        for o in g.outputs:
            off = np.abs(got[o] - w[o]).max() / np.abs(w[o]).max()
            flipped += bool(off > 1e-5)
            assert off < (0.02 if name.startswith("a_") else 1e-5)
    assert flipped <= 2  # a dynamically quantised activation that sits on a tie


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("d_ternary_qonnx", "QONNX"),
    ],
)
def test_refused(shared: Path, name: str, match: str) -> None:
    with pytest.raises(ModelError, match=match):
        load_model(shared / "models" / "onnx" / f"{name}.onnx")


def test_mnist_golden(shared: Path) -> None:
    folder = shared / "models" / "bitnetcnn"
    g = load_model(folder / "mnist_ternary_cnn_float_folded.onnx", batch=4)
    assert {w.kind for w in describe_weights(g)} == {"ternary"}
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 1, 28, 28)).astype(np.float32)
    want, why = run_source(folder / "mnist_ternary_cnn_float_folded.onnx", [{"x": x}])
    assert want is not None, why
    np.testing.assert_allclose(execute(g, {"x": x})["logits"], want[0]["logits"], atol=2e-5)
