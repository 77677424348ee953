"""The prices kernels are chosen by, against counted core cycles (on Cortex-A, instructions): within 10 % for every layer
that counts.

Flash wait states are on neither side. Layers that cost little do not decide anything, and their price is mostly
the call: those below SMALL of an inference are held together, as one sum. Where float arithmetic is done by
library functions, its cost depends on the values (adding zero is cheap), so float layers get FLOAT_TOLERANCE on
boards without FPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgebit.bench.kernel_shapes import SHAPES
from edgebit.bench.kernels import count_plan
from edgebit.board import load_board
from edgebit.plan.kernels import Optimize, candidates
from edgebit.plan.plan import make_plan

ROOT = Path(__file__).resolve().parents[2]
BOARDS = ("pico", "nucleo-f446re")
NO_FPU = ("pico",)
TOLERANCE = 0.10
FLOAT_TOLERANCE = 0.35
SMALL = 0.005


@dataclass(frozen=True)
class Cost:
    """One layer: what it was predicted to cost, and what was counted (core cycles)."""

    name: str
    kernel: str
    predicted: float
    counted: float
    modelled: bool

    @property
    def off(self) -> float:
        return self.predicted / self.counted - 1

    def __str__(self) -> str:
        return (
            f"{self.name} ({self.kernel}): predicted {self.predicted:,.0f}, counted {self.counted:,.0f}, "
            f"{self.off:+.1%}"
        )


def tolerance(kernel: str, board: str) -> float:
    return FLOAT_TOLERANCE if board in NO_FPU and "_f32__" in kernel else TOLERANCE


def check(found: Iterable[Cost], board: str) -> None:
    """Every layer within its tolerance, the small ones together, and the sum of all."""
    rows = [c for c in found if c.counted]
    assert rows
    unpriced = sorted({c.kernel for c in rows if not c.modelled})
    assert not unpriced, f"{board}: the core's file has no price for {', '.join(unpriced)}"
    total = sum(c.counted for c in rows)
    small = [c for c in rows if c.counted < SMALL * total]
    wrong = [str(c) for c in rows if c not in small and abs(c.off) > tolerance(c.kernel, board)]
    assert not wrong, "\n".join(wrong)
    counted = sum(c.counted for c in small)
    assert abs(sum(c.predicted for c in small) - counted) <= max(SMALL * total, TOLERANCE * counted)
    assert abs(sum(c.predicted for c in rows) / total - 1) < TOLERANCE


@pytest.mark.parametrize("board", [*BOARDS, "rpi5", "rpi3"])
@pytest.mark.parametrize("example", ["digits", "gesture"])
def test_prices_of_trained_networks(
    example: str, board: str, edgebit: Callable[..., Any], tmp_path: Path
) -> None:
    """From what the verbs print, on a vector of the example's data."""
    model = ROOT / "examples" / example / f"{example}.onnx"
    data = model.with_name("test.npz")
    edgebit("export", model, "-t", board, "--vectors", data, "--limit", 1, "-o", tmp_path / "e", "--json")
    counted = edgebit("bench", tmp_path / "e", "--emulate", "--json").json
    assert counted["metric"] == load_board(board).core.metric
    check(
        (Cost(r["name"], r["kernel"], r["predicted"], r["value"], r["modelled"]) for r in counted["layers"]),
        board,
    )


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize(
    ("network", "optimize"),
    [("net-kws", "balanced"), ("net-ic", "balanced"), ("net-ad", "balanced"), ("net-vww", "speed")],
)
def test_prices_of_mlperf_tiny_networks(network: str, optimize: Optimize, board: str) -> None:
    """With random weights: costs depend on shapes, and on which trits are zero."""
    check_network(network, optimize, board, "modelled cycles")


@pytest.mark.parametrize("board", ["nucleo-f446re", "teensy-4.1", "pico2", "mps2-an385"])
@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ("sparse-conv3x3-64-64-8x8-90", "list8p"),
        ("sparse-fc-640x128-95", "list8"),
        ("conv1x1-64-64-25x5", "lut3b"),
    ],
)
def test_prices_of_lists_and_lookups(shape: str, layout: str, board: str) -> None:
    machine = load_board(board)
    graph = SHAPES[shape].make()
    stem = next(c.stem for c in candidates(graph.nodes[0], graph, machine.core) if c.lowered.layout == layout)
    plan = make_plan(graph, machine.core, machine, kernels={graph.nodes[0].name: stem})
    kind, [(counted, exact)] = count_plan(plan, machine, None)
    assert (kind, exact) == (machine.core.metric, True)
    only = plan.layers[0]
    check([Cost(only.node.name, stem, only.cost, counted, only.modelled)], board)


@pytest.mark.parametrize("board", ["rpi5", "rpi4", "rpi3"])
@pytest.mark.parametrize("network", ["net-kws", "net-ic", "net-ad", "net-vww"])
def test_prices_of_mlperf_tiny_networks_on_linux(network: str, board: str) -> None:
    check_network(network, "speed", board, "instructions")


def check_network(network: str, optimize: Optimize, board: str, metric: str) -> None:
    machine = load_board(board)
    plan = make_plan(SHAPES[network].make(), machine.core, machine, optimize=optimize)
    kind, counted = count_plan(plan, machine, None)
    assert kind == metric
    assert all(exact for _, exact in counted)
    rows = (
        Cost(p.node.name, p.lowered.kernel, p.cost, count, p.modelled)
        for p, (count, _) in zip(plan.layers, counted, strict=True)
    )
    check(rows, board)
