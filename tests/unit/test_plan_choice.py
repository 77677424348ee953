"""Which kernel each layer gets, in networks of random and of real candidates."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest

from edgebit.bench.kernel_shapes import SHAPES, layer
from edgebit.board import load_board
from edgebit.core import load_core
from edgebit.ops.base import CConst, KernelChoice, Lowered
from edgebit.plan.account import fit
from edgebit.plan.choice import choose, rank, rank_all
from edgebit.plan.kernels import Candidate, candidates
from edgebit.plan.plan import make_plan


def candidate(name: str, cost: float, nbytes: int) -> Candidate:
    weights = CConst("w", "uint8_t", bytes(nbytes))
    return Candidate(KernelChoice(name), Lowered(name, (name,), (0,), (weights,)), cost, modelled=True)


def network(rng: np.random.Generator, layers: int) -> list[list[Candidate]]:
    """Candidates without rhyme or reason; costs and bytes of layers differ by orders of magnitude."""
    found = []
    for i in range(layers):
        size = 10 ** rng.uniform(1, 3)
        found.append(
            [
                candidate(f"k{i}_{k}", float(size * rng.integers(1, 40)), int(size * rng.integers(1, 40)))
                for k in range(rng.integers(1, 6))
            ]
        )
    return found


def figure(taken: Sequence[Candidate], beside: int) -> float:
    return sum(c.price for c in taken) * (beside + sum(c.nbytes for c in taken))


def test_balanced_finds_the_least_cost_times_flash() -> None:
    """Of all combinations there are."""
    rng = np.random.default_rng(1)
    differ = 0
    for _ in range(300):
        layers, beside = network(rng, int(rng.integers(1, 6))), int(rng.integers(0, 20000))
        taken = [r[0] for r in rank_all(layers, "balanced", lambda _, b=beside: b)]
        least = min(figure(t, beside) for t in product(*layers))
        assert figure(taken, beside) == pytest.approx(least, rel=1e-12)
        alone = [min(found, key=lambda c: c.price * max(1, c.nbytes)) for found in layers]
        differ += figure(alone, beside) > 1.001 * least
    assert differ > 100, "layers one by one find it, too: the samples prove nothing"


def test_code_that_a_kernel_brings_counts() -> None:
    """A fast kernel whose driver is larger than what it saves is left alone, until many layers share it."""
    plain, fast = candidate("plain", 1000.0, 1000), candidate("fast", 500.0, 1200)

    def program(taken: Sequence[Candidate]) -> int:
        return 500 + (3000 if any(c.stem == "fast" for c in taken) else 0)

    for count, stem in ((1, "plain"), (2, "plain"), (5, "fast")):
        ranked = rank_all([[plain, fast]] * count, "balanced", program)
        assert [r[0].stem for r in ranked] == [stem] * count


@pytest.mark.parametrize("layers", [[], [[candidate("only", 0.0, 0)]], [[candidate("only", 5.0, 7)]] * 3])
def test_nothing_to_choose(layers: list[list[Candidate]]) -> None:
    assert rank_all(layers, "balanced", lambda _: 0) == layers


def test_the_goals_order_candidates_as_they_say() -> None:
    g = layer("dense", (1, 400), (64, 400), {})
    found = candidates(g.nodes[0], g, load_core("cortex-m0plus"))
    assert rank(found, "speed")[0].cost == min(c.cost for c in found)
    assert rank(found, "size")[0].nbytes == min(c.nbytes for c in found)
    for worth in (0.1, 10.0, 1000.0):
        best = rank(found, "balanced", worth)[0]
        assert best.cost + worth * best.nbytes == min(c.cost + worth * c.nbytes for c in found)


def test_a_flash_budget_trades_speed_for_size() -> None:
    g = layer("dense", (1, 400), (64, 400), {})
    found = candidates(g.nodes[0], g, load_core("cortex-a76"))
    smallest = min(c.nbytes for c in found)
    ranked = rank(found, "speed")
    fastest = ranked[0]
    assert fastest.nbytes > smallest, "no candidate trades size for speed any more: choose another layer"
    (free, runner_up), (second, _) = choose([ranked, ranked])
    assert free is second is fastest
    assert runner_up is not None
    assert runner_up is not free
    tight = choose([ranked, ranked], fastest.nbytes + smallest)
    assert sum(c.nbytes for c, _ in tight) <= fastest.nbytes + smallest
    squeezed = choose([ranked, ranked], 1)
    assert [c.nbytes for c, _ in squeezed] == [smallest, smallest]


@pytest.mark.parametrize("board", ["nucleo-f446re", "nucleo-g0b1re", "mps2-an385"])
@pytest.mark.parametrize("network", ["net-kws", "net-ic"])
def test_balanced_lies_between_size_and_speed(board: str, network: str) -> None:
    """Of whole programs: not slower than size, not larger than speed, and a better product than either."""
    b, g = load_board(board), SHAPES[network].make()
    figures = {}
    for mode in ("size", "balanced", "speed"):
        plan = make_plan(g, b.core, b, optimize=mode)  # type: ignore[arg-type]
        flash = fit(plan).used("FLASH")
        figures[mode] = (plan.cost + sum(p.wait for p in plan.layers), flash)
    costs, sizes = zip(*figures.values(), strict=True)
    assert list(costs) == sorted(costs, reverse=True)
    assert list(sizes) == sorted(sizes)
    products = {m: c * n for m, (c, n) in figures.items()}
    assert min(products, key=lambda m: products[m]) == "balanced"
