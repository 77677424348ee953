"""A network with a scale for each group of inputs, from its ONNX file to emulated boards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """x (2, 100) -> MatMulNBits of 2 bits and blocks of 32 with a bias, ReLU, uint8 quantisation -> float weights in
    groups of 64, (2, 10)."""
    rng = np.random.default_rng(0)
    trits = rng.integers(-1, 2, (144, 128))
    codes = (trits + 2).astype(np.uint8).reshape(144, 4, 8, 4)
    w = rng.integers(-1, 2, (10, 144)) * np.repeat(rng.uniform(0.1, 1, (10, 3)), 64, axis=1)[:, :144]
    consts = {
        "b": (codes << np.array([0, 2, 4, 6])).sum(axis=3).astype(np.uint8),
        "s": rng.uniform(-0.2, 0.3, (144, 4)).astype(np.float32),
        "bias": rng.standard_normal(144).astype(np.float32),
        "step": np.float32(0.05),
        "zero": np.array(3, np.uint8),
        "w": w.T.astype(np.float32),
    }
    attrs = {"K": 100, "N": 144, "bits": 2, "block_size": 32}
    nodes = [
        helper.make_node(
            "MatMulNBits", ["x", "b", "s", "", "", "bias"], ["h"], "first", domain="com.microsoft", **attrs
        ),
        helper.make_node("Relu", ["h"], ["r"], "relu"),
        helper.make_node("QuantizeLinear", ["r", "step", "zero"], ["q"], "quantise"),
        helper.make_node("DequantizeLinear", ["q", "step", "zero"], ["d"], "back"),
        helper.make_node("MatMul", ["d", "w"], ["y"], "last"),
    ]
    x, y = (
        helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, d)
        for n, d in (("x", [2, 100]), ("y", [2, 10]))
    )
    made = [numpy_helper.from_array(np.asarray(v), k) for k, v in consts.items()]
    graph = helper.make_graph(nodes, "g", [x], [y], made)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    path = tmp_path_factory.mktemp("groups") / "groups.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())
    return path


def test_one_certificate_everywhere(model: Path, edgebit: Callable[..., Any], tmp_path: Path) -> None:
    shown = edgebit("inspect", model, "--board", "pico", "--optimize", "speed", "--json").json
    assert [(r["op"], r["weights"]) for r in shown["layers"]] == [
        ("dense_groups", "ternary, groups of 32"),
        ("quantize", None),
        ("dense_groups", "ternary, groups of 64"),
    ]
    assert shown["plan"][0]["kernel"] == "tgroups_f32__ref"
    assert shown["plan"][2]["kernel"].startswith("tmatvec_s8__armv6m")  # a product for each group
    certificates = set()
    for target in ("host", "rpi5", "pico"):
        out = tmp_path / target
        exported = edgebit("export", model, "-t", target, "-o", out, "--json").json
        verified = edgebit("verify", out, "--emulate", "--json").json
        assert verified["bit_exact"] is True
        assert verified["certificate"] == exported["certificate"]
        assert verified["max_abs_error_vs_source"] < 0.06  # one step of the quantisation, times a weight
        certificates.add(verified["certificate"])
    assert len(certificates) == 1


def test_activations_rounded_by_choice(model: Path, edgebit: Callable[..., Any], tmp_path: Path) -> None:
    """The kernels of int8 rows of their own scales, which the model as trained does not need."""
    edgebit("export", model, "-t", "rpi5", "-o", tmp_path / "e", "--activations", "int8-dynamic", "--json")
    assert edgebit("verify", tmp_path / "e", "--emulate", "--json").json["bit_exact"] is True
