"""Columns of trits that Armv6-M loads together and that share additions, and the code that is made of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebit.errors import EdgebitError
from edgebit.layouts import thumb_sums
from edgebit.layouts.code6m import Code6m
from edgebit.layouts.code6s import Code6s
from edgebit.layouts.column_groups import Plan, group_columns
from edgebit.layouts.strips import Strip
from edgebit.layouts.thumb_code import ROWS, Code
from edgebit.layouts.thumb_sums import add_group, groups_of, inputs_of


def trits_of(seed: int, rows: int, cols: int, zeros: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.choice(
        np.array([-1, 0, 1], np.int8), (rows, cols), p=[(1 - zeros) / 2, zeros, (1 - zeros) / 2]
    )


def in_order(trits: np.ndarray, most: int) -> int:
    """Instructions where nothing is shared: uses, negations for high registers, and loads of `most` words."""
    high = [i for i in range(len(trits)) if ROWS[i] >= 8]
    negated = int((trits[high] < 0).any(axis=0).sum())
    return int(np.count_nonzero(trits)) + negated + trits.shape[1] + -(-trits.shape[1] // most)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 11), st.integers(1, 50), st.sampled_from([0.0, 0.3, 0.5, 0.9]))
def test_plans_are_what_the_code_takes(seed: int, rows: int, cols: int, zeros: float) -> None:
    """Every column once and in order, what a load reaches, and as many instructions as are emitted."""
    every = trits_of(seed, rows, cols, zeros)
    wanted = np.flatnonzero(every.any(axis=0)).tolist()
    trits = np.ascontiguousarray(every[:, wanted])
    inputs = inputs_of(rows)
    plan = groups_of(trits, wanted)
    assert [g.first + i for g in plan.groups for i in range(g.count)] == list(range(len(wanted)))
    words = [wanted[g.first + g.count - 1] - wanted[g.first] + 1 for g in plan.groups]
    assert sum(words) == plan.inputs
    assert max(words, default=0) <= len(inputs)
    c, fresh = Code(wide=False), set(range(rows))
    for g in plan.groups:
        add_group(c, trits, g, [inputs[wanted[g.first + i] - wanted[g.first]] for i in range(g.count)], fresh)
    assert len(c.words) == plan.adds
    if len(wanted) == cols:
        assert plan.adds + plan.inputs + len(plan.groups) <= in_order(trits, len(inputs))


def test_groups_save_of_usual_weights() -> None:
    for rows in (10, 11):
        trits = trits_of(rows, rows, 128, 0.5)
        plan = groups_of(trits, range(128))
        made = plan.adds + plan.inputs + len(plan.groups)
        assert made < 0.94 * in_order(trits, len(inputs_of(rows)))
    assert groups_of(np.zeros((4, 0), np.int8), []) == Plan((), 0, 0)


def test_work_counts_the_instructions_of_the_code() -> None:
    trits = trits_of(3, 11, 31, 0.4)
    words = np.frombuffer(Code6m().pack(trits), "<u2").tolist()
    body = words[words.index(0x9800) + 1 :]  # after the address of the pair's first input
    start = next(i for i, h in enumerate(body) if h >> 11 == 0b11001)
    count = next(i for i, h in enumerate(body[start:]) if h >> 11 == 0b10010)  # it is put away again
    made = body[start : start + count]
    work = Code6m().work(trits)
    loads = [h for h in made if h >> 11 == 0b11001]
    moves = sum(h >> 11 == 0b00110 for h in made)  # past columns of zeros, and to the next pair
    assert len(loads) == work["load"]
    assert sum((h & 0xFF).bit_count() for h in loads) == work["input"]
    assert len(made) - len(loads) - moves == work["add"]


@pytest.mark.parametrize(
    "strip", [Strip(3, 3, 16, 16, 16), Strip(2, 3, 4, 600, 600), Strip(1, 2, 1, 1, 2), Strip(2, 2, 3, 6, 3)]
)
@pytest.mark.parametrize("zeros", [0.0, 0.5, 0.9])
def test_strips_are_read_back(strip: Strip, zeros: float) -> None:
    trits = trits_of(7, 13, strip.cols, zeros)
    layout = Code6s()
    assert (layout.unpack_strip(layout.pack_strip(trits, strip), 13, strip) == trits).all()


def test_a_sum_of_the_wrong_sign_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader follows what registers hold: a plan that promises what they cannot give is no matrix, or another."""
    trits = np.ones((11, 2), np.int8)
    assert (Code6m().unpack(Code6m().pack(trits), 11, 2) == trits).all()

    def wrong(*arguments: Any) -> Plan:
        plan = group_columns(*arguments)
        return replace(plan, groups=tuple(replace(g, sum=-g.sum) for g in plan.groups))

    monkeypatch.setattr(thumb_sums, "group_columns", wrong)
    with pytest.raises((EdgebitError, AssertionError)):
        assert (Code6m().unpack(Code6m().pack(trits), 11, 2) == trits).all()
