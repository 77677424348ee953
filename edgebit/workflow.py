"""The verbs as Python functions: what the command line does, without the printing."""

from __future__ import annotations

import hashlib
import importlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from edgebit.bench.folder import MANIFEST, ExportFolder, open_export
from edgebit.bench.language_model import LanguageModelFolder, open_language_model
from edgebit.bench.vectors import canonical_vector, load_vectors, random_vectors
from edgebit.board import resolve_target
from edgebit.errors import UsageError
from edgebit.importers.base import load_decoder, load_model
from edgebit.importers.oracle import run_source
from edgebit.ir import Graph
from edgebit.ir.graph import Array
from edgebit.passes.prepare import ACTIVATIONS, prepare
from edgebit.plan.account import fit
from edgebit.plan.kernels import Optimize
from edgebit.plan.plan import Plan, make_plan
from edgebit.resources import check_replaceable

Say = Callable[[str], None]
DEFAULT_VECTORS = 2


def _quiet(_: str) -> None:
    pass


@dataclass(frozen=True)
class Prepared:
    """A model read and made canonical; `imported` is the float graph it came from."""

    path: Path
    imported: Graph
    graph: Graph
    activations: str
    batch: int


def prepare_model(
    model: Path,
    *,
    activations: str = "as-trained",
    calibration: Path | None = None,
    batch: int = 1,
    say: Say = _quiet,
) -> Prepared:
    """Read a model file and bring it to the canonical graph; the same for every target."""
    if activations not in ACTIVATIONS:
        raise UsageError(f"--activations {activations}: choose one of {', '.join(ACTIVATIONS)}")
    if batch < 1:
        raise UsageError(f"--batch {batch}: must be at least 1")
    if calibration is not None and activations != "int8-static":
        raise UsageError(f"--calibration finds the scales of --activations int8-static, not of {activations}")
    if calibration is None and activations == "int8-static":
        raise UsageError(
            "int8-static activations need calibration inputs: pass --calibration inputs.npz with a few "
            "representative inputs, or choose --activations int8-dynamic"
        )
    say(f"reading {model}")
    imported = load_model(model, batch=batch)
    samples: list[dict[str, Array]] | None = None
    if calibration is not None:
        samples, _ = load_vectors(calibration, imported)
    say("preparing the graph")
    return Prepared(
        model, imported, prepare(imported, activations=activations, calibration=samples), activations, batch
    )


def model_name(path: Path) -> str:
    """A short name for a model, from its file's name: lower case letters, digits, - and _."""
    return _short_name(path.stem)


def _short_name(name: str) -> str:
    name = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")
    return name[:64].strip("-_") or "model"


def plan_model(prepared: Prepared, target: str, *, optimize: str = "balanced") -> Plan:
    """Choose kernels and lay out memory for a board or a core."""
    core, board = resolve_target(target)
    if optimize not in get_args(Optimize):
        raise UsageError(f"--optimize {optimize}: choose one of {', '.join(get_args(Optimize))}")
    return make_plan(prepared.graph, core, board, optimize=cast(Optimize, optimize))


def export_model(
    prepared: Prepared,
    target: str,
    out: Path | None = None,
    *,
    vectors: Path | None = None,
    limit: int | None = None,
    optimize: str = "balanced",
    packages: Sequence[str] = (),
    say: Say = _quiet,
) -> tuple[ExportFolder, Plan]:
    """Plan for a target and write the export folder (default build/<name>-<target>).

    packages: packagings to add, e.g. "cmake" (exporters/package.py).
    """
    name = model_name(prepared.path)
    out = out or Path("build") / f"{name}-{target}"
    pipeline: Any = importlib.import_module("edgebit.exporters.pipeline")
    for package in packages:
        if package not in pipeline.packagings():
            raise UsageError(f"--as {package}: choose from {', '.join(pipeline.packagings())}")
    known = pipeline.exported_files(out)
    if known or not os.path.isfile(out / MANIFEST):
        check_replaceable(out, known)  # before the work; a damaged export is looked at again after it
    say(f"planning for {target}")
    plan = plan_model(prepared, target, optimize=optimize)
    fit(plan).check()
    labels: Array | None = None
    if vectors is not None:
        source, labels = load_vectors(vectors, prepared.imported, limit)
    else:
        source = random_vectors(prepared.imported, limit or DEFAULT_VECTORS)
    say(f"running the reference on {len(source)} vectors")
    outputs, note = run_source(prepared.path, source)
    meta = pipeline.ExportMeta(
        name=name,
        target=target,
        source_name=prepared.path.name,
        source_sha256=_sha256(prepared.path),
        activations=prepared.activations,
        optimize=optimize,
        source_outputs=outputs,
        source_note=note,
        labels=labels,
        packages=tuple(dict.fromkeys(packages)),
    )
    say(f"writing {out}")
    pipeline.export_model(plan, [canonical_vector(prepared.graph, v) for v in source], out, meta=meta)
    return open_export(out), plan


def export_language_model(
    model: str,
    target: str,
    out: Path | None = None,
    *,
    context: int | None = None,
    kv: str = "f16",
    head: str = "int8",
    acts: str = "int8",
    optimize: str = "balanced",
    golden: bool = True,
    say: Say = _quiet,
    **reading: Any,
) -> LanguageModelFolder:
    """Read a language model and write its export folder (default build/<name>-<target>).

    reading: the options of edgebit.importers.base.load_decoder.
    """
    resolve_target(target)
    say(f"reading {model}")
    decoder = load_decoder(model, **reading)
    out = out or Path("build") / f"{_short_name(decoder.spec.name)}-{target}"
    exporter: Any = importlib.import_module("edgebit.exporters.decoder")
    exporter.export_decoder(
        decoder,
        target,
        out,
        context=context,
        kv=kv,
        matrix=head,
        acts=acts,
        optimize=optimize,
        golden=golden,
        say=say,
    )
    return open_language_model(out)


def _sha256(path: Path) -> str:
    h = hashlib.sha256()
    for p in [path] if path.is_file() else sorted(q for q in path.rglob("*") if q.is_file()):
        h.update(p.read_bytes())
    return h.hexdigest()
