"""An export folder, read back: manifest, canonical graph, golden vectors. The folder itself is never changed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgebit.board import Board, load_board
from edgebit.errors import ModelError, UsageError
from edgebit.ir import Graph, graph_from_bytes, model_id
from edgebit.ir.graph import Array

MANIFEST = "edgebit.json"


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
        return self.path.with_name(self.path.name + ".results")

    def board(self, asked: str | None = None) -> Board:
        """The board to work with: the one asked for, which must have the core this was exported for."""
        if asked is None and not self.manifest["board"]:
            raise UsageError(f"{self.path} was exported for the core {self.manifest['core']}; say --board")
        board = load_board(asked or self.manifest["board"])
        if asked and self.manifest["board"] and asked != self.manifest["board"]:
            from edgebit.errors import WrongBoardError

            raise WrongBoardError(
                f"{self.path} was exported for {self.manifest['board']}, not {asked}; "
                f"run: edgebit export MODEL --target {asked}"
            )
        return board


def open_export(path: Path) -> ExportFolder:
    """Read an export folder; ModelError when it is not one or is damaged."""
    manifest_path = path / MANIFEST
    try:
        manifest = json.loads(manifest_path.read_text())
        name = str(manifest["name"])
        graph = graph_from_bytes((path / f"{name}.graph").read_bytes())
        with np.load(path / f"{name}_vectors.npz", allow_pickle=False) as z:
            arrays = {k: z[k] for k in z.files}
    except FileNotFoundError as e:
        raise ModelError(
            f"{path}: not an export folder ({e.filename} is missing); run: edgebit export"
        ) from e
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise ModelError(f"{path}: a damaged export folder ({e}); export the model again") from e
    if model_id(graph) != manifest.get("model_id"):
        raise ModelError(f"{path}: the stored graph is not the one {MANIFEST} names; export the model again")
    count = int(manifest["vectors"]["count"])
    vectors = [{i: arrays[f"in{k}"][n] for k, i in enumerate(graph.inputs)} for n in range(count)]
    source = None
    if manifest["vectors"].get("source"):
        source = [{o: arrays[f"src{k}"][n] for k, o in enumerate(graph.outputs)} for n in range(count)]
    return ExportFolder(path, manifest, graph, vectors, source, arrays.get("labels"))


def newest_export(root: Path, board: str | None) -> Path:
    """The newest export under `root` (for that board, if given); UsageError when there is none."""
    found: list[tuple[float, Path]] = []
    for m in root.glob(f"*/{MANIFEST}"):
        try:
            d = json.loads(m.read_text())
        except (OSError, ValueError):
            continue
        if isinstance(d, dict) and board in (None, d.get("board"), d.get("target")):
            found.append((m.stat().st_mtime, m.parent))
    if not found:
        what = f" for {board}" if board else ""
        raise UsageError(
            f"no export{what} under {root}/; run: edgebit export MODEL --target {board or 'BOARD'}"
        )
    return max(found)[1]
