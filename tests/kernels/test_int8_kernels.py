"""Each fast int8 product, in an emulated core, against NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from check_runner import Kernel, Machine, build, kernels
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qemu_machine import QemuMachine, close, open_machine

from edgebit.errors import EdgebitError
from edgebit.layouts.base import layout_of, round_up

CORES = ("cortex-m0plus", "cortex-m4f", "cortex-m33", "cortex-m55", "cortex-a76")
GUARD = bytes(range(64, 128))
S8 = npt.NDArray[np.int8]
Loaded = tuple[Machine | QemuMachine, list[Kernel]]


def open_all(families: Sequence[str], folder: Path) -> Iterator[Callable[[str], Loaded]]:
    """Cores with all kernels of some families, each opened when it is first asked for."""
    images: dict[str, Loaded] = {}

    def of(core: str) -> Loaded:
        if core not in images:
            found = [k for f in families for k in kernels(core, f)]
            images[core] = open_machine(core, [k.path for k in found], folder), found
        return images[core]

    yield of
    close(*(m for m, _ in images.values()))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Loaded]]:
    yield from open_all(["matvec_s8"], tmp_path_factory.mktemp("int8"))


def agrees(m: Machine | QemuMachine, k: Kernel, w: S8, x: S8) -> None:
    """The kernel's sums are NumPy's; it writes only its accumulators and scratch."""
    rows, cols = w.shape
    layout = layout_of(k.layout)
    m.reset()
    high = round_up(rows, layout.row_multiple)
    size = layout.scratch(k.symbol.removeprefix("eb_"), rows, cols)
    inputs = x.tobytes() + b"\x7f" * (round_up(cols, 16) - cols)
    weights = m.place(layout.pack(w), GUARD, GUARD)
    xs = m.place(inputs, GUARD, GUARD)
    acc = m.place(b"\x5a" * 4 * high, GUARD, GUARD)
    scratch = m.place(b"\xc3" * size, GUARD, GUARD)
    m.call(k.symbol, weights, xs, acc, rows, cols, scratch if size else 0)
    for at, n in ((xs, len(inputs)), (acc, 4 * high), (scratch, size)):
        assert m.read(at - len(GUARD), len(GUARD)) == GUARD, "wrote before a buffer"
        assert m.read(at + n, len(GUARD)) == GUARD, "wrote past a buffer"
    assert m.read(xs, len(inputs)) == inputs
    got = np.frombuffer(m.read(acc, 4 * rows), np.int32)
    np.testing.assert_array_equal(got, w.astype(np.int64) @ x.astype(np.int64), k.symbol)


@pytest.mark.parametrize("core", CORES)
def test_int8_products_equal_numpy(core: str, loaded: Callable[[str], Loaded]) -> None:
    machine, found = loaded(core)

    @settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(1, 14), st.integers(1, 150), st.integers(0, 2**32 - 1), st.sampled_from("rme"))
    def check(rows: int, cols: int, seed: int, kind: str) -> None:
        rng = np.random.default_rng(seed)
        draw = {"r": np.arange(-128, 128), "m": np.array([-128, 127]), "e": np.array([-128])}[kind]
        w, x = rng.choice(draw, (rows, cols)).astype(np.int8), rng.choice(draw, cols).astype(np.int8)
        for k in found:
            agrees(machine, k, w, x)

    check()


@pytest.mark.parametrize("core", CORES[:2])
@pytest.mark.parametrize(("weight", "value"), [(-128, -128), (127, -128), (-128, 127), (127, 127)])
def test_the_largest_sums(core: str, weight: int, value: int, loaded: Callable[[str], Loaded]) -> None:
    """As wide as the family's 32-bit sums and the layouts allow."""
    machine, found = loaded(core)
    for k in found[:1]:
        w = np.full((4, 65536), weight, np.int8)
        assert layout_of(k.layout).limits(w) is None
        agrees(machine, k, w, np.full(65536, value, np.int8))
    assert layout_of("s8c4").limits(np.zeros((1, 65537), np.int8)) is not None


