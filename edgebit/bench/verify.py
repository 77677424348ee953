"""Does the board compute what the reference computed? Weights first, then every layer of every vector."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgebit.bench.folder import ExportFolder
from edgebit.bench.vectors import Vector
from edgebit.devices.link import Link
from edgebit.errors import MismatchError, ModelError
from edgebit.ir import Certifier, DType, Graph
from edgebit.ir.graph import Array
from edgebit.ops.base import execute
from edgebit.passes.source_layout import to_source

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Expected:
    """What one vector must give: canonical inputs, CRC-32 of every layer's output, output arrays.

    certificate is that of all vectors up to this one.
    """

    inputs: Vector
    crcs: Sequence[int]
    outputs: dict[str, Array]
    certificate: str
    source: dict[str, Array] | None = None


@dataclass
class VerifyResult:
    """The outcome; `first_mismatch` is None exactly when `bit_exact`. The certificate is that of the vectors run."""

    bit_exact: bool
    vectors: int
    certificate: str | None
    first_mismatch: dict[str, Any] | None = None
    max_abs_error_vs_source: float | None = None
    top1_agreement: float | None = None
    outputs: list[dict[str, Array]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return {
            "bit_exact": self.bit_exact,
            "vectors": self.vectors,
            "certificate": self.certificate,
            "first_mismatch": self.first_mismatch,
            "max_abs_error_vs_source": self.max_abs_error_vs_source,
            "top1_agreement": self.top1_agreement,
        }


def layer_crcs(graph: Graph, trace: dict[str, Array]) -> list[int]:
    """CRC-32 of every layer's output bytes, in layer order (several outputs run on)."""
    crcs = []
    for n in graph.nodes:
        crc = 0
        for o in n.outputs:
            a = trace[o]
            crc = zlib.crc32(np.ascontiguousarray(a, dtype=a.dtype.newbyteorder("<")).tobytes(), crc)
        crcs.append(crc)
    return crcs


def expect(
    graph: Graph, vectors: Iterable[Vector], sources: Sequence[dict[str, Array]] | None = None
) -> Iterator[Expected]:
    """Run the reference on canonical vectors, one after the other."""
    certifier = Certifier(graph)
    for n, inputs in enumerate(vectors):
        with np.errstate(all="ignore"):
            trace = execute(graph, inputs)
        certifier.add(inputs, trace)
        yield Expected(
            inputs=inputs,
            crcs=layer_crcs(graph, trace),
            outputs={o: trace[o] for o in graph.outputs},
            certificate=certifier.hexdigest(),
            source=None if sources is None else sources[n],
        )


def golden(folder: ExportFolder, limit: int | None = None) -> list[Expected]:
    """The export's own golden vectors, recomputed by the reference and held against the manifest."""
    if not folder.vectors:
        raise ModelError(f"{folder.path} holds no golden vectors; give some with --vectors")
    out: list[Expected] = []
    for n, e in enumerate(expect(folder.graph, folder.vectors[:limit], folder.source)):
        stored = folder.manifest["vectors"]["layer_crcs"][n]
        if list(e.crcs) != stored:
            layer = next(i for i, (a, b) in enumerate(zip(e.crcs, stored, strict=True)) if a != b)
            raise MismatchError(
                f"{folder.path}: this machine's NumPy reference differs from the one that exported it, first at "
                f"layer {layer} ({folder.graph.nodes[layer].name}); export the model again here and compare certificates"
            )
        out.append(e)
    if len(out) == len(folder.vectors) and out[-1].certificate != folder.manifest["certificate"]:
        raise ModelError(
            f"{folder.path}: the certificate in its manifest is not that of its graph and vectors; export the model again"
        )
    return out


def check_weights(folder: ExportFolder, link: Link) -> None:
    """Compare the CRC-32 of every weight segment on the device with the manifest; names the layer."""
    for index, (layer, crc) in enumerate(folder.manifest["weight_crcs"]):
        if link.segment_crc(index) != crc:
            name = folder.manifest["layers"][layer]["name"]
            raise MismatchError(
                f"the weights of layer {layer} ({name}) on the device are not the exported ones; "
                "flash the image again, or build it again if its file was changed",
                details={
                    "bit_exact": False,
                    "first_mismatch": {"kind": "weights", "layer": layer, "name": name},
                },
            )


def verify(
    folder: ExportFolder, link: Link, cases: Sequence[Expected], progress: Progress | None = None
) -> VerifyResult:
    """Run every case on the device; stops at the first layer that differs."""
    check_weights(folder, link)
    result = VerifyResult(True, len(cases), None)
    graph = folder.graph
    for n, case in enumerate(cases):
        link.reset()
        for k, i in enumerate(graph.inputs):
            link.write_input(k, np.ascontiguousarray(case.inputs[i]).tobytes())
        link.run(hash_layers=True)
        crcs = link.hashes(len(graph.nodes))
        for layer, (got, want) in enumerate(zip(crcs, case.crcs, strict=True)):
            if got != want:
                node = graph.nodes[layer]
                result.bit_exact = False
                result.first_mismatch = {
                    "kind": "output",
                    "vector": n,
                    "layer": layer,
                    "name": node.name,
                    "kernel": folder.manifest["layers"][layer]["kernel"],
                }
                return result
        outputs: dict[str, Array] = {}
        for k, o in enumerate(graph.outputs):
            t = graph.tensors[o]
            raw = link.read_output(k, t.nbytes)
            outputs[o] = np.frombuffer(raw, t.dtype.numpy).reshape(t.shape)
            if outputs[o].tobytes() != case.outputs[o].tobytes():
                result.bit_exact = False
                result.first_mismatch = {"kind": "link", "vector": n, "output": o}
                return result
        result.outputs.append(outputs)
        if progress is not None:
            progress(n + 1, len(cases))
    _compare_with_source(graph, cases, result)
    result.certificate = cases[-1].certificate if cases else None
    return result


def real_output(graph: Graph, name: str, value: Array) -> Array:
    """A device output as the source framework would print it: source layout, real numbers."""
    t = graph.tensors[name]
    out = to_source(t, value)
    if t.dtype is DType.S8 and t.quant is not None:
        return (out.astype(np.float32) - t.quant.zero_point) * np.float32(t.quant.scale)
    return out


def _distance(mine: Array, theirs: Array) -> float:
    """The largest difference between two arrays; equal infinities are no distance apart, and neither are two NaNs."""
    a, b = mine.astype(np.float64).reshape(-1), theirs.astype(np.float64).reshape(-1)
    apart = ~((a == b) | (np.isnan(a) & np.isnan(b)))
    with np.errstate(invalid="ignore"):
        found = np.abs(a[apart] - b[apart])
    return float(np.nan_to_num(found, nan=np.inf).max(initial=0.0))


def _compare_with_source(graph: Graph, cases: Sequence[Expected], result: VerifyResult) -> None:
    if not cases or any(c.source is None for c in cases):
        return
    worst, agree = 0.0, 0
    for case, outputs in zip(cases, result.outputs, strict=True):
        assert case.source is not None
        for o in graph.outputs:
            worst = max(worst, _distance(real_output(graph, o, outputs[o]), case.source[o]))
        first = graph.outputs[0]
        mine, theirs = real_output(graph, first, outputs[first]), case.source[first]
        agree += int(np.argmax(mine) == np.argmax(theirs))
    result.max_abs_error_vs_source = worst if np.isfinite(worst) else None
    result.top1_agreement = agree / len(cases)
