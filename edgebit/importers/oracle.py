"""Runs the source model itself, to compare with. Only for files that an importer has accepted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edgebit.importers.base import printable
from edgebit.ir.graph import Array


def run_source(
    path: str | Path, inputs: Sequence[Mapping[str, Array]]
) -> tuple[list[dict[str, Array]] | None, str]:
    """The source model's outputs, by name, for each dict of inputs in the source's layout.

    ONNX runs in onnxruntime with graph optimisation disabled (its default rewrites quantised products to
    less precise kernels) and one thread. Returns (None, reason) when the file cannot be run.
    """
    p = Path(path)
    if p.suffix.lower() != ".onnx":
        return None, f"there is no reference implementation for {printable(p.suffix or p.name)} files here"
    try:
        import onnxruntime as ort
    except ImportError as e:
        return None, f"onnxruntime is not installed ({e})"
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(str(p), options, providers=["CPUExecutionProvider"])
        names = [o.name for o in session.get_outputs()]
        results = [dict(zip(names, session.run(names, dict(i)), strict=True)) for i in inputs]
    except Exception as e:  # onnxruntime raises its own family, derived from Exception directly
        return None, f"onnxruntime cannot run it: {printable(e, 300)}"
    return results, ""
