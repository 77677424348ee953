"""An export folder, read back: manifest, canonical graph, golden vectors. The folder itself is never changed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from edgebit.bench.manifest import check_layers, check_manifest
from edgebit.bench.npz import read_npz
from edgebit.board import Board, load_board
from edgebit.errors import ModelError, UsageError, WrongBoardError
from edgebit.importers.base import printable
from edgebit.ir import Graph, graph_from_bytes, graph_to_bytes
from edgebit.ir.graph import Array
from edgebit.passes.validate import validate

MANIFEST = "edgebit.json"
MAX_ELEMENTS = 1 << 28


@dataclass(frozen=True)
class ExportFolder:
    """One export on disk. `vectors` are canonical inputs; `source` the source framework's outputs, if known."""

    path: Path
    manifest: dict[str, Any]
    graph: Graph
    vectors: list[dict[str, Array]]
    source: list[dict[str, Array]] | None
    labels: Array | None

    @property
    def name(self) -> str:
        return str(self.manifest["name"])

    @property
    def board_name(self) -> str:
        return str(self.manifest["board"] or self.manifest["target"])

    @property
    def results(self) -> Path:
        """Where results about this export go: a folder beside it."""
        path = self.path.resolve()
        return path.with_name(path.name + ".results")

    def board(self, asked: str | None = None) -> Board:
        """The board to work with: the one asked for, which must have the core this was exported for."""
        if asked is None and not self.manifest["board"]:
            raise UsageError(f"{self.path} was exported for the core {self.manifest['core']}; say --board")
        board = load_board(asked or self.manifest["board"])
        if asked and self.manifest["board"] and asked != self.manifest["board"]:
            raise WrongBoardError(
                f"{self.path} was exported for {self.manifest['board']}, not {asked}; "
                f"run: edgebit export MODEL --target {asked}"
            )
        if board.core.name != self.manifest["core"]:
            raise WrongBoardError(
                f"{self.path} was exported for the core {self.manifest['core']}; {board.name} has a {board.core.name}"
            )
        return board


def open_export(path: Path) -> ExportFolder:
    """Read an export folder; ModelError when it is not one, or is damaged.

    Exports may come from elsewhere: what is read here is checked, so that nobody later has to.
    """
    try:
        found = json.loads((path / MANIFEST).read_bytes())
        manifest = check_manifest(found)
        name = manifest["name"]
        raw = (path / f"{name}.graph").read_bytes()
    except (FileNotFoundError, NotADirectoryError) as e:
        raise ModelError(
            f"{path}: not an export folder ({e.filename} is missing); run: edgebit export"
        ) from e
    except (OSError, ValueError, RecursionError) as e:
        raise ModelError(f"{path}: a damaged export folder ({e}); export the model again") from e
    graph = _graph(path, raw, manifest)
    arrays = read_npz(path / f"{name}_vectors.npz")
    try:
        check_layers(manifest, graph)
        vectors, source, labels = _vectors(manifest, graph, arrays)
    except ValueError as e:
        raise ModelError(f"{path}: a damaged export folder ({e}); export the model again") from e
    return ExportFolder(path, manifest, graph, vectors, source, labels)


def _graph(path: Path, raw: bytes, manifest: dict[str, Any]) -> Graph:
    """The canonical graph, which must be the one the manifest names, and one that the reference can run."""
    if hashlib.sha256(raw).hexdigest() != manifest["model_id"]:
        raise ModelError(f"{path}: the stored graph is not the one {MANIFEST} names; export the model again")
    try:
        graph = graph_from_bytes(raw)
        for t in graph.tensors.values():
            if not all(type(d) is int and d > 0 for d in t.shape) or prod(t.shape) > MAX_ELEMENTS:
                raise ModelError(f"tensor {printable(t.name, 40)} has the shape {printable(t.shape, 80)}")
        validate(graph)
    except Exception as e:  # whatever a forged graph makes go wrong
        raise ModelError(f"{path}: the stored graph is damaged ({printable(e, 200)}); export again") from e
    if graph_to_bytes(graph) != raw:
        raise ModelError(f"{path}: the stored graph contradicts itself; export the model again")
    return graph


def _vectors(
    manifest: dict[str, Any], graph: Graph, arrays: dict[str, Array]
) -> tuple[list[dict[str, Array]], list[dict[str, Array]] | None, Array | None]:
    """Golden inputs, the source's outputs if known, labels if any; ValueError when they do not fit the graph."""
    count = manifest["vectors"]["count"]
    for k, i in enumerate(graph.inputs):
        t, a = graph.tensors[i], arrays.get(f"in{k}")
        if a is None or a.shape != (count, *t.shape) or a.dtype != t.dtype.numpy:
            raise ValueError(f"its golden vectors have no in{k} of {count} times {t.shape}")
    for k, o in enumerate(graph.outputs if manifest["vectors"]["source"] else ()):
        t, a = graph.tensors[o], arrays.get(f"src{k}")
        if a is None or a.shape[:1] != (count,) or a.size != count * t.elements:
            raise ValueError(f"its golden vectors have no src{k} of {count} times {t.shape}")
    labels = arrays.get("labels")
    if labels is not None and (labels.shape != (count,) or labels.dtype.kind not in "iu"):
        raise ValueError(f"its golden vectors have labels that are not {count} integers")
    vectors = [{i: arrays[f"in{k}"][n] for k, i in enumerate(graph.inputs)} for n in range(count)]
    source = None
    if manifest["vectors"]["source"]:
        source = [{o: arrays[f"src{k}"][n] for k, o in enumerate(graph.outputs)} for n in range(count)]
    return vectors, source, labels


def newest_export(root: Path, board: str | None) -> Path:
    """The newest export under `root` (for that board, if given); UsageError when there is none."""
    if board is not None:
        load_board(board)
    found: list[tuple[float, Path]] = []
    for m in root.glob(f"*/{MANIFEST}"):
        try:
            d = json.loads(m.read_bytes())
            age = m.stat().st_mtime
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(d, dict) and board in (None, d.get("board"), d.get("target")):
            found.append((age, m.parent))
    if not found:
        what = f" for {board}" if board else ""
        raise UsageError(
            f"no export{what} under {root}/; run: edgebit export MODEL --target {board or 'BOARD'}"
        )
    return max(found)[1]
