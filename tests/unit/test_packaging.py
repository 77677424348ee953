"""The wheel holds everything a user without a checkout needs, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = {"runtime_c": (".c", ".h", ".S", ".toml", ".ld"), "boards": (".c", ".h", ".S", ".toml", ".ld")}


def test_every_package_is_listed() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    on_disk = {
        ".".join(p.parent.relative_to(ROOT).parts) for p in (ROOT / "edgebit").rglob("__init__.py")
    } | {
        "edgebit.exporters",
        "edgebit.runtime_c",
        "edgebit.boards",
        "edgebit.examples",
        "edgebit.examples.mlperf_tiny",
    }
    assert on_disk == set(config["packages"])


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    out = tmp_path_factory.mktemp("wheel")
    tree = out / "tree"
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if tracked.returncode != 0:
        pytest.skip("not a git checkout: the wheel is built from the tracked files")
    for name in tracked.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(tree)],
        check=True,
        capture_output=True,
    )
    (path,) = out.glob("*.whl")
    return zipfile.ZipFile(path).namelist()


def test_wheel_ships_the_data_folders(wheel: list[str]) -> None:
    for folder, suffixes in DATA.items():
        want = {
            f"edgebit/{folder}/{p.relative_to(ROOT / folder)}"
            for p in (ROOT / folder).rglob("*")
            if p.suffix in suffixes and "__pycache__" not in p.parts
        }
        assert want, folder
        assert want <= set(wheel), sorted(want - set(wheel))


def test_wheel_ships_exporters_and_examples(wheel: list[str]) -> None:
    names = set(wheel)
    for p in (ROOT / "edgebit" / "devices").glob("*"):
        if p.suffix in (".c", ".mjs"):
            assert f"edgebit/devices/{p.name}" in names
    for p in (ROOT / "exporters").glob("*"):
        if p.suffix in (".py", ".jinja"):
            assert f"edgebit/exporters/{p.name}" in names
    models = [p for kind in ("onnx", "safetensors", "json") for p in (ROOT / "examples").glob(f"*/*.{kind}")]
    assert {p.suffix for p in models} == {".onnx", ".safetensors", ".json"}
    for p in models:
        assert f"edgebit/examples/{p.parent.name}/{p.name}" in names
    for p in (ROOT / "examples" / "mlperf_tiny").glob("*.py"):
        assert f"edgebit/examples/mlperf_tiny/{p.name}" in names
    assert {"edgebit/devices/hook.c", "edgebit/bench/in_process.c"} <= names


def test_wheel_ships_nothing_else(wheel: list[str]) -> None:
    assert not [n for n in wheel if "__pycache__" in n or n.startswith(("tests/", "docs/"))]
