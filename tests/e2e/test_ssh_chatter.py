"""Hosts whose login shell prints something before it does what it is told; see pi.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from decoder_random import RandomWeights, export, small_spec
from pi import Pi, missing
from talker import CHATML, NAMES, VOCAB, tokenizer

from edgebit.decoder.model import Decoder
from edgebit.devices.ssh import BEGIN, CONFIG, since_begin

_WHY = missing()
needs_ssh = pytest.mark.skipif(_WHY is not None, reason=f"ssh was not tested: {_WHY}")
CHATTER = """echo 'Welcome! {"tokens": [1]}'
echo 'three messages' >&2
printf 'no end of a line }'
printf 'here neither' >&2
"""
SMALL = ("--threads", 1, "--tokens", 6)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_what_comes_before_is_no_answer(size: int) -> None:
    said = f"Welcome\n-- edgebit{BEGIN}\nanswer\n{BEGIN}\n".encode()
    pieces = [said[i : i + size] for i in range(0, len(said), size)]
    assert b"".join(since_begin(pieces)) == f"answer\n{BEGIN}\n".encode()
    assert not list(since_begin([b"Welcome\n"]))


@needs_ssh
def test_a_network(pi: Pi, edgebit: Callable[..., Any], tmp_path: Path) -> None:
    digits = Path(__file__).resolve().parents[2] / "examples" / "digits" / "digits.onnx"
    edgebit("export", digits, "-t", "rpi5", "--limit", 1, "-o", tmp_path / "digits")
    pi.trouble(CHATTER)
    assert edgebit("flash", tmp_path / "digits", "--host", "pi", "--json").json["written"] is True
    assert edgebit("verify", tmp_path / "digits", "--host", "pi", "--json").json["bit_exact"] is True
    pi.trouble("echo 'This account is for mail alone.'; exit 1\n")
    said = edgebit("flash", tmp_path / "digits", "--host", "pi", "--json", code=10).json["error"]
    assert "This account is for mail alone." in said
    assert "login shell" in said


@needs_ssh
def test_a_language_model(pi: Pi, edgebit: Callable[..., Any], tmp_path: Path) -> None:
    spec = small_spec(name="speaker", vocab=VOCAB, eos=(4,))
    files = {
        "tokenizer.json": tokenizer().to_str().encode(),
        "tokenizer_config.json": json.dumps(NAMES | {"chat_template": CHATML}).encode(),
    }
    model = export(Decoder(spec, RandomWeights(spec, seed=3), files, "speaker"), "rpi5", tmp_path / "model")
    pi.trouble(CHATTER)
    assert edgebit("flash", model, "--host", "pi", "--json").json["written"] is True
    here = edgebit("run", model, "--emulate", "--prompt", "who", *SMALL, "--json").json
    there = edgebit("run", model, "--host", "pi", "--prompt", "who", *SMALL, "--json").json
    assert there["tokens"] == here["tokens"]
    assert edgebit("verify", model, "--host", "pi", "--json").json["bit_exact"] is True
    long = edgebit("run", model, "--host", "pi", "--prompt-ids", "1 " * 301, "--json", code=2).json["error"]
    assert "301 tokens" in long
    assert "messages" not in long
    verb = [sys.executable, "-c", "from edgebit.cli import main; main()"]
    how: dict[str, Any] = {"capture_output": True, "check": True, "timeout": 120}
    how["env"] = {**os.environ, CONFIG: str(pi.config)}
    for options in (["run", model, "--prompt", "who"], ["chat", model]):
        asked = [*verb, *options, "--host", "pi", *map(str, SMALL)]
        shown = subprocess.run(asked, input=b"who\n", **how)
        assert shown.stdout.strip()
        for words in (b"Welcome", b"messages", b"neither", BEGIN.encode()):
            assert words not in shown.stdout + shown.stderr
    told = subprocess.run(
        [*verb, "chat", model, "--host", "pi", *map(str, SMALL), "--json"], input=b"who\n", **how
    )
    assert len(json.loads(told.stdout)["turns"]) == 1
