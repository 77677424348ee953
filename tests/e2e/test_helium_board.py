"""The digits example on an emulated Cortex-M55: exported, built by both compilers, bit for bit the reference."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgebit.core import load_core
from edgebit.resources import data_dir
from edgebit.toolchain.base import find_toolchain

MODEL = data_dir("examples") / "digits" / "digits.onnx"


@pytest.mark.parametrize("chain", ["zig", "gcc"])
def test_digits_on_the_m55(chain: str, edgebit: Callable[..., Any], tmp_path: Path) -> None:
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not installed")
    prefix = load_core("cortex-m55").gcc["prefix"]
    if chain == "gcc" and shutil.which(f"{prefix}gcc") is None:
        pytest.skip(f"{prefix}gcc is not installed")
    assert find_toolchain(chain).name == chain
    out = tmp_path / "digits"
    edgebit("export", MODEL, "--target", "mps3-an547", "-o", out, "--json")
    layers = json.loads((out / "edgebit.json").read_text())["layers"]
    assert any("__mve" in row["kernel"] for row in layers)
    edgebit("build", out, "--toolchain", chain, "--json")
    found = edgebit("verify", out, "--board", "mps3-an547", "--emulate=qemu", "--json").json
    assert found["bit_exact"] is True
    assert found["vectors"] >= 2
