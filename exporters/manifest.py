"""edgebit.json, the golden vectors and the report page of an export."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from edgebit.ir.graph import Array, Tensor
from edgebit.plan.account import FLASH, fit
from edgebit.plan.plan import PlannedLayer

from .pipeline import Export
from .report import render


def golden_vectors(export: Export) -> bytes:
    """<name>_vectors.npz: in<k>, out<k> (canonical), src<k> (the source framework's), labels; vectors first."""
    g, meta = export.graph, export.meta
    arrays: dict[str, Array] = {}
    for k, name in enumerate(g.inputs):
        arrays[f"in{k}"] = _stack([v[name] for v in export.vectors], g.tensors[name])
    for k, name in enumerate(g.outputs):
        arrays[f"out{k}"] = _stack([t[name] for t in export.traces], g.tensors[name])
    if meta.source_outputs is not None:
        for k, name in enumerate(g.outputs):
            arrays[f"src{k}"] = np.stack([np.asarray(s[name]) for s in meta.source_outputs])
    if meta.labels is not None:
        arrays["labels"] = np.asarray(meta.labels)
    return npz(arrays)


def _stack(rows: list[Array], t: Tensor) -> Array:
    return np.stack(rows) if rows else np.zeros((0, *t.shape), t.dtype.numpy)


def npz(arrays: Mapping[str, Array]) -> bytes:
    """An .npz file with the same bytes on every machine: fixed dates, arrays in name order, little endian, and
    stored, since compressors differ between versions."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as z:
        for name in sorted(arrays):
            a = arrays[name]
            member = io.BytesIO()
            np.lib.format.write_array(
                member, np.ascontiguousarray(a, dtype=a.dtype.newbyteorder("<")), allow_pickle=False
            )
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            info.create_system = 3
            z.writestr(info, member.getvalue())
    return out.getvalue()


def manifest(export: Export) -> dict[str, Any]:
    """What edgebit.json says. Sizes in bytes; costs in the core's metric, as predicted."""
    plan, meta, g = export.plan, export.meta, export.graph
    table = fit(plan)
    return {
        "edgebit": export.version,
        "name": export.name,
        "target": meta.target,
        "board": None if plan.board is None else plan.board.name,
        "core": plan.core.name,
        "metric": plan.core.metric,
        "optimize": meta.optimize,
        "source_name": meta.source_name,
        "source_sha256": meta.source_sha256,
        "activations": meta.activations,
        "model_id": export.model_id,
        "certificate": export.certificate,
        "entries": ["run"],
        "inputs": [_tensor(g.tensors[i]) for i in g.inputs],
        "outputs": [_tensor(g.tensors[o]) for o in g.outputs],
        "flash_bytes": table.used(FLASH),
        "weights_bytes": plan.weight_bytes,
        "arena_bytes": plan.arena_bytes,
        "arena_lower_bound": plan.arena_lower_bound,
        "arena_optimal": plan.arena_optimal,
        "scratch_bytes": plan.scratch_bytes,
        "stack_bytes": sum(r.bytes for r in table.rows if r.item == "stack"),
        "state_bytes": plan.state_bytes,
        "fit": table.to_dict(),
        "layers": [_layer(export, layer) for layer in plan.layers],
        "arena": [
            {"tensor": e.tensor, "offset": e.offset, "bytes": e.nbytes, "from": e.first, "to": e.last}
            for e in export.arena
        ],
        "weight_crcs": [[s.layer, zlib.crc32(s.const.raw)] for s in export.segments],
        "vectors": {
            "count": len(export.vectors),
            "layer_crcs": export.layer_crcs(),
            "source": meta.source_outputs is not None,
            "source_note": meta.source_note,
            "labels": meta.labels is not None,
        },
        "toolchain": {"zig": plan.core.zig, "gcc": plan.core.gcc},
        "build": export.program,
        "licences": {
            "runtime, port, app": "Apache-2.0",
            "generated code": "Apache-2.0",
            "weights": "those of the model file",
        },
        "files": sorted([*export.files, "edgebit.json", "report.html"]),
    }


def _tensor(t: Tensor) -> dict[str, Any]:
    return {
        "name": t.name,
        "shape": list(t.shape),
        "dtype": t.dtype.value,
        "scale": None if t.quant is None else t.quant.scale,
        "zero_point": None if t.quant is None else t.quant.zero_point,
        "source_shape": None if t.source_shape is None else list(t.source_shape),
        "source_perm": None if t.source_perm is None else list(t.source_perm),
    }


def _layer(export: Export, layer: PlannedLayer) -> dict[str, Any]:
    second = layer.runner_up
    return {
        "index": layer.index,
        "name": layer.node.name,
        "op": layer.node.op,
        "kernel": layer.lowered.kernel or layer.lowered.function or "none",
        "layout": layer.lowered.layout,
        "bits_per_weight": layer.lowered.bits_per_weight,
        "macs": layer.macs,
        "bytes": layer.weight_bytes,
        "out_bytes": sum(export.graph.tensors[o].nbytes for o in layer.node.outputs),
        "cost": layer.cost,
        "modelled": layer.modelled,
        "runner_up": None
        if second is None
        else {"kernel": second.kernel, "layout": second.layout, "cost": second.cost, "bytes": second.nbytes},
    }


def report(record: Mapping[str, Any]) -> str:
    """report.html as it stands before any device has run the model."""
    return str(render(record))
