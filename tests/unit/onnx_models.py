"""Small ONNX models for the tests of the importer, built with onnx.helper; no framework needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgebit.importers.base import load_model
from edgebit.importers.oracle import run_source
from edgebit.ir.graph import Graph
from edgebit.ops.base import execute

Dims = Sequence[int | str | None]


def build(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Dims],
    outputs: Sequence[str] = ("y",),
    consts: Mapping[str, Any] | None = None,
    *,
    opset: int = 17,
    elem: int = TensorProto.FLOAT,
    out_elem: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """A model of these nodes. consts holds arrays, or ready TensorProtos."""
    made = []
    for name, value in (consts or {}).items():
        if isinstance(value, onnx.TensorProto):
            value.name = name
            made.append(value)
        else:
            made.append(numpy_helper.from_array(np.array(value, order="C"), name))
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info(n, elem, list(d)) for n, d in inputs.items()],
        [helper.make_tensor_value_info(n, out_elem, None) for n in outputs],
        made,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 10 if opset <= 23 else 13
    return model


def node(op: str, inputs: Sequence[str], outputs: Sequence[str] = ("y",), **attrs: Any) -> onnx.NodeProto:
    """A node named after its first output."""
    return helper.make_node(
        op, list(inputs), list(outputs), name=attrs.pop("name", f"n_{outputs[0]}"), **attrs
    )


def save(model: onnx.ModelProto, folder: Path, name: str = "m.onnx") -> Path:
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path


def imported(model: onnx.ModelProto, folder: Path, **opts: Any) -> Graph:
    """The model, written to a file and imported."""
    return load_model(save(model, folder), **opts)


def compare(
    model: onnx.ModelProto,
    folder: Path,
    seed: int = 0,
    tol: float = 2e-6,
    *,
    runs: int = 2,
    batch: int = 1,
    flips: float = 0.0,
) -> Graph:
    """Import, run on random inputs, and demand that it agrees with onnxruntime.

    tol is relative to the largest magnitude of each output. Dynamically quantised models round a few
    activations to the neighbouring integer; `flips` is the share of outputs that may be off because of it.
    """
    path = save(model, folder)
    graph = load_model(path, batch=batch)
    rng = np.random.default_rng(seed)
    feeds = [
        {n: (rng.standard_normal(graph.tensors[n].shape) * 2).astype(np.float32) for n in graph.inputs}
        for _ in range(runs)
    ]
    expected, why = run_source(path, feeds)
    assert expected is not None, why
    for feed, want in zip(feeds, expected, strict=True):
        got = execute(graph, feed)
        for name in graph.outputs:
            a, b = got[name].astype(np.float64), np.asarray(want[name]).astype(np.float64)
            assert a.shape == b.shape, name
            off = np.abs(a - b) > tol * max(1e-3, np.abs(b).max())
            assert off.mean() <= flips, f"{name}: {np.abs(a - b).max()} off at {off.mean():.1%}"
    return graph


def ops(graph: Graph) -> list[str]:
    """The graph's op names, without pure layout changes."""
    return [n.op for n in graph.nodes if n.op not in ("transpose", "reshape")]


def trits(rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray[Any, Any]:
    """Random ternary values as float32, with every value present in each row."""
    t = rng.integers(-1, 2, tuple(shape)).astype(np.float32)
    flat = t.reshape(len(t), -1)
    for i, v in enumerate((-1, 0, 1)):
        if flat.shape[1] > i:
            flat[:, i] = v
    return t