@pytest.mark.parametrize("name", ["s8b4", "s8c4", "s8r4"])
@settings(max_examples=40, deadline=None, database=None)
@given(rows=st.integers(1, 13), cols=st.integers(1, 60), seed=st.integers(0, 2**32 - 1))
def test_int8_layouts_round_trip(name: str, rows: int, cols: int, seed: int) -> None:
    w = np.random.default_rng(seed).integers(-128, 128, (rows, cols)).astype(np.int8)
    layout = layout_of(name)
    raw = layout.pack(w)
    np.testing.assert_array_equal(layout.unpack(raw, rows, cols), w)
    assert layout.bits_per_weight(rows, cols) == pytest.approx(8 * len(raw) / w.size)
    for bad in (raw[:-1], raw + bytes(4)):
        with pytest.raises(EdgebitError):
            layout.unpack(bad, rows, cols)
    with pytest.raises(EdgebitError):
        layout.pack(w.astype(np.int16))


@pytest.mark.parametrize(("core", "most"), [("cortex-m0plus", 3.8), ("cortex-m4f", 1.56)])
def test_int8_products_stay_fast(core: str, most: float, tmp_path: Path) -> None:
    """Executed instructions for a weight of a 64 x 256 product."""
    k = kernels(core, "matvec_s8")[0]
    machine = Machine(core, build(core, [k.path], tmp_path / "k.elf", k.symbol))
    machine.count_instructions()
    rng = np.random.default_rng(8)
    w, x = (rng.integers(-128, 128, shape).astype(np.int8) for shape in ((64, 256), 256))
    agrees(machine, k, w, x)
    assert machine.instructions is not None
    assert machine.instructions / w.size < most


@pytest.fixture(scope="module")
def depthwise(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Loaded]]:
    yield from open_all(["dwconv_t_s8", "dwconv_s8"], tmp_path_factory.mktemp("depthwise"))


