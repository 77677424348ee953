"""Requantisation: the proven bound holds in exact arithmetic, and results are within one step of rounding."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebit.errors import ModelError
from edgebit.ir.graph import Requant
from edgebit.ops.requant import check_requant, make_requant, requant_error, requantise


def probes(bound: int, scale: float, bias: float, qmin: int, qmax: int) -> list[int]:
    """Accumulators at both ends, round zero, and round every output threshold."""
    near = {0, 1, -1, bound, -bound, bound - 1, 1 - bound, bound // 2}
    if scale != 0:
        for q in range(qmin - 1, qmax + 2, 3):
            a = round((q + 0.5 - bias) / scale) if abs((q + 0.5 - bias) / scale) < 2**40 else 0
            near |= {a - 1, a, a + 1}
    return sorted(a for a in near if -bound <= a <= bound)


@settings(max_examples=80, deadline=None)
@given(
    bound=st.integers(0, 2**27),
    spread=st.floats(1e-3, 3e4),
    sign=st.sampled_from([-1.0, 0.0, 1.0]),
    bias=st.floats(-400, 400),
    rails=st.sampled_from([(-128, 127), (0, 127), (-7, -7), (-128, -1)]),
)
def test_bound_and_rounding(
    bound: int, spread: float, sign: float, bias: float, rails: tuple[int, int]
) -> None:
    scale = sign * spread / max(bound, 1)
    if abs(scale) > 30000:
        return
    r = make_requant([scale], [bias], [bound], *rails)
    error = float(requant_error(r, [scale], [bias], [bound])[0])
    assert error < 0.5
    assert check_requant(r, [bound], 1) is None
    mul, add, shift = int(r.mul[0]), int(r.add[0]), int(r.shift[0])
    accs = probes(bound, scale, bias, *rails)
    have = requantise(np.array(accs, np.int32)[:, None], r)[:, 0]
    for acc, q in zip(accs, have.tolist(), strict=True):
        real = Fraction(scale) * acc + Fraction(bias)
        want = min(max(round(real), rails[0]), rails[1])
        assert abs(q - want) <= 1
        t = (acc + ((1 << r.pre_shift) >> 1)) >> r.pre_shift
        assert abs(t * mul + add) < 2**31
        if rails[0] - 1 <= real <= rails[1] + 1 and mul != 0:
            v = Fraction(t * mul + add - ((1 << shift) >> 1), 1 << shift)
            assert abs(v - real) <= error


def test_typical_layers_are_far_from_half_a_step() -> None:
    rng = np.random.default_rng(0)
    for k in (9, 64, 576, 4096, 100000):
        bound = np.full(64, k * 128)
        scale = rng.uniform(0.3, 3, 64) / (np.sqrt(k) * 40) * rng.choice([-1, 1], 64)
        bias = rng.uniform(-100, 100, 64)
        r = make_requant(scale, bias, bound)
        assert requant_error(r, scale, bias, bound).max() < 0.05


def test_constant_and_saturated_channels() -> None:
    scale, bias, bound = [0.0, 1e-9, 1.0, -1.0], [5.4, 1e12, -1e6, 3e9], [1000] * 4
    r = make_requant(scale, bias, bound, -100, 100)
    acc = np.array([[-1000] * 4, [0] * 4, [1000] * 4], np.int32)
    assert requantise(acc, r).tolist() == [[5, 100, -100, 100]] * 3


def test_impossible_multipliers_are_refused() -> None:
    with pytest.raises(ModelError, match="half a step"):
        make_requant([1e6], [0.0], [1000])
    with pytest.raises(ModelError, match="finite"):
        make_requant([float("nan")], [0.0], [1000])


def test_a_wrong_multiplier_is_not_proven() -> None:
    r = make_requant([0.01], [0.0], [10000])
    wrong = Requant(r.mul + r.mul // 50, r.add, r.shift, r.pre_shift)
    assert requant_error(wrong, [0.01], [0.0], [10000])[0] > 0.5
    overflowing = Requant(r.mul, np.array([2**31 - 1]), r.shift, r.pre_shift)
    assert np.isinf(requant_error(overflowing, [0.01], [0.0], [10000])[0])
