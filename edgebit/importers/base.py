"""Finds the importer for a model file.

An importer is a module of this package with

    suffixes: tuple[str, ...]                 file name endings it claims, lower case, with the dot
    sniff(path: Path) -> bool                 does the content look like this format?
    load(path: Path, *, batch: int = 1) -> Graph

and is found by discovery: private modules (leading underscore) and modules without these are not importers.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from pathlib import Path
from typing import Any, Protocol, cast

from edgebit.errors import ModelError
from edgebit.ir.graph import Graph


class Importer(Protocol):
    """What an importer module offers."""

    suffixes: tuple[str, ...]

    def sniff(self, path: Path) -> bool: ...

    def load(self, path: Path, *, batch: int = 1) -> Graph: ...


@cache
def importers() -> dict[str, Importer]:
    """All importers by module name, in alphabetical order."""
    import edgebit.importers as package

    found: dict[str, Importer] = {}
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda i: i.name):
        if info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        if all(hasattr(module, a) for a in ("suffixes", "sniff", "load")):
            found[info.name] = cast(Importer, module)
    return found


def find_importer(path: Path) -> Importer:
    """The importer for `path`, by its ending, else by its content; raises ModelError when there is none."""
    if not path.exists():
        raise ModelError(f"{printable(path)}: there is no such file")
    known = importers()
    for module in known.values():
        if path.is_file() and path.suffix.lower() in module.suffixes:
            return module
    for module in known.values():
        if module.sniff(path):
            return module
    endings = ", ".join(sorted({s for m in known.values() for s in m.suffixes}))
    raise ModelError(f"{printable(path)}: not a model file EdgeBit can read (it reads {endings})")


def load_model(path: str | Path, **opts: Any) -> Graph:
    """Import a model file with the importer that fits it. `opts` go to the importer's `load` (e.g. batch=1)."""
    p = Path(path)
    return find_importer(p).load(p, **opts)


def printable(text: object, limit: int = 120) -> str:
    """`text` for an error message: control and non-ASCII characters escaped, long text shortened."""
    s = ascii(str(text))[1:-1]
    return s if len(s) <= limit else s[: limit - 3] + "..."
