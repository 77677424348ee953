"""Real models through import and prepare, against onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebit.bench.npz import read_npz
from edgebit.importers.base import load_model
from edgebit.importers.oracle import run_source
from edgebit.ir.graph import Array, DType, Graph
from edgebit.ops.base import execute
from edgebit.passes.prepare import prepare
from edgebit.passes.source_layout import to_canonical, to_source

# name: ops of the canonical graph as trained
MODELS = {
    "a_cnn_dynamo": "conv2d max_pool2d conv2d conv2d conv2d add avg_pool2d dynamic_quantize reshape dense",
    "a_cnn_ts_nofold": "conv2d max_pool2d conv2d conv2d conv2d add avg_pool2d dynamic_quantize reshape dense",
    "a_mlp_dynamo": "dynamic_quantize dense dynamic_quantize dense dynamic_quantize dense",
    "a_mlp_ts_nofold": "dynamic_quantize dense dynamic_quantize dense dynamic_quantize dense",
    "b_dq_int2_opset25": "dense",
    "b_dq_int4_opset23": "dense",
    "b_dq_int8_opset21": "dense",
    "b_qdq_int8": "quantize dense",
    "d_ternary_qcdq": "quantize conv2d conv2d dequantize avg_pool2d reshape dense",
    "f_cnn_float_dynamo": "conv2d max_pool2d conv2d conv2d conv2d add avg_pool2d reshape dense",
    "f_mlp_float_ts": "dense dense dense",
}


def feeds(g: Graph, count: int) -> list[dict[str, Array]]:
    rng = np.random.default_rng(0)
    return [
        {n: rng.standard_normal(g.tensors[n].shape).astype(np.float32) for n in g.inputs}
        for _ in range(count)
    ]


def outputs(p: Graph, feed: dict[str, Array]) -> list[Array]:
    values = execute(p, {i: to_canonical(p.tensors[i], feed[i]) for i in p.inputs})
    return [to_source(p.tensors[o], values[o]) for o in p.outputs]


def error(p: Graph, path: Path, data: list[dict[str, Array]]) -> float:
    """The largest difference to onnxruntime, as a part of the largest output."""
    want, why = run_source(path, data)
    if want is None:
        pytest.skip(why)
    worst = 0.0
    for feed, w in zip(data, want, strict=True):
        for name, got in zip(p.outputs, outputs(p, feed), strict=True):
            assert got.shape == w[name].shape
            worst = max(worst, float(np.abs(got - w[name]).max() / np.abs(w[name]).max()))
    return worst


@pytest.mark.parametrize("name", MODELS)
def test_as_trained(shared: Path, name: str) -> None:
    path = shared / "models" / "onnx" / f"{name}.onnx"
    p = prepare(load_model(path))
    assert " ".join(n.op for n in p.nodes) == MODELS[name]
    assert error(p, path, feeds(load_model(path), 5)) < (0.02 if "quantize" in MODELS[name] else 1e-5)


@pytest.mark.parametrize("mode", ["int8-static", "int8-dynamic"])
@pytest.mark.parametrize("name", ["a_cnn_dynamo", "d_ternary_qcdq", "f_cnn_float_dynamo", "f_mlp_float_ts"])
def test_int8_modes(shared: Path, name: str, mode: str) -> None:
    path = shared / "models" / "onnx" / f"{name}.onnx"
    data = feeds(load_model(path), 5)
    p = prepare(load_model(path), activations=mode, calibration=data)
    assert error(p, path, data) < 0.05
    linear = [n for n in p.nodes if n.op in ("dense", "conv2d")]
    assert all(p.tensors[n.inputs[0]].dtype is DType.S8 for n in linear)


def test_mnist_keeps_its_answers(shared: Path) -> None:
    folder = shared / "models" / "bitnetcnn"
    golden = read_npz(folder / "mnist_ternary_cnn_golden.npz")
    x = ((golden["x_u8"].astype(np.float32) / 255 - np.float32(0.1307)) / np.float32(0.3081)).astype(
        np.float32
    )
    g = load_model(folder / "mnist_ternary_cnn_float_folded.onnx")
    samples = [{"x": x[i : i + 1]} for i in range(128, 144)]
    for mode, limit in (("as-trained", 1e-4), ("int8-static", 1.5), ("int8-dynamic", 1.5)):
        p = prepare(g, activations=mode, calibration=samples)
        assert "transpose" not in {n.op for n in p.nodes}
        for i in range(8):
            (got,) = outputs(p, {"x": x[i : i + 1]})
            assert int(got.argmax()) == int(golden["logits"][i].argmax())
            assert float(np.abs(got - golden["logits"][i]).max()) < limit


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("per_channel", "signed"), [(True, True), (False, False)])
def test_model_quantised_by_onnxruntime(
    shared: Path, tmp_path: Path, per_channel: bool, signed: bool
) -> None:
    quantization: Any = pytest.importorskip("onnxruntime.quantization")
    source = shared / "models" / "onnx" / "f_cnn_float_dynamo.onnx"
    data = iter(feeds(load_model(source), 4))

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, Array] | None:
            return next(data, None)

    kind = quantization.QuantType
    path = tmp_path / "qdq.onnx"
    quantization.quantize_static(
        str(source),
        str(path),
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=per_channel,
        activation_type=kind.QInt8 if signed else kind.QUInt8,
        weight_type=kind.QInt8,
    )
    p = prepare(load_model(path))
    assert [n.op for n in p.nodes if p.tensors[n.outputs[0]].dtype is DType.F32] == ["dequantize"]
    test = feeds(load_model(path), 20)
    want, why = run_source(path, test)
    assert want is not None, why
    quant = p.tensors[p.nodes[-1].inputs[0]].quant
    assert quant is not None
    steps = np.concatenate(
        [
            np.rint((outputs(p, f)[0] - w[p.outputs[0]]) / quant.scale).reshape(-1)
            for f, w in zip(test, want, strict=True)
        ]
    )
    assert np.abs(steps).max() <= 2  # single steps of eight layers, added up
    assert (steps != 0).mean() < 0.1
