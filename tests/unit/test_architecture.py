"""Imports go one way, from model files to the command line."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAYERS = (
    ("errors",),
    ("resources",),
    ("ir",),
    ("layouts",),
    ("ops",),
    ("decoder",),
    ("importers",),
    ("passes",),
    ("core", "board"),
    ("plan",),
    ("exporters",),
    ("toolchain",),
    ("devices", "flash"),
    ("bench",),
    ("serve",),
    ("workflow",),
    ("cli",),
)
RANK = {name: i for i, names in enumerate(LAYERS) for name in names}


def room(path: Path) -> str:
    rel = path.relative_to(ROOT)
    if rel.parts[0] == "exporters":
        return "exporters"
    return rel.parts[1].removesuffix(".py")


def imported_rooms(source: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
            found |= {f"{node.module}.{a.name}" for a in node.names} if node.module == "edgebit" else set()
    rooms = {n.split(".")[1] for n in found if n.startswith("edgebit.") and n.count(".") >= 1}
    return {r for r in rooms if r in RANK}


def sources() -> list[Path]:
    files = [p for p in (ROOT / "edgebit").rglob("*.py") if p != ROOT / "edgebit" / "__init__.py"]
    return sorted(files + list((ROOT / "exporters").glob("*.py")))


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    here = room(path)
    assert here in RANK, f"{path} is in a room that has no place in LAYERS"
    for other in imported_rooms(path.read_text()):
        assert (
            other == here
            or RANK[other] < RANK[here]
            or {other, here}
            in (
                {"core", "board"},
                {"devices", "flash"},
            )
        ), f"{path} imports edgebit.{other}, which comes later"


def test_the_check_sees_a_backward_import() -> None:
    assert imported_rooms("from edgebit.cli import main\nimport edgebit.bench.verify") == {"cli", "bench"}


def test_core_never_names_exporters_statically() -> None:
    for path in (ROOT / "edgebit").rglob("*.py"):
        assert "import edgebit.exporters" not in path.read_text(), path
        assert "from edgebit.exporters" not in path.read_text(), path


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_have_docstrings(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), f"{path} does not say what it is"
