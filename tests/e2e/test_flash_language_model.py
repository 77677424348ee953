"""A language model flashed to a Linux board over ssh, proved there, run and talked with from here; see pi.py."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from at_terminal import at_terminal
from decoder_random import RandomWeights, export, small_spec
from pi import A72, A76, Pi, missing
from talker import CHATML, NAMES, VOCAB, tokenizer

from edgebit.bench.language_model import command_line, open_language_model
from edgebit.decoder.model import Decoder
from edgebit.devices.ssh import CONFIG, open_remote
from edgebit.errors import WrongBoardError

_WHY = missing()
pytestmark = pytest.mark.skipif(_WHY is not None, reason=f"ssh flashing was not tested: {_WHY}")
PROMPT = 'it\'s the "cat" & $HOME `id` \\ *\n; 日本語'
FLASH = ("--host", "pi", "--json")
SMALL = ("--threads", 1, "--tokens", 6, "--json")


def _export(out: Path, name: str = "speaker", seed: int = 3, **how: Any) -> Path:
    spec = small_spec(name=name, vocab=VOCAB, eos=(4,))
    files = {
        "tokenizer.json": tokenizer().to_str().encode(),
        "tokenizer_config.json": json.dumps(NAMES | {"chat_template": CHATML}).encode(),
    }
    return export(Decoder(spec, RandomWeights(spec, seed=seed), files, name), "rpi5", out, **how)


def _chat_at_a_terminal(folder: Path) -> None:
    """The program there has a terminal, whose Ctrl-C ends an answer or the chat and nothing else."""
    verb = [sys.executable, "-c", "from edgebit.cli import main; main()", "chat", folder, "--host", "pi"]
    with at_terminal(*verb, "--threads", "1", "--tokens", "3") as (person, process):
        person.wait("> ")
        person.key(b"half a line\x03")
        person.wait("Ctrl-C again, or Ctrl-D, ends the chat")
        person.wait("> ")
        person.key(b"who?\n")
        person.wait("cut at --tokens]")
        person.wait("> ")
        person.key(b"\x04")
        assert process.wait(30) == 0
    with at_terminal(*verb, "--context", "301") as (person, process):
        person.wait("--context takes a number")
        person.wait("above is why")
        assert process.wait(30) == 2


@pytest.fixture(scope="module")
def models(edgebit: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two programs of one model: of the second a line of C was changed."""
    root = tmp_path_factory.mktemp("models")
    first = _export(root / "one")
    second = shutil.copytree(first, root / "two")
    options = second / "decoder" / "linux" / "options.c"
    options.write_text(options.read_text().replace('"usage: "', '"How to use it: "'))
    for folder in (first, second):
        edgebit("build", folder)
    return first, second


def _stored(pi: Pi) -> list[str]:
    return sorted(
        p.relative_to(pi.store).as_posix() for n in ("versions", "weights") for p in (pi.store / n).iterdir()
    )


def _chat(pi: Pi, folder: Path) -> None:
    """A chat through a pipe is the one that the emulated program has here."""
    asked = ["--threads", "1", "--tokens", "5", "--system", "Be \"kind\" to 'cats'; $HOME"]
    said = b"who?\nit's $(id)\n"
    verb = [sys.executable, "-c", "from edgebit.cli import main; main()", "chat", folder, *FLASH]
    program, _ = command_line(open_language_model(folder), emulate="qemu")
    how: dict[str, Any] = {"input": said, "capture_output": True, "check": True, "timeout": 120}
    there = subprocess.run([*verb, *asked], env={**os.environ, CONFIG: str(pi.config)}, **how).stdout
    here = subprocess.run([*program, "--chat", "--json", *asked], **how).stdout
    turns = json.loads(there)["turns"]
    assert len(turns) == 2
    assert [t["tokens"] for t in turns] == [json.loads(line)["tokens"] for line in here.splitlines()]


