"""From a plan to an export folder: runs the reference, lets each exporter add files, writes all at once.

    export_model(plan, vectors, out, meta=ExportMeta(...))

An exporter is a class in a module of this folder with a `name`, `wanted(export)` and `export(export)`; it is
found by discovery. What it adds must depend on the export only: no dates, no absolute paths.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import numpy as np

import edgebit
from edgebit.errors import EdgebitError
from edgebit.ir import certificate, graph_to_bytes, model_id
from edgebit.ir.graph import Array, Graph
from edgebit.ops.base import CConst, execute
from edgebit.plan.account import fit
from edgebit.plan.plan import Plan, arena_blocks
from edgebit.resources import folder_atomically

from .ctext import identifier, model_prefix


@dataclass(frozen=True)
class ExportMeta:
    """What the export records about its origin.

    packages are the names of the packagings asked for (see package.py). source_outputs are the source framework's outputs for the same vectors, in the model file's layout, None
    with the reason in source_note. labels are the vectors' classes, if they have any.
    """

    name: str
    target: str
    source_name: str
    source_sha256: str
    activations: str = "as-trained"
    optimize: str = "balanced"
    source_outputs: Sequence[Mapping[str, Array]] | None = None
    source_note: str = ""
    labels: Array | None = None
    packages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Segment:
    """One constant array of the generated code."""

    layer: int
    const: CConst
    symbol: str


@dataclass(frozen=True)
class ArenaEntry:
    """A place in the arena: bytes [offset, offset + nbytes) hold `what` during steps first..last.

    Step 0 is before the first layer, step i + 1 is layer i, the step after the last is reading outputs.
    """

    what: str
    tensor: str
    offset: int
    nbytes: int
    first: int
    last: int


@dataclass
class Export:
    """An export under way: what is known, and the files so far by path relative to the folder.

    name is a C identifier; it names the files and prefixes every C symbol. program says how to build what the
    folder holds (see firmware.py and linux.py), None for a library alone.
    """

    plan: Plan
    meta: ExportMeta
    name: str
    vectors: Sequence[Mapping[str, Array]]
    traces: Sequence[Mapping[str, Array]]
    model_id: str
    certificate: str
    files: dict[str, bytes] = field(default_factory=dict)
    program: dict[str, Any] | None = None

    @property
    def graph(self) -> Graph:
        return self.plan.graph

    @property
    def version(self) -> str:
        return edgebit.__version__

    @cached_property
    def tensors(self) -> list[str]:
        """Activations in the order they come to life."""
        return [*self.graph.inputs, *(o for n in self.graph.nodes for o in n.outputs)]

    @cached_property
    def segments(self) -> list[Segment]:
        """Every constant array, layer by layer."""
        return [
            Segment(layer.index, c, c.symbol or f"{self.name}_l{layer.index}_{identifier(c.suffix)}")
            for layer in self.plan.layers
            for c in layer.lowered.consts
        ]

    @cached_property
    def arena(self) -> list[ArenaEntry]:
        """Everything that has a place in the arena, by first step, then offset."""
        blocks, _, root = arena_blocks(self.graph, [layer.lowered for layer in self.plan.layers])
        found: list[ArenaEntry] = []
        for b in blocks:
            scratch = b.name not in root
            if scratch:
                layer = b.start - 1
                offset, what = self.plan.scratch_offset[layer], f"scratch of layer {layer}"
            else:
                t = self.graph.tensors[b.name]
                role = "input " if b.name in self.graph.inputs else ""
                outputs = {root[o] for o in self.graph.outputs}
                role = "output " if b.name in outputs else role
                offset = self.plan.offsets[b.name]
                what = f"{role}{b.name}: {t.dtype.value} {t.shape}"
            found.append(ArenaEntry(what, b.name, offset, b.nbytes, b.start, b.end))
        return sorted(found, key=lambda e: (e.first, e.offset, e.tensor))

    def layer_crcs(self) -> list[list[int]]:
        """Per vector, per layer: CRC-32 of the layer's output bytes, its tensors one after the other."""
        table = []
        for trace in self.traces:
            crcs = []
            for node in self.graph.nodes:
                crc = 0
                for o in node.outputs:
                    crc = zlib.crc32(_little(trace[o]).tobytes(), crc)
                crcs.append(crc)
            table.append(crcs)
        return table

    def add(self, path: str, data: bytes | str) -> None:
        """Add a file to the folder."""
        p = PurePosixPath(path)
        if p.is_absolute() or ".." in p.parts or path in self.files:
            raise EdgebitError(f"an exporter wrote {path!r} twice or outside the folder")
        self.files[path] = data.encode() if isinstance(data, str) else data


class Exporter(Protocol):
    """What a module of this folder offers."""

    name: str

    def wanted(self, export: Export) -> bool:
        """Whether this exporter has something to add for the export's target."""
        ...

    def export(self, export: Export) -> None:
        """Add files."""
        ...


def exporters() -> list[Exporter]:
    """All exporters by name, packagings last, found by importing every module of this package."""
    package = importlib.import_module(__package__ or "edgebit.exporters")
    found: dict[str, Exporter] = {}
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        for value in vars(module).values():
            if (
                isinstance(value, type)
                and value.__module__ == module.__name__
                and isinstance(getattr(value, "name", None), str)
                and callable(getattr(value, "export", None))
            ):
                exporter: Exporter = value()
                found[exporter.name] = exporter
    return [found[k] for k in sorted(found, key=lambda k: (is_packaging(found[k]), k))]


def is_packaging(exporter: Exporter) -> bool:
    """Whether it wraps what the others wrote, and only when asked for; such ones run last."""
    return bool(getattr(exporter, "packaging", False))


def packagings() -> list[str]:
    """The names that ExportMeta.packages may hold."""
    return [e.name for e in exporters() if is_packaging(e)]


def export_model(plan: Plan, vectors: Sequence[Mapping[str, Array]], out: Path, *, meta: ExportMeta) -> Path:
    """Write the export folder `out`, replacing it whole; returns it.

    vectors: canonical inputs by name. Raises FitError when the plan does not fit its board. The same arguments
    give the same bytes on every machine.
    """
    from .manifest import golden_vectors, manifest, report

    fit(plan).check()
    g = plan.graph
    canonical = [{i: _little(np.asarray(v[i])) for i in g.inputs} for v in vectors]
    traces = [execute(g, v) for v in canonical]
    export = Export(
        plan=plan,
        meta=meta,
        name=model_prefix(meta.name),
        vectors=canonical,
        traces=traces,
        model_id=model_id(g),
        certificate=certificate(g, canonical, traces),
    )
    export.add(f"{export.name}.graph", graph_to_bytes(g))
    export.add(f"{export.name}_vectors.npz", golden_vectors(export))
    for exporter in exporters():
        if exporter.wanted(export):
            exporter.export(export)
    record = manifest(export)
    export.add("report.html", report(record))
    export.add("edgebit.json", _json(record))
    with folder_atomically(Path(out), {*export.files, *exported_files(Path(out))}) as folder:
        for path, data in sorted(export.files.items()):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
    return Path(out)


def exported_files(folder: Path) -> list[str]:
    """The files that an export already in `folder` says it wrote; none when it cannot be read."""
    try:
        files = json.loads((folder / "edgebit.json").read_bytes())["files"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []
    return [f for f in files if isinstance(f, str)] if isinstance(files, list) else []


def _json(record: Mapping[str, Any]) -> str:
    return json.dumps(record, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def _little(a: Array) -> Array:
    return np.ascontiguousarray(a, dtype=a.dtype.newbyteorder("<"))