def agrees_depthwise(m: Machine | QemuMachine, k: Kernel, w: S8, x: S8) -> None:
    """w (taps, channels * multiplier), x (taps, channels): the kernel's sums are NumPy's."""
    (taps, outs), channels = w.shape, x.shape[1]
    m.reset()
    weights = m.place(layout_of(k.layout).pack(w), GUARD, GUARD)
    order = np.random.default_rng(taps).permutation(taps)  # taps lie anywhere in memory
    base = m.place(np.ascontiguousarray(x[order]).tobytes(), GUARD, GUARD)
    at = np.empty(taps, np.uint64 if m.a64 else np.uint32)
    at[order] = base + channels * np.arange(taps)
    pointers = m.place(at.tobytes(), GUARD, GUARD)
    acc = m.place(b"\x5a" * 4 * outs, GUARD, GUARD)
    m.call(k.symbol, weights, pointers, acc, taps, channels, outs // channels)
    assert m.read(acc - len(GUARD), len(GUARD)) == GUARD, "wrote before acc"
    assert m.read(acc + 4 * outs, len(GUARD)) == GUARD, "wrote past acc"
    got = np.frombuffer(m.read(acc, 4 * outs), np.int32)
    want = (w.astype(np.int64) * np.repeat(x, outs // channels, axis=1)).sum(axis=0)
    np.testing.assert_array_equal(got, want, k.symbol)


@pytest.mark.parametrize("core", CORES)
def test_depthwise_products_equal_numpy(core: str, depthwise: Callable[[str], Loaded]) -> None:
    machine, found = depthwise(core)

    @settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(
        st.integers(1, 28), st.integers(1, 17), st.integers(1, 3), st.integers(0, 2**32 - 1), st.booleans()
    )
    def check(taps: int, channels: int, multiplier: int, seed: int, extreme: bool) -> None:
        rng = np.random.default_rng(seed)
        channels = 4 * channels if seed & 1 else channels
        multiplier = 1 if seed & 2 else multiplier
        for k in found:
            low, high = (-1, 1) if k.family == "dwconv_t_s8" else (-128, 127)
            draw = rng.choice([low, high], 2) if extreme else np.arange(low, high + 1)
            values = rng.choice([-128, 127], 2) if extreme else np.arange(-128, 128)
            w = rng.choice(draw, (taps, channels * multiplier)).astype(np.int8)
            agrees_depthwise(machine, k, w, rng.choice(values, (taps, channels)).astype(np.int8))

    check()


@pytest.mark.parametrize("value", [127, -128])
@pytest.mark.parametrize("trit", [1, -1])
@pytest.mark.parametrize(
    ("core", "name", "taps", "tap_most", "sum_most"),
    [("cortex-m0plus", "dwmask4", 257, 255, 2**16), ("cortex-m4f", "dwmask4", 257, 255, 2**16),
     ("cortex-a76", "dwbytes", 255, 128, 2**15)],
)  # fmt: skip
def test_halves_hold_at_their_limit(
    core: str, name: str, taps: int, tap_most: int, sum_most: int, trit: int, value: int,
    depthwise: Callable[[str], Loaded],
) -> None:  # fmt: skip
    """Sums of 16 bits take the most taps that the layout takes, and one more would not fit."""
    machine, found = depthwise(core)
    layout = layout_of(name)
    most = np.full((taps, 40), trit, np.int8)
    assert layout.limits(most) is None
    assert layout.limits(np.full((taps + 1, 40), trit, np.int8)) is not None
    assert tap_most * taps < sum_most <= tap_most * (taps + 1)
    k = next(k for k in found if k.layout == name)
    agrees_depthwise(machine, k, most, np.full((taps, 40), value, np.int8))


@pytest.mark.parametrize("name", ["dwbytes", "dwmask4"])
@settings(max_examples=40, deadline=None, database=None)
@given(taps=st.integers(1, 30), cols=st.integers(1, 20), seed=st.integers(0, 2**32 - 1))
def test_depthwise_layouts_round_trip(name: str, taps: int, cols: int, seed: int) -> None:
    trits = np.random.default_rng(seed).integers(-1, 2, (taps, cols)).astype(np.int8)
    layout = layout_of(name)
    raw = layout.pack(trits)
    np.testing.assert_array_equal(layout.unpack(raw, taps, cols), trits)
    assert layout.bits_per_weight(taps, cols) == pytest.approx(8 * len(raw) / trits.size)
    no_trit = 2 if name == "dwbytes" else raw[0] ^ 1
    for bad in (raw[:-1], raw + bytes(16), bytes([no_trit]) + raw[1:]):
        with pytest.raises(EdgebitError):
            layout.unpack(bad, taps, cols)


@pytest.mark.parametrize(
    ("core", "family", "most"),
    [("cortex-m0plus", "dwconv_t_s8", 3.4), ("cortex-m0plus", "dwconv_s8", 7.0),
     ("cortex-m4f", "dwconv_t_s8", 2.9), ("cortex-m4f", "dwconv_s8", 3.8)],
)  # fmt: skip
def test_depthwise_products_stay_fast(core: str, family: str, most: float, tmp_path: Path) -> None:
    """Executed instructions for a weight of 3x3 windows of 64 channels."""
    k = kernels(core, family)[0]
    machine = Machine(core, build(core, [k.path], tmp_path / "k.elf", k.symbol))
    machine.count_instructions()
    rng = np.random.default_rng(8)
    w = rng.integers(-1, 2, (9, 64)).astype(np.int8)
    agrees_depthwise(machine, k, w, rng.integers(-128, 128, (9, 64)).astype(np.int8))
    assert machine.instructions is not None
    assert machine.instructions / w.size < most
