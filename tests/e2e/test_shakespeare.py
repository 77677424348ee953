"""The language model that is shipped: it writes text, the same on every board, under one certificate."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MODEL = Path(__file__).resolve().parents[2] / "examples" / "shakespeare"
PROMPT = ("--prompt", "ROMEO:", "--temperature", "0.7", "--seed", "3", "--json")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, edgebit: Callable[..., Any]) -> Callable[[str], Path]:
    """The model's export for a board, made once."""
    root = tmp_path_factory.mktemp("shakespeare")

    def export(board: str) -> Path:
        out = root / board
        if not out.exists():
            edgebit("export", MODEL, "--target", board, "--kv", "int8", "--out", out)
        return out

    return export


def certificate(folder: Path) -> str:
    return str(json.loads((folder / "edgebit.json").read_text())["certificate"])


def test_the_pico_writes_what_the_host_writes(
    exported: Callable[[str], Path], edgebit: Callable[..., Any]
) -> None:
    host = edgebit("run", exported("host"), *PROMPT, "--tokens", "6").json
    pico = edgebit("run", exported("pico"), *PROMPT, "--tokens", "6", "--emulate").json
    assert pico["tokens"] == host["tokens"]
    assert len(pico["tokens"]) == 6
    assert pico["prompt_tokens"] == host["prompt_tokens"]
    assert pico["text"].startswith("\nBy grant")
    assert pico["metric"] == "modelled cycles"
    assert 30e6 < pico["cost_per_token"] < 50e6
    assert certificate(exported("pico")) == certificate(exported("host"))
    edgebit("verify", exported("host"))


@pytest.mark.parametrize("board", ["rpi5", "rpi4", "pico", "pico2", "mps2-an386"])
def test_one_certificate(board: str, exported: Callable[[str], Path], edgebit: Callable[..., Any]) -> None:
    linux = board.startswith("rpi")
    if linux and shutil.which("qemu-aarch64") is None:
        pytest.skip("qemu-aarch64 is not installed")
    proof = edgebit("verify", exported(board), "--emulate=auto", "--json").json
    assert proof["certificate"] == certificate(exported("host"))
    assert proof["threads"] == ([1, 2, 3] if linux else [1])


def test_what_a_board_cannot_do_is_a_sentence(
    exported: Callable[[str], Path], edgebit: Callable[..., Any], tmp_path: Path
) -> None:
    pico = exported("pico")
    assert "--threads, --context" in edgebit("run", pico, "--prompt", "x", "--threads", 2, code=2).err
    assert "1025 bytes" in edgebit("run", pico, "--emulate", "--prompt", "x" * 1025, code=2).err
    assert "256 positions" in edgebit("run", pico, "--emulate", "--prompt", "\u00e9" * 300, code=2).err
    assert "tokens are numbers" in edgebit("run", pico, "--emulate", "--prompt-ids", "a", code=2).err
    for verb in ("chat", "serve"):
        said = edgebit(verb, pico, code=2).err
        assert "keeps no chat" in said
        assert "--target host" in said
    assert "over its link" in edgebit("perplexity", pico, "--text", MODEL / "train.py", code=2).err
    small = edgebit("export", MODEL, "--target", "nucleo-f446re", "--out", tmp_path / "no", code=4)
    assert "FLASH is" in small.err
    assert not (tmp_path / "no").exists()
