"""The wait for slow flash: an estimate that the choice of kernels counts, and no reported figure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgebit.board import FlashWait, load_board
from edgebit.ir.graph import Affine, DType, Graph, Node, Quant, Tensor, TernaryWeights
from edgebit.plan.choice import rank
from edgebit.plan.kernels import candidates, waiting
from edgebit.plan.plan import make_plan


def layer(rows: int) -> Graph:
    rng = np.random.default_rng(1)
    g = Graph("one")
    g.tensors["x"] = Tensor("x", (rows, 640), DType.S8, Quant(0.05, 0))
    g.tensors["y"] = Tensor("y", (rows, 128), DType.F32)
    g.consts["w"] = TernaryWeights(rng.integers(-1, 2, (128, 640)).astype(np.int8), np.ones(1, np.float32))
    epilogue = Affine(scale=np.ones(128, np.float32), bias=None, corr=None)
    g.nodes.append(Node("dense", "fc", ["x", "w"], ["y"], {"epilogue": epilogue}))
    g.inputs, g.outputs = ["x"], ["y"]
    g.check()
    return g


def test_constants_that_fit_the_cache_are_read_once() -> None:
    wait = FlashWait(0.25, 16384)
    assert wait.cycles(1000, 1) == 4000
    assert wait.cycles(16384, 50) == 4 * 16384
    assert wait.cycles(16388, 50) == 4 * 16388 * 50


@pytest.mark.parametrize("rows", [1, 3])
def test_the_wait_changes_the_order_and_not_the_cost(rows: int) -> None:
    g, pico = layer(rows), load_board("pico")
    assert pico.flash_wait is not None
    found = candidates(g.nodes[0], g, pico.core)
    slow = waiting(found, g.nodes[0], g, pico)
    assert [c.cost for c in slow] == [c.cost for c in found]
    for c in slow:
        assert c.wait == pico.flash_wait.cycles(c.nbytes, rows)
    assert rank(slow, "speed")[0].wait == min(
        c.wait for c in slow
    )  # 2 bits a weight win where bytes cost most
    assert waiting(found, g.nodes[0], g, replace(pico, flash_wait=None)) == found
    fast = make_plan(g, pico.core, None, "speed").layers[0]
    here = make_plan(g, pico.core, pico, "speed").layers[0]
    assert fast.wait == 0 < here.wait
    assert fast.cost <= here.cost
    assert fast.lowered.bits_per_weight > here.lowered.bits_per_weight
