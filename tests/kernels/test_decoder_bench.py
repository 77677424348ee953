"""tests/tools/bench_decoder.py: what it says of bad usage, its checkpoint and GGUF file, and a run where the peer is."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebit.importers.base import load_decoder
from edgebit.resources import cache_dir

TOOLS = Path(__file__).parents[1] / "tools"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    tool = str(TOOLS / "bench_decoder.py")
    return subprocess.run([sys.executable, tool, *arguments], capture_output=True, text=True)


@pytest.mark.parametrize(
    "arguments", [("--rounds", "0"), ("--layers", "31"), ("--layers", "0"), ("--only", "nothing of this")]
)
def test_bad_usage(arguments: tuple[str, str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def big() -> Any:
    spec = importlib.util.spec_from_file_location("big_decoder", TOOLS / "big_decoder.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_checkpoint_and_gguf_hold_the_same_trits(tmp_path: Path) -> None:
    """At a small shape: both files are models, and the first layer's matrices are equal."""
    tool = big()
    shape = replace(tool.BITNET_2B, vocab=1100, width=256, layers=2, heads=2, kv_heads=1, ffn=512)

    def quantise(name: str, w: Any) -> tuple[int, bytes]:
        """TQ2_0 by hand: 32 bytes hold 128 trits, then a binary16 scale after 256."""
        assert name == "tq2_0"
        scale = np.abs(w).max()
        codes = (np.rint(w / scale).astype(np.int8) + 1).astype(np.uint8).reshape(-1, 2, 4, 32)
        packed = sum(codes[:, :, i] << (2 * i) for i in range(4)).astype(np.uint8).reshape(-1, 64)
        d = np.full((len(packed), 1), scale, "<f2").view(np.uint8)
        return 35, np.concatenate([packed, d], axis=1).tobytes()

    tool.write_checkpoint(tmp_path / "folder", shape, lambda _: None)
    total = tool.write_peer(tmp_path / "m.gguf", quantise, "tq2_0", "f16", shape)
    assert 0 <= (tmp_path / "m.gguf").stat().st_size - total < 4096
    ours = load_decoder(tmp_path / "folder")
    peer = load_decoder(tmp_path / "m.gguf", activation="relu2")
    assert (ours.spec.layers, ours.spec.width, ours.spec.vocab) == (2, 256, 1100)
    assert (peer.spec.layers, peer.spec.width, peer.spec.vocab) == (2, 256, 1100)
    for role in ("q", "down"):
        a, b = (d.weights.projection(role, 0) for d in (ours, peer))
        assert np.array_equal(a.trits, b.trits)
        assert np.any(a.trits)


def test_a_comparison(tmp_path: Path) -> None:
    if not sorted((cache_dir() / "peers").glob("lib*/python*/site-packages/llama_cpp/lib")):
        pytest.skip("llama.cpp is not built here; make bench-decoder builds it")
    asked = ("--layers", "1", "--rounds", "1", "--threads", "1", "--only", "int8 head : TQ2_0 + Q8_0 head")
    done = run("--json", "--work", str(tmp_path), *asked)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["comparisons"]
    assert [f["layers"] for f in found] == [1, 1]
    assert found[0]["ratios"]["decode processor"]["median"] > 0
