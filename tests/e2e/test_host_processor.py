"""The host's program says what is wrong on a processor that lacks the vector instructions it was made for."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgebit.core import load_core
from edgebit.toolchain.base import host_arch, host_is_freestanding

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "digits" / "digits.onnx"


def test_a_lesser_processor_gets_a_sentence(edgebit: Callable[..., Any], tmp_path: Path) -> None:
    qemu = shutil.which("qemu-x86_64")
    if qemu is None or host_arch() != "x86_64" or not host_is_freestanding():
        pytest.skip("needs qemu-x86_64 on an x86-64 Linux machine")
    if "avx2" not in load_core("host").isa:
        pytest.skip("this processor has no AVX2, so nothing was made for it")
    edgebit("export", EXAMPLE, "-t", "host", "-o", tmp_path / "m", "--json")
    manifest = json.loads((tmp_path / "m" / "edgebit.json").read_text())
    assert any(d.startswith("EB_NEEDS_AVX") for d in manifest["build"]["defines"])
    elf = edgebit("build", tmp_path / "m", "--json").json["elf"]
    ran = subprocess.run([qemu, "-cpu", "qemu64", elf], input=b"", capture_output=True, timeout=60)
    assert ran.returncode == 1
    assert b"made for a processor with AVX2 or AVX-512 VNNI" in ran.stderr
    assert ran.stdout == b""
