"""The arena planner against brute force: every plan is valid, and small ones are optimal."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebit.ir.graph import GraphError
from edgebit.plan.arena import ALIGN, ArenaPlan, Block, Reuse, align_up, plan_arena


def assert_valid(blocks: Sequence[Block], reuses: Sequence[Reuse], plan: ArenaPlan) -> None:
    """Simulate: at every step each byte belongs to one live block, save where a reuse allows more."""
    allowed = {(r.below, r.above): r.distance for r in reuses}
    for b in blocks:
        off = plan.offsets[b.name]
        assert off % ALIGN == 0
        assert off >= 0
        assert off + b.size <= plan.nbytes
    for t in range(max((b.end for b in blocks), default=0) + 1):
        live = [b for b in blocks if b.start <= t <= b.end]
        for a, b in itertools.combinations(live, 2):
            ao, bo = plan.offsets[a.name], plan.offsets[b.name]
            if ao + a.size <= bo or bo + b.size <= ao:
                continue
            first, second = (a, b) if (a.name, b.name) in allowed else (b, a)
            d = allowed.get((first.name, second.name))
            assert d is not None, f"{a} and {b} share bytes"
            assert first.start == second.end == t
            assert plan.offsets[first.name] <= plan.offsets[second.name] + d


def best_by_force(blocks: Sequence[Block], reuses: Sequence[Reuse], bound: int) -> int:
    """The smallest arena, by trying every offset of every block (tiny instances only)."""
    allowed = {(r.below, r.above): r.distance for r in reuses}

    def fits(a: Block, ao: int, b: Block, bo: int) -> bool:
        if a.end < b.start or b.end < a.start or ao + a.size <= bo or bo + b.size <= ao:
            return True
        if (a.name, b.name) in allowed:
            return ao <= bo + allowed[a.name, b.name]
        if (b.name, a.name) in allowed:
            return bo <= ao + allowed[b.name, a.name]
        return False

    def place(i: int, placed: list[int], height: int) -> bool:
        if i == len(blocks):
            return True
        for off in range(0, height - blocks[i].size + 1, ALIGN):
            if all(fits(blocks[i], off, blocks[j], placed[j]) for j in range(i)) and place(
                i + 1, [*placed, off], height
            ):
                return True
        return False

    height = bound
    while not place(0, [], height):
        height += ALIGN
    return height


@st.composite
def problems(draw: st.DrawFn, most: int, steps: int, units: int) -> tuple[list[Block], list[Reuse]]:
    n = draw(st.integers(1, most))
    blocks = []
    for i in range(n):
        start = draw(st.integers(0, steps - 1))
        end = draw(st.integers(start, steps - 1))
        blocks.append(Block(f"b{i}", draw(st.integers(1, units * ALIGN)), start, end))
    reuses = []
    for o in blocks:
        mates = [b for b in blocks if b.end == o.start and b.start < o.start]
        if mates and not any(r.below == o.name for r in reuses):
            for m in mates:
                if draw(st.booleans()):
                    reuses.append(Reuse.of(o.name, m.name, draw(st.integers(-4 * ALIGN, 40))))
    return blocks, reuses


@settings(max_examples=100, deadline=None)
@given(problems(most=14, steps=8, units=9))
def test_plans_are_valid_and_not_below_the_bound(problem: tuple[list[Block], list[Reuse]]) -> None:
    blocks, reuses = problem
    plan = plan_arena(blocks, reuses)
    assert_valid(blocks, reuses, plan)
    assert plan.lower_bound <= plan.nbytes <= sum(b.size for b in blocks)
    assert plan.nbytes == max(plan.offsets[b.name] + b.size for b in blocks)
    assert plan == plan_arena(blocks, reuses), "planning must be deterministic"


@settings(max_examples=100, deadline=None)
@given(problems(most=6, steps=5, units=4))
def test_small_plans_are_optimal(problem: tuple[list[Block], list[Reuse]]) -> None:
    blocks, reuses = problem
    plan = plan_arena(blocks, reuses)
    assert plan.optimal
    assert plan.nbytes == best_by_force(blocks, reuses, plan.lower_bound)


@settings(max_examples=50, deadline=None)
@given(problems(most=16, steps=8, units=30))
def test_a_search_cut_short_is_still_valid(problem: tuple[list[Block], list[Reuse]]) -> None:
    blocks, reuses = problem
    plan = plan_arena(blocks, reuses, search_work=3)
    assert_valid(blocks, reuses, plan)
    assert plan.optimal or plan.gap > 0


def test_a_chain_in_place_needs_only_its_largest_block() -> None:
    blocks = [Block("x", 100, 0, 0), Block("y", 64, 0, 1), Block("z", 90, 1, 2)]
    plan = plan_arena(blocks, [Reuse("y", "x", 0), Reuse("z", "y", 0)])
    assert plan.nbytes == plan.lower_bound == align_up(100)
    assert plan.optimal
    assert plan.gap == 0


def test_a_negative_distance_costs_exactly_that_much() -> None:
    blocks = [Block("x", 160, 0, 0), Block("y", 160, 0, 1)]
    plan = plan_arena(blocks, [Reuse.of("y", "x", -17)])
    assert plan.nbytes == plan.lower_bound == 160 + 32
    assert plan.offsets == {"x": 32, "y": 0}


def test_two_dying_inputs_share_one_output() -> None:
    blocks = [Block("a", 32, 0, 1), Block("b", 32, 0, 1), Block("y", 64, 1, 2)]
    plan = plan_arena(blocks, [Reuse("y", "a", 0), Reuse("y", "b", -32)])
    assert plan.nbytes == plan.lower_bound == 64


def test_the_search_beats_the_greedy_orders() -> None:
    """A fragmentation puzzle in which no greedy order reaches the optimum the search finds."""
    blocks = [
        Block("a", 3 * ALIGN, 0, 1),
        Block("b", 2 * ALIGN, 0, 3),
        Block("c", 4 * ALIGN, 2, 3),
        Block("d", 1 * ALIGN, 1, 2),
        Block("e", 3 * ALIGN, 4, 5),
        Block("f", 2 * ALIGN, 3, 4),
        Block("g", 3 * ALIGN, 2, 5),
    ]
    plan = plan_arena(blocks)
    assert plan.optimal
    assert_valid(blocks, [], plan)


def test_nothing_needs_no_arena() -> None:
    plan = plan_arena([])
    assert (plan.nbytes, plan.lower_bound, plan.optimal) == (0, 0, True)


def test_bad_problems_are_refused() -> None:
    a, b = Block("a", 16, 0, 1), Block("b", 16, 1, 2)
    with pytest.raises(GraphError, match="one name"):
        plan_arena([a, a])
    with pytest.raises(GraphError, match="ends before"):
        plan_arena([Block("a", 16, 2, 1)])
    with pytest.raises(GraphError, match="not well formed"):
        plan_arena([a, b], [Reuse("a", "b", 0)])
    with pytest.raises(GraphError, match="not well formed"):
        plan_arena([a, b], [Reuse("b", "a", -8)])
