"""tests/tools/bench_peers.py: what it says of bad usage, and the comparison where the peer is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgebit.core import load_core
from edgebit.plan.kernels import kernels_for
from edgebit.resources import cache_dir

TOOL = Path(__file__).parents[1] / "tools" / "bench_peers.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(TOOL), *arguments], capture_output=True, text=True)


@pytest.mark.parametrize("arguments", [("--rounds", "1"), ("--copies", "-1"), ("--rounds", "many")])
def test_bad_usage(arguments: tuple[str, str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_folder_that_holds_another_library(tmp_path: Path) -> None:
    if not [k for k in kernels_for("tmatvec_s8", load_core("host")) if k.isa != "ref"]:
        pytest.skip("this machine has no vector kernel to compare")
    folder = tmp_path / "lib" / "python3" / "site-packages" / "llama_cpp" / "lib"
    folder.mkdir(parents=True)
    done = run("--env", str(tmp_path))
    assert done.returncode == 1
    assert "holds no libggml" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_comparison() -> None:
    """Both sides compute the same product, and every kernel is compared with every format."""
    if not list((cache_dir() / "peers").glob("lib*/python*/site-packages/llama_cpp/lib/libggml-cpu*.so")):
        pytest.skip("ggml is not installed: run `make bench-peers` once")
    done = run("--json", "--rounds", "2", "--copies", "0")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    mine = [k for k in kernels_for("tmatvec_s8", load_core("host")) if k.isa != "ref"]
    assert len(rows) == 4 * len(mine)
    for r in rows:
        assert r["quartiles"][0] <= r["ratio"] <= r["quartiles"][1]
        assert r["ours_gmacs"] > 0