def test_flash_run_chat_verify_and_go_back(
    pi: Pi, models: tuple[Path, Path], edgebit: Callable[..., Any], tmp_path: Path
) -> None:
    first, second = models
    size = (first / "speaker.bin").stat().st_size
    steps = " ".join(edgebit("flash", first, "--dry-run", *FLASH).json["steps"])
    assert all(w in steps for w in ("asimddp", "golden prompt", "unless they lie there"))
    assert "edgebit flash" in edgebit("run", first, "--prompt", "x", *FLASH, code=10).json["error"]
    assert not pi.store.exists()

    done = edgebit("flash", first, *FLASH).json
    assert done["weights_copied"] == size
    assert "computes a golden prompt" in done["said"]
    (weights,) = (pi.store / "weights").iterdir()
    assert weights.name in steps
    assert done["version"] in steps
    assert weights.read_bytes() == (first / "speaker.bin").read_bytes()
    assert weights.samefile(pi.store / "current" / "speaker.bin")
    assert edgebit("flash", first, *FLASH).json["written"] is False
    with pytest.raises(WrongBoardError, match="a language model and no network"):
        open_remote("ssh://pi")

    here = edgebit("run", first, "--emulate", "--prompt", PROMPT, *SMALL).json
    there = edgebit("run", first, "--host", "pi", "--prompt", PROMPT, *SMALL).json
    assert there["tokens"] == here["tokens"]
    assert there["prompt_tokens"] == here["prompt_tokens"], "the shell there must not touch the prompt"
    assert there["where"] == "pi"
    _chat(pi, first)
    _chat_at_a_terminal(first)
    long = edgebit("run", first, "--prompt-ids", "1 " * 301, *FLASH, code=2).json["error"]
    assert "301 tokens" in long
    other = _export(tmp_path / "other", "another", 4, golden=False)
    said = edgebit("run", other, "--prompt", "x", *FLASH, code=7).json["error"]
    assert "holds the model 'speaker', not 'another'" in said

    then = edgebit("flash", second, *FLASH).json
    assert then["weights_copied"] == 0
    assert "there already" in then["said"]
    assert then["version"] != done["version"]
    both = {"current": f"versions/{then['version']}", "previous": f"versions/{done['version']}"}
    assert pi.versions() == both
    assert edgebit("verify", second, *FLASH).json["bit_exact"] is True
    assert "computes a golden prompt" in edgebit("flash", "--rollback", *FLASH).json["said"]
    assert pi.versions() == {"current": both["previous"], "previous": both["current"]}
    assert _stored(pi) == sorted([*both.values(), f"weights/{weights.name}"])


def test_what_fails_leaves_the_version_before(
    pi: Pi, models: tuple[Path, Path], edgebit: Callable[..., Any]
) -> None:
    first, second = models
    version = edgebit("flash", first, *FLASH).json["version"]
    stays = f"{version} stays the current version"

    def still_there() -> None:
        pi.trouble("")
        assert pi.versions() == {"current": f"versions/{version}"}
        assert not [p for p in _stored(pi) if p.startswith("versions/") and version not in p]

    # Its processor is another than it says: the program itself finds out, and says so with exit code 7.
    pi.trouble("export QEMU_CPU=cortex-a72\n")
    said = edgebit("flash", second, *FLASH, code=7).json["error"]
    assert "made for the Arm Cortex-A76" in said
    assert stays in said
    still_there()
    pi.be("aarch64", A72)
    assert "asimddp" in edgebit("flash", second, *FLASH, code=7).json["error"]
    pi.be("aarch64", A76)

    # It computes something else: one bit of a golden run's checksum differs.
    manifest = second / "edgebit.json"
    whole = manifest.read_text()
    crc = json.loads(whole)["golden"][0]["layer_crcs"][1]
    manifest.write_text(re.sub(rf"\b{crc}\b", str(crc ^ 1), whole))
    said = edgebit("flash", second, *FLASH, code=9).json["error"]
    manifest.write_text(whole)
    assert "first in layer 1" in said
    assert stays in said
    still_there()

    # The weights are gone from the store, and the connection is lost while they are copied again.
    (weights,) = (pi.store / "weights").iterdir()
    weights.unlink()
    pi.trouble(
        'case "$SSH_ORIGINAL_COMMAND" in\n*"cat >"*) cd $HOME/.local/share/edgebit/weights; head -c 4096 > cut; '
        "kill -9 $PPID; exit 1;;\nesac\n"
    )
    said = edgebit("flash", second, *FLASH, code=10).json["error"]
    assert "lost while copying the weights" in said
    assert stays in said
    assert (pi.store / "weights" / "cut").stat().st_size == 4096
    still_there()

    # A disk that is nearly full is seen before anything is copied.
    (pi.bin / "df").write_text("#!/bin/sh\necho head\necho '/dev/sda1 100 60 40  60% /'\n")
    (pi.bin / "df").chmod(0o755)
    said = edgebit("flash", second, *FLASH, code=11).json["error"]
    (pi.bin / "df").unlink()
    assert re.search(r"pi has 0\.0 MB free, and \d\.\d MB are needed", said)
    still_there()
    assert edgebit("run", first, "--host", "pi", "--prompt-ids", "1 2", *SMALL).json["tokens"]


def test_choices_that_do_not_fit(pi: Pi, models: tuple[Path, Path], edgebit: Callable[..., Any]) -> None:
    first, _ = models
    assert "--host" in edgebit("flash", first, "--json", code=6).json["error"]
    for bad in (["--service"], ["--emulate"], ["--with", "platformio"], ["--method", "uf2"]):
        edgebit("flash", first, *FLASH, *bad, code=2)
    edgebit("verify", first, "--emulate", *FLASH, code=2)
    pi.known("other")
    assert "another host key" in edgebit("verify", first, *FLASH, code=8).json["error"]
    assert "another host key" in edgebit("flash", first, *FLASH, code=8).json["error"]
