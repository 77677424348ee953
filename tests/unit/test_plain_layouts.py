"""The plain layouts: bytes as documented, exact round trips, and damage noticed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from edgebit.errors import EdgebitError
from edgebit.layouts.base import layout_of, registry

TRITS = arrays(np.int8, array_shapes(min_dims=2, max_dims=2, max_side=23), elements=st.integers(-1, 1))


def test_t2_bytes_are_as_documented() -> None:
    trits = np.array([[-1, 0, 1, 1, -1], [1, 1, 1, 1, 1]], np.int8)
    # codes 0 1 2 2 | 0 and three padding codes 1; 2 2 2 2 | 2 1 1 1
    assert layout_of("t2").pack(trits) == bytes([0b10100100, 0b01010100, 0b10101010, 0b01010110])


@given(TRITS)
def test_t2_round_trip(trits: np.ndarray) -> None:
    layout = layout_of("t2")
    raw = layout.pack(trits)
    assert (layout.unpack(raw, *trits.shape) == trits).all()
    assert round(layout.bits_per_weight(*trits.shape) * trits.size) == 8 * len(raw)


FIXED = ("t2", "s8", "f32", "lut4", "e2", "e16")


def test_every_layout_packs_what_it_unpacks() -> None:
    rng = np.random.default_rng(0)
    for layout in registry().values():
        for shape in ((1, 1), (3, 5), (8, 16), (17, 70)):
            if layout.element == "trit":
                weights = rng.choice(np.array([-1, 0, 1], np.int8), shape)
            elif layout.element == "s8":
                weights = rng.integers(-128, 128, shape).astype(np.int8)
            else:
                weights = rng.normal(size=shape).astype(np.float32)
            if layout.limits(weights) is None:
                raw = layout.pack(weights)
                assert (layout.unpack(raw, *shape) == weights).all(), layout.name
                stated = layout.bits_per_weight(*shape) * weights.size
                # lists and code depend on the weights: what they state is the least they take
                assert 8 * len(raw) >= stated * (1 - 1e-9), layout.name
                if layout.name in FIXED:
                    assert 8 * len(raw) == pytest.approx(stated), layout.name


def test_damage_is_noticed() -> None:
    t2 = layout_of("t2")
    with pytest.raises(EdgebitError, match="code 3"):
        t2.unpack(b"\xff", 1, 4)
    with pytest.raises(EdgebitError, match="bytes"):
        t2.unpack(b"\x55\x55", 1, 4)
    with pytest.raises(EdgebitError, match="-1, 0"):
        t2.pack(np.full((1, 4), 2, np.int8))
    with pytest.raises(EdgebitError, match="no weight layout"):
        layout_of("nothing")
