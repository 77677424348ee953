"""Modelled cycles of the inner loops that are ordered for the Cortex-A53, whatever compiled them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from edgebit.devices import cycles_mca

TOOL = Path(__file__).resolve().parents[1] / "tools" / "inorder_cycles.py"
GOALS = {"tmatvec_s8__neon_inorder_e16": 0.33, "tmatmat_s8__neon_inorder": 0.18}
"""Cycles a multiply-accumulate; the same sums as the A72's kernels make take 0.49 and 0.22 at best."""


@pytest.mark.skipif(not cycles_mca.available(), reason="llvm-mca 22 or later is not installed")
def test_every_compiler_keeps_the_order() -> None:
    done = subprocess.run(
        [sys.executable, TOOL, "cortex-a53", *GOALS], capture_output=True, text=True, check=True
    )
    found = re.findall(r"^(\w+) +(\w+):.*: ([\d.]+) cycles", done.stdout, re.MULTILINE)
    assert {(name, chain) for name, chain, _ in found} >= {(name, "zig") for name in GOALS}
    assert all(float(cycles) <= GOALS[name] for name, _, cycles in found), done.stdout


def test_a_core_without_a_model_is_refused() -> None:
    done = subprocess.run([sys.executable, TOOL, "cortex-a76"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert (
        done.stdout == "LLVM has no model of its own for Arm Cortex-A76; there are: cortex-a53, cortex-a72\n"
    )
