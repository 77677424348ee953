"""Columns of trits that share additions, and the code that is made of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebit.errors import EdgebitError
from edgebit.layouts.code7m import Code7m
from edgebit.layouts.code7s import Code7s
from edgebit.layouts.column_pairs import WINDOW, pair_columns
from edgebit.layouts.strips import Strip
from edgebit.layouts.thumb_code import Code

ADDS = {0x1800, 0x1A00, 0x4400}  # adds, subs, add


def trits_of(seed: int, rows: int, cols: int, zeros: float = 0.5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.choice(
        np.array([-1, 0, 1], np.int8), (rows, cols), p=[(1 - zeros) / 2, zeros, (1 - zeros) / 2]
    )


def additions(trits: np.ndarray, loads: tuple[tuple[int, ...], ...]) -> int:
    """What the rows take, counted from the definition: a sum used twice or more is made once."""
    total = 0
    for columns in loads:
        part = trits[:, columns].astype(int)
        product = part.prod(axis=1) if len(columns) == 2 else np.zeros(len(part), int)
        total += int(np.count_nonzero(part))
        for sign in (1, -1):
            total -= max(0, int((product == sign).sum()) - 1)
    return total


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 11), st.integers(1, 60), st.sampled_from([0.0, 0.3, 0.5, 0.9]))
def test_every_column_is_loaded_once(seed: int, rows: int, cols: int, zeros: float) -> None:
    trits = trits_of(seed, rows, cols, zeros)
    groups = tuple(k // 20 for k in range(cols))
    found = pair_columns(trits, groups)
    if not found.loads:
        assert found.saved == 0
        return
    assert sorted(k for load in found.loads for k in load) == np.flatnonzero(trits.any(axis=0)).tolist()
    assert all(len({groups[k] for k in load}) == 1 for load in found.loads)
    assert [groups[load[0]] for load in found.loads] == sorted(groups[load[0]] for load in found.loads)
    assert np.count_nonzero(trits) - found.saved == additions(trits, found.loads)


def test_pairs_save_a_quarter_of_the_additions_of_usual_weights() -> None:
    trits = trits_of(0, 11, 128)
    assert pair_columns(trits, (0,) * 128).saved > 0.24 * np.count_nonzero(trits)
    assert not pair_columns(trits_of(1, 11, 128, 0.95), (0,) * 128).loads  # few zeros: columns in order


def test_work_counts_the_instructions_of_the_code() -> None:
    """Additions of one pair of pixels, in the code as it is; what else adds is known."""
    trits = trits_of(3, 11, 40)
    raw = Code7m().pack(trits)
    words = np.frombuffer(raw, "<u2").tolist()
    found = at = 0
    while at < len(words):
        h = words[at]
        wide = h >> 11 in (0b11101, 0b11110, 0b11111)
        found += h & 0xFE00 in ADDS or h & 0xFF00 == 0x4400 or h >> 4 == 0xEBA or h >> 4 == 0xF1C
        found += h >> 6 == 0b0100001001 or h >> 8 == 0x46  # a row's first input: neg, mov
        at += 2 if wide else 1
    assert found - 1 == Code7m().work(trits)["add"]  # one moves on to the next segment


@pytest.mark.parametrize("cols", [WINDOW - 1, WINDOW + 1, 2 * WINDOW + 3])
def test_wide_rows_are_read_back(cols: int) -> None:
    trits = trits_of(cols, 4, cols, 0.3)
    assert (Code7m().unpack(Code7m().pack(trits), 4, cols) == trits).all()


@pytest.mark.parametrize("strip", [Strip(3, 3, 16, 16, 16), Strip(2, 3, 4, 600, 600), Strip(1, 2, 1, 1, 2)])
def test_strips_are_read_back(strip: Strip) -> None:
    trits = trits_of(7, 13, strip.cols, 0.3)
    layout = Code7s()
    assert (layout.unpack_strip(layout.pack_strip(trits, strip), 13, strip) == trits).all()
    assert layout.work_strip(trits, strip)["add"] <= np.count_nonzero(trits)


def test_a_doubled_input_cannot_pass_for_a_trit() -> None:
    """The reader knows what the second operand's shift means."""
    trits = np.ones((11, 2), np.int8)
    trits[:5, 1] = -1
    raw = Code7m().pack(trits)
    twice = np.array([0xEBA1, 0x0142], "<u2").tobytes()  # sub r1, r1, r2, lsl #1
    assert twice in raw
    once = np.array([0xEBA1, 0x0102], "<u2").tobytes()
    with pytest.raises((EdgebitError, AssertionError)):
        assert (Code7m().unpack(raw.replace(twice, once), 11, 2) == trits).all()


def test_loads_that_no_instruction_holds_are_refused() -> None:
    with pytest.raises(EdgebitError, match="4096 bytes away"):
        Code(wide=True).load_at(1, 4096)
