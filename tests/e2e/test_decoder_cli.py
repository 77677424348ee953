"""A language model from its folder to text, by the command line."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def charlm(shared: Path, tmp_path_factory: pytest.TempPathFactory, edgebit: Callable[..., Any]) -> Path:
    out = tmp_path_factory.mktemp("charlm") / "host"
    model = shared / "models" / "charlm_bitnet" / "packed_bitlinear"
    ran = edgebit("export", model, "--target", "host", "--out", out, "--context", 128, "--json")
    assert ran.json["weights"]["count"] == 442368
    assert len(ran.json["certificate"]) == 64
    return out


def test_verify_and_build(charlm: Path, edgebit: Callable[..., Any]) -> None:
    ran = edgebit("verify", charlm, "--json")
    assert ran.json["bit_exact"] is True
    assert ran.json["threads"] == [1, 2, 3]
    assert edgebit("build", charlm, "--json").json["fresh"] is False


def test_run_goes_on_from_a_text(
    charlm: Path, edgebit: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    found = edgebit("run", charlm, "--prompt", "ROMEO:\n", "--tokens", 12, "--threads", 2, "--json").json
    assert found["prompt_tokens"] == 7
    assert len(found["tokens"]) == 12
    assert found["kind"] == "measured"
    again = edgebit("run", charlm, "--prompt-ids", "30 27 25 17 27 10 0", "--tokens", 12, "--json").json
    assert again["tokens"] == found["tokens"]
    capfd.readouterr()
    ran = edgebit("run", charlm, "--prompt", "ROMEO:\n", "--tokens", 12, "--threads", 1)
    assert "tokens/s" in ran.err
    text = capfd.readouterr().out
    chars = "\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    assert text == "".join(chars[t] for t in found["tokens"]) + "\n"


def test_bench_measures_both_phases(charlm: Path, edgebit: Callable[..., Any]) -> None:
    found = edgebit("bench", charlm, "--runs", 2, "--threads", 1, "--json").json
    assert (found["runs"], found["threads"], found["where"]) == (2, 1, "this machine")
    assert [(r["phase"], r["tokens"]) for r in found["rates"]] == [("prefill", 64), ("decode", 31)]
    assert all(0 < r["slowest"] <= r["median"] <= r["fastest"] for r in found["rates"])
    assert found["throttled"] is None or found["throttled"].startswith("0x")
    assert "GB/s" in edgebit("bench", charlm, "--runs", 1).out
    assert "say nothing of the board" in edgebit("bench", charlm, "--emulate", code=2).err
    assert "from 1 to 64" in edgebit("bench", charlm, "--threads", 100000, code=2).err


def test_what_cannot_be_run_is_a_sentence(
    charlm: Path, shared: Path, tmp_path: Path, edgebit: Callable[..., Any]
) -> None:
    assert "give a prompt" in edgebit("run", charlm, code=2).err
    assert "edgebit run" in edgebit("chat", charlm, code=2).err
    assert "edgebit run" in edgebit("serve", charlm, "--port", 0, code=2).err
    assert "vocabulary lacks" in edgebit("run", charlm, "--prompt", "caf\u00e9", code=2).err
    assert "from 1 to 128" in edgebit("run", charlm, "--prompt", "x", "--context", 129, code=2).err
    assert "exported for host" in edgebit("run", charlm, "--board", "rpi5", "--prompt", "x", code=2).err
    assert "not an export folder" in edgebit("run", tmp_path, "--prompt", "x", code=2).err
    (tmp_path / "edgebit.json").write_text('{"kind": "decoder", "name": "../x"}')
    assert "damaged" in edgebit("run", tmp_path, "--prompt", "x", code=3).err
    model = shared / "models" / "charlm_bitnet" / "packed_bitlinear"
    assert "for boards" in edgebit("export", model, "-t", "cortex-m4f", "--out", tmp_path / "p", code=2).err
    assert (
        "--kv f8" in edgebit("export", model, "-t", "host", "--kv", "f8", "--out", tmp_path / "p", code=2).err
    )
    assert not (tmp_path / "p").exists()


def test_a_board_that_is_elsewhere_is_emulated_or_said_to_be(
    shared: Path, tmp_path: Path, edgebit: Callable[..., Any]
) -> None:
    if platform.machine().lower() in ("aarch64", "arm64"):
        pytest.skip("this machine may run a board's program itself")
    model = shared / "models" / "charlm_bitnet" / "packed_bitlinear"
    edgebit("export", model, "--target", "rpi4", "--out", tmp_path / "pi", "--no-golden")
    assert "or use --emulate" in edgebit("run", tmp_path / "pi", "--prompt", "x", code=6).err
    assert "without golden runs" in edgebit("verify", tmp_path / "pi", "--emulate", code=2).err
