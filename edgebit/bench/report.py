"""Device results on disk: <export>.results/ holds what verify and bench found, and a report over it all."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgebit.bench.folder import ExportFolder
from edgebit.resources import write_atomically


def save_result(folder: ExportFolder, verb: str, data: Mapping[str, Any]) -> Path:
    """Keep the JSON object a verb printed."""
    path = folder.results / f"{verb}.json"
    write_atomically(path, json.dumps(data, indent=2) + "\n")
    return path


def _load(folder: ExportFolder, verb: str) -> dict[str, Any] | None:
    try:
        data = json.loads((folder.results / f"{verb}.json").read_text())
    except (OSError, ValueError):
        return None
    same = isinstance(data, dict) and data.get("model_id") == folder.manifest["model_id"]
    return data if same else None


def write_report(
    folder: ExportFolder, verify: Mapping[str, Any] | None = None, bench: Mapping[str, Any] | None = None
) -> Path:
    """Save new results and write report.html over all there are; returns its path."""
    for verb, data in (("verify", verify), ("bench", bench)):
        if data is not None:
            save_result(folder, verb, {**data, "model_id": folder.manifest["model_id"]})
    render: Any = importlib.import_module("edgebit.exporters.report").render
    page = render(folder.manifest, _load(folder, "verify"), _load(folder, "bench"))
    path = folder.results / "report.html"
    write_atomically(path, page)
    return path
