"""Builds the library of a language model's export into <folder>.library/: model.so, to be loaded on this machine."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable
from pathlib import Path

from edgebit.errors import NoBoardError, WriteError
from edgebit.resources import folder_atomically
from edgebit.toolchain.base import find_toolchain, host_arch, on_linux, toolchains
from edgebit.toolchain.build import RECORD, fingerprint
from edgebit.toolchain.recipe import read_recipe

LIBRARY = "model.so"


def library_folder(export: Path) -> Path:
    """Where the library of an export folder goes: beside it, since exports never change."""
    return export.with_name(export.name + ".library")


def build_library(
    export_dir: Path, *, toolchain: str | None = None, progress: Callable[[str], None] = lambda _: None
) -> Path:
    """The shared library of an export, compiled unless it is there from the same sources, compiler and flags.

    NoBoardError when the export is for another machine than this one, UsageError when it has no library.
    """
    recipe = read_recipe(Path(export_dir).resolve(), "library")
    arch = host_arch() if recipe.core.family == "host" else "aarch64"
    if not on_linux() or arch != host_arch():
        raise NoBoardError(
            f"{export_dir} is for the {recipe.board.title}, and this machine ({platform.system()} on {host_arch()}) "
            "cannot load it: run this on the board, or export the model for the host"
        )
    out = library_folder(recipe.folder)
    chain = find_toolchain(toolchain or _last_toolchain(out))
    version = chain.version(recipe.core)
    inputs = fingerprint(recipe, chain, version, out)
    made = _existing(out, inputs)
    if made is None:
        progress(f"compiling with {version} for {recipe.core.title}")
        with folder_atomically(out, (RECORD, LIBRARY)) as tmp:
            chain.build(recipe.job(tmp / LIBRARY))
            digest = hashlib.sha256((tmp / LIBRARY).read_bytes()).hexdigest()
            record = {"inputs": inputs, "chain": chain.name, "toolchain": version, "sha256": digest}
            (tmp / RECORD).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
        made = _existing(out, inputs)
    if made is None:
        raise WriteError(f"another run replaced {out} at the same time; run this again")
    return made


def _record(out: Path) -> dict[str, object]:
    try:
        found = json.loads((out / RECORD).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _last_toolchain(out: Path) -> str | None:
    """The toolchain that made what is there; None when it is not known any more."""
    name = _record(out).get("chain")
    return name if isinstance(name, str) and name in toolchains() else None


def _existing(out: Path, inputs: str) -> Path | None:
    """The library in `out`, when it came from these inputs and nobody has touched it since."""
    record, path = _record(out), out / LIBRARY
    if record.get("inputs") != inputs or not path.is_file():
        return None
    return path if hashlib.sha256(path.read_bytes()).hexdigest() == record.get("sha256") else None
