"""The C of chat and library: no warning from either compiler, and no error that the sanitizers see."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from c_harness import WARNINGS, compiler, sanitizers
from talker import NAME

PIECES = (
    b"hello",
    b" the cat",
    b"\xff\xfe",
    b"\xf0\x9f\x8e",
    "日本語 🎉".encode(),
    b"<|im_end|>",
    b"\0",
    b"\r\n",
    b"\n\n",
    b" \t",
)


def _compile(export: Path, part: str, *more: str) -> list[str]:
    recipe = json.loads((export / "edgebit.json").read_text())[part]
    flags = [f"-D{d}" for d in recipe["defines"]]
    flags += [f for i in recipe["includes"] for f in ("-iquote", str(export / i))]
    return [*WARNINGS, "-Wshadow", *flags, *more, *(str(export / s) for s in recipe["sources"])]


@pytest.mark.parametrize("chain", ["gcc", "clang"])
@pytest.mark.parametrize("part", ["build", "library"])
def test_the_sources_compile_without_a_warning(talker_export: Path, part: str, chain: str) -> None:
    if shutil.which(chain) is None:
        pytest.skip(f"{chain} is not installed")
    found = [a for a in _compile(talker_export, part, "-fsyntax-only") if "/runtime/kernels/" not in a]
    subprocess.run([chain, *found], check=True)


def test_no_input_leads_astray(talker_export: Path, tmp_path: Path) -> None:
    if not sanitizers():
        pytest.skip("this compiler has no sanitizers")
    program = tmp_path / "talker"
    command = [*compiler(), *sanitizers(), *_compile(talker_export, "build", "-O1", "-g", "-pthread")]
    subprocess.run([*command, "-o", str(program)], check=True)
    rng = random.Random(1)
    for number in range(60):
        said = b"".join(rng.choice(PIECES) for _ in range(rng.randrange(1, 50)))
        said += b"y" * rng.choice((65535, 65537, 140000)) + b"\nok" if number % 10 == 0 else b""
        asked = ["--context", rng.choice(("1", "2", "30", "64", "300")), "--threads", rng.choice(("1", "2"))]
        asked += [
            "--tokens",
            rng.choice(("0", "1", "7", "40")),
            "--seed",
            str(number),
            "--json",
            "--temperature",
            "1.5",
        ]
        asked += rng.choice(([], ["--drop-oldest"])) + rng.choice(([], ["--system", "Be kind."]))
        asked += rng.choice(([], ["--stop", "a"])) + rng.choice(([], ["--go-on"]))
        done = subprocess.run(
            [program, "--weights", talker_export / f"{NAME}.bin", "--chat", *asked],
            input=said,
            capture_output=True,
        )
        assert done.returncode in (0, 4), (asked, said, done.stderr.decode(errors="replace")[-3000:])
        for line in filter(None, done.stdout.decode().split("\n")):
            turn = json.loads(line)
            assert "refused" in turn or turn["kept"] <= turn["prompt_tokens"]
