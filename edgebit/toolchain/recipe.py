"""How to build what an export folder holds: the "build" record of its manifest, checked.

Export folders may come from elsewhere, and what they say ends up on a command line: every path must be a plain one inside
the folder, every name an identifier.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from edgebit.board import Board, load_board
from edgebit.core import Core, load_core
from edgebit.errors import ModelError, UsageError
from edgebit.toolchain.base import Job, host_is_freestanding

MANIFEST = "edgebit.json"
_PATH = re.compile(r"\.|[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DEFINE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(=[A-Za-z0-9_]*)?")


@dataclass(frozen=True)
class Recipe:
    """One program. Paths are relative to `folder`; exporters/program.py says what the fields mean."""

    folder: Path
    core: Core
    board: Board
    model_id: str
    sources: tuple[str, ...]
    freestanding: tuple[str, ...]
    hosted: tuple[str, ...]
    includes: tuple[str, ...]
    freestanding_includes: tuple[str, ...]
    defines: tuple[str, ...]
    entry: str
    script: str
    boot2: str | None
    uf2_family: int | None
    libc: bool = False
    shared: bool = False

    def job(self, output: Path) -> Job:
        """The compiler's job on this machine."""
        hosted = self.libc or self.shared or (self.core.family == "host" and not host_is_freestanding())
        return Job(
            folder=self.folder,
            core=self.core,
            sources=tuple(sorted(self.sources + (self.hosted if hosted else self.freestanding))),
            quoted=self.includes,
            includes=() if hosted else self.freestanding_includes,
            defines=self.defines,
            script=self.script,
            entry="" if hosted and not self.libc else self.entry,
            output=output,
            hosted=hosted,
            static_libc=self.libc,
            shared=self.shared,
        )


def read_recipe(export: Path, part: str = "build") -> Recipe:
    """The recipe in an export folder; UsageError when there is none, ModelError when it is damaged or hostile.

    part: "build", the program, or "library", which exports of language models have besides.
    """
    try:
        found = json.loads((export / MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{export}: not an export folder ({MANIFEST} is missing)") from None
    except (OSError, ValueError, RecursionError) as e:
        raise ModelError(f"{export / MANIFEST}: damaged ({e}); export the model again") from e
    if isinstance(found, dict) and part == "library" and not found.get(part):
        raise UsageError(
            f"{export} was exported by an EdgeBit that wrote no library beside the program; export the model again"
        )
    if not isinstance(found, dict) or not found.get(part):
        raise UsageError(
            f"{export} holds a C library for a core and no program; to build one, export for a board "
            "(edgebit boards lists them)"
        )
    try:
        return _recipe(export, found, found[part])
    except (KeyError, TypeError, ValueError, UsageError, OSError) as e:
        why = f"{e.args[0]!r} is missing" if isinstance(e, KeyError) else str(e)
        raise ModelError(
            f"{export / MANIFEST}: does not say how to build a program ({why}); export again"
        ) from e


def _recipe(export: Path, manifest: dict[str, Any], build: dict[str, Any]) -> Recipe:
    board = load_board(_text(manifest["board"], "the board"))
    core = load_core(_text(manifest["core"], "the core"))
    if core.name != board.core.name:
        raise ValueError(f"the core of {board.name} is {board.core.name}, not {core.name}")
    family = build["uf2_family"]
    if family is not None and not (type(family) is int and 0 <= family < 1 << 32):
        raise ValueError(f"the UF2 family is {str(family)[:40]!r}")
    script = _text(build["script"], "the linker script")
    boot2 = build["boot2"]
    return Recipe(
        folder=export,
        core=core,
        board=board,
        model_id=_text(manifest["model_id"], "the model id"),
        sources=_files(export, build, "sources"),
        freestanding=_files(export, build, "freestanding"),
        hosted=_files(export, build, "hosted"),
        includes=_folders(export, build, "includes"),
        freestanding_includes=_folders(export, build, "freestanding_includes"),
        defines=tuple(_matching(d, _DEFINE, "a definition") for d in _list(build, "defines")),
        entry=_matching(build["entry"], _NAME, "the entry") if build["entry"] != "" else "",
        script=_file(export, script) if script else "",
        boot2=None if boot2 is None else _matching(boot2, _NAME, "the boot stage"),
        uf2_family=family,
        libc=build.get("kind") == "linux-libc",
        shared=build.get("kind") == "linux-shared",
    )


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{what} is {str(value)[:40]!r}")
    return value


def _matching(value: object, pattern: re.Pattern[str], what: str) -> str:
    text = _text(value, what)
    if not pattern.fullmatch(text):
        raise ValueError(f"{what} is {text[:80]!r}")
    return text


def _list(build: dict[str, Any], key: str) -> Sequence[object]:
    found = build[key]
    if not isinstance(found, list):
        raise TypeError(f"{key} is no list")
    return found


def _path(export: Path, name: object) -> str:
    """A path of the manifest, as a compiler may be given it: inside the folder, and nothing it takes for an option."""
    text = _matching(name, _PATH, "a path")
    root = export.resolve()
    if root not in ((export / text).resolve(), *(export / text).resolve().parents):
        raise ValueError(f"{text!r} lies outside the folder")
    return str(PurePosixPath(text))


def _file(export: Path, name: object) -> str:
    path = _path(export, name)
    if not (export / path).is_file():
        raise ValueError(f"it names {path!r}, which is not in the folder")
    return path


def _files(export: Path, build: dict[str, Any], key: str) -> tuple[str, ...]:
    return tuple(_file(export, name) for name in _list(build, key))


def _folders(export: Path, build: dict[str, Any], key: str) -> tuple[str, ...]:
    paths = [_path(export, name) for name in _list(build, key)]
    for path in paths:
        if not (export / path).is_dir():
            raise ValueError(f"it names the folder {path!r}, which is not there")
    return tuple(paths)
