"""The C sampler draws the tokens of its NumPy mirror, and the mirror does what it says."""

from __future__ import annotations

import numpy as np
import pytest
from text_driver import Driver
from text_models import char_table

from edgebit.decoder.sampling import Rng, Sampling, sample, weights
from edgebit.errors import ModelError, UsageError
from edgebit.ir.graph import Array

NUMBERS_OF_SEED_42 = [0xA15C02B7, 0x7B47F409, 0xBA1D3330, 0x83D2F293, 0xBFA4784B, 0xCBED606E]
"""Of pcg32_srandom(42, 54), as the generator's reference program prints them."""


@pytest.fixture(scope="module")
def driver() -> Driver:
    return Driver(char_table('["a"]'))


def settings(rng: np.random.Generator) -> Sampling:
    return Sampling(
        temperature=float(rng.choice([0.0, 0.1, 0.7, 1.0, 1.5, 100.0, 1e-30, 1e30])),
        top_k=int(rng.choice([0, 1, 2, 5, 40, 128, 129, 300, 10**6])),
        top_p=float(rng.choice([1.0, 0.95, 0.5, 1e-9, 0.999999])),
        min_p=float(rng.choice([0.0, 0.0, 0.05, 0.5, 1.0])),
        repetition_penalty=float(rng.choice([1.0, 1.1, 2.0, 0.5])),
    )


def logits(rng: np.random.Generator) -> Array:
    n = int(rng.choice([1, 2, 3, 31, 32, 33, 257, 5000]))
    v = rng.normal(0, float(rng.choice([0.01, 1.0, 10.0, 1e30])), n).astype(np.float32)
    kind = rng.integers(4)
    if kind == 0:  # many ties, and both zeros
        v = np.round(v).astype(np.float32)
    elif kind == 1:
        v[rng.random(n) < 0.3] = -np.inf
        v[rng.integers(n)] = 1.0
    elif kind == 2:
        v[:] = v[0]
    return v


def test_the_generator_is_pcg32(driver: Driver) -> None:
    rng = Rng(42)
    assert [rng.next() for _ in NUMBERS_OF_SEED_42] == NUMBERS_OF_SEED_42
    assert driver.random(42, len(NUMBERS_OF_SEED_42)) == NUMBERS_OF_SEED_42


@pytest.mark.parametrize("seed", range(200))
def test_c_draws_the_tokens_of_numpy(driver: Driver, seed: int) -> None:
    rng = np.random.default_rng(seed)
    v, how = logits(rng), settings(rng)
    history = [int(i) for i in rng.integers(0, len(v) + 2, int(rng.integers(0, 40)))]
    key = int(rng.integers(0, 1 << 63))
    ours = Rng(key)
    expected = [sample(v, how, history, ours) for _ in range(20)]
    assert driver.sample(v, how, history, key, times=20) == expected


def test_greedy_takes_the_lowest_id_of_equals(driver: Driver) -> None:
    v = np.array([1, 3, 3, 2], np.float32)
    assert driver.sample(v, Sampling()) == [1]
    assert driver.sample(v, Sampling(repetition_penalty=2.0), history=[1, 1]) == [2]
    assert driver.sample(-v, Sampling(repetition_penalty=4.0), history=[0]) == [3]


def test_cuts_keep_what_they_say() -> None:
    v = np.log(np.array([0.4, 0.1, 0.3, 0.1, 0.1], np.float32))
    kept = lambda **how: np.flatnonzero(weights(v, Sampling(temperature=1.0, **how))[0]).tolist()  # noqa: E731
    assert kept() == [0, 1, 2, 3, 4]
    assert kept(top_k=3) == [0, 1, 2]  # the first of three equals
    assert kept(top_p=0.5) == [0, 2]
    assert kept(top_p=0.75) == [0, 1, 2]
    assert kept(top_p=0.01) == [0]
    assert kept(min_p=0.5) == [0, 2]
    assert kept(top_k=2, min_p=0.9) == [0]


def test_frequencies_are_those_of_softmax(driver: Driver) -> None:
    v = np.array([0.0, 1.0, 2.0, -1.0], np.float32)
    p = np.exp(v / 0.8) / np.exp(v / 0.8).sum()
    n = 40_000
    drawn = np.bincount(driver.sample(v, Sampling(temperature=0.8), seed=9, times=n), minlength=4)
    assert (np.abs(drawn / n - p) < 5 * np.sqrt(p * (1 - p) / n)).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_refused(driver: Driver, bad: float) -> None:
    v = np.array([0.0, bad], np.float32)
    for how in (Sampling(), Sampling(temperature=1.0)):
        assert driver.sample(v, how) == [-26]
        with pytest.raises(ModelError, match="not finite"):
            sample(v, how, (), Rng(0))
    assert driver.sample(np.array([-np.inf], np.float32), Sampling()) == [-26]


def test_settings_outside_their_range_are_refused(driver: Driver) -> None:
    for wrong in (
        {"temperature": -1.0},
        {"top_p": 0.0},
        {"min_p": 1.5},
        {"repetition_penalty": 0.0},
        {"top_p": np.nan},
    ):
        with pytest.raises(UsageError, match="must be"):
            Sampling(**wrong)
        how = Sampling()
        for name, value in wrong.items():
            object.__setattr__(how, name, value)
        assert driver.sample(np.zeros(3, np.float32), how) == [-25]
