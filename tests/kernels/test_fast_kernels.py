"""Each fast ternary kernel, in an emulated core, against NumPy; and the layouts they read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from check_runner import Machine, build, kernels
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unicorn.unicorn import UcError

from edgebit.errors import EdgebitError
from edgebit.layouts.base import Layout, layout_of, round_up
from edgebit.layouts.smlad2 import HIGH_NONZEROS, LOW_NONZEROS, STEP

CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4f", "cortex-m7", "cortex-m33", "cortex-a76")
FAST = {"lut4": 65536, "smlad2": 32768, "e2": 131072}
GUARD = bytes(range(160, 224))

Trits = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Loaded:
    """One kernel in one core's memory."""

    machine: Machine
    symbol: str
    layout: Layout

    def product(self, trits: Trits, x: npt.NDArray[np.int8], past: bytes) -> npt.NDArray[np.int32]:
        """The kernel's accumulators; `past` lies behind the inputs, where the kernel may read but not care."""
        rows, cols = trits.shape
        m, layout = self.machine, self.layout
        m.reset()
        packed = layout.pack(trits)
        inputs = x.tobytes() + past[: round_up(cols, 16) - cols]
        height = round_up(rows, layout.row_multiple)
        size = layout.scratch(self.symbol.removeprefix("eb_"), rows, cols)
        w = m.place(packed, GUARD, GUARD)
        xs = m.place(inputs, GUARD, GUARD)
        acc = m.place(b"\x5a" * (4 * height), GUARD, GUARD)
        scratch = m.place(b"\xc3" * size, GUARD, GUARD)
        m.call(self.symbol, w, xs, acc, rows, cols, scratch if size else 0)
        for at, n in ((w, len(packed)), (xs, len(inputs)), (acc, 4 * height), (scratch, size)):
            assert m.read(at - len(GUARD), len(GUARD)) == GUARD, "wrote before a buffer"
            assert m.read(at + n, len(GUARD)) == GUARD, "wrote past a buffer"
        assert m.read(w, len(packed)) == packed
        assert m.read(xs, len(inputs)) == inputs
        return np.frombuffer(m.read(acc, 4 * rows), np.int32)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Loaded]]:
    """By core: every ternary int8 kernel it can run."""
    out = tmp_path_factory.mktemp("kernels")
    images: dict[str, list[Loaded]] = {}
    for core in CORES:
        found = kernels(core, "tmatvec_s8")
        elf = build(core, [k.path for k in found], out / f"{core}.elf", found[0].symbol)
        machine = Machine(core, elf)
        images[core] = [Loaded(machine, k.symbol, layout_of(k.layout)) for k in found]
    return images


def exact(trits: Trits, x: npt.NDArray[np.int8]) -> npt.NDArray[np.int64]:
    return trits.astype(np.int64) @ x.astype(np.int64)


@st.composite
def problems(draw: st.DrawFn) -> tuple[Trits, npt.NDArray[np.int8], bytes]:
    """Trits, inputs and the bytes behind them: random, sparse, dense, or driven to the extremes."""
    rows, cols = draw(st.integers(1, 36)), draw(st.integers(1, 400))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    density = draw(st.sampled_from([0.0, 0.06, 0.33, 0.5, 0.7, 1.0]))
    balance = draw(st.sampled_from([0.0, 0.5, 1.0]))
    sign = np.where(rng.random((rows, cols)) < balance, 1, -1)
    trits = (sign * (rng.random((rows, cols)) < density)).astype(np.int8)
    kind = draw(st.sampled_from(["random", "extremes", "worst", "min", "max"]))
    x = rng.integers(-128, 128, cols)
    if kind == "extremes":
        x = rng.choice([-128, 127], cols)
    elif kind == "worst":
        x = np.where(trits[draw(st.integers(0, rows - 1))] < 0, -128, 127)
    elif kind in ("min", "max"):
        x = np.full(cols, -128 if kind == "min" else 127)
    return trits, x.astype(np.int8), rng.integers(0, 256, 16).astype(np.uint8).tobytes()


@pytest.mark.parametrize("core", CORES)
def test_kernels_equal_numpy(core: str, loaded: dict[str, list[Loaded]]) -> None:
    @settings(max_examples=80, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(problems())
    def check(problem: tuple[Trits, npt.NDArray[np.int8], bytes]) -> None:
        trits, x, past = problem
        for kernel in loaded[core]:
            np.testing.assert_array_equal(kernel.product(trits, x, past), exact(trits, x), kernel.symbol)

    check()


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4f", "cortex-a76"])
@pytest.mark.parametrize(("trit", "value"), [(1, -128), (-1, -128), (1, 127), (-1, 127)])
def test_the_largest_sum_of_the_widest_matrix(
    core: str, trit: int, value: int, loaded: dict[str, list[Loaded]]
) -> None:
    kernel = loaded[core][0]
    cols = FAST[kernel.layout.name]
    trits = np.full((kernel.layout.row_multiple, cols), trit, np.int8)
    assert kernel.layout.limits(trits) is None
    got = kernel.product(trits, np.full(cols, value, np.int8), b"")
    assert (got == trit * value * cols).all()
    assert kernel.layout.limits(np.zeros((1, cols + 1), np.int8)) is not None


@settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_smlad2_lanes_hold_at_their_limit(data: st.DataObject, loaded: dict[str, list[Loaded]]) -> None:
    """Rows whose nonzeros sit at, just below and just above what a block of columns may hold, worst inputs."""
    kernel = next(k for k in loaded["cortex-m4f"] if k.layout.name == "smlad2")
    cols = data.draw(st.integers(60, 2600))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    trits = np.zeros((8, cols), np.int8)
    for r in range(8):
        count = data.draw(st.sampled_from([62, 63, 64, 65, 126, 127, 1022, 1023, 1024]))
        where = rng.permutation(cols)[:count] if rng.random() < 0.5 else np.arange(min(count, cols))
        trits[r, where] = rng.choice([-1, 1]) if rng.random() < 0.7 else rng.choice([-1, 1], len(where))
    row = data.draw(st.integers(0, 7))
    side = data.draw(st.sampled_from([-1, 1]))
    x = np.where(side * trits[row] < 0, -128, np.where(trits[row] == 0, rng.integers(-128, 128, cols), 127))
    x = x.astype(np.int8)
    np.testing.assert_array_equal(kernel.product(trits, x, bytes(16)), exact(trits, x))


@settings(max_examples=60, deadline=None, database=None)
@given(problems())
def test_smlad2_blocks_obey_the_bound(problem: tuple[Trits, npt.NDArray[np.int8], bytes]) -> None:
    """The block lengths in the packed bytes cut every row at its limit, and no earlier than they must."""
    trits = np.repeat(problem[0], 3, axis=1)
    rows, cols = trits.shape
    raw = layout_of("smlad2").pack(trits)
    steps = -(-cols // STEP)
    padded = np.zeros((round_up(rows, 8), steps * STEP), np.int8)
    padded[:rows, :cols] = trits
    at = 0
    for block in padded.reshape(-1, 8, steps * STEP):
        header = raw[at : at + 4 * raw[at]]
        lengths = [n for n in header[1:] if n]
        assert sum(lengths) == steps
        assert header[1 + len(lengths)] == 0
        start = 0
        for n in lengths:
            nonzeros = np.count_nonzero(block[:, start * STEP : (start + n) * STEP], axis=1)
            longer = np.count_nonzero(block[:, start * STEP : (start + n + 1) * STEP], axis=1)
            limit = np.array([LOW_NONZEROS] * 4 + [HIGH_NONZEROS] * 4)
            assert (nonzeros <= limit).all()
            assert start + n == steps or (longer > limit).any()
            start += n
        at += len(header) + 32 * steps
    assert at == len(raw)
    assert LOW_NONZEROS * 128 < 2**13
    assert LOW_NONZEROS * 128 + 2**14 * HIGH_NONZEROS * 128 < 2**31


@pytest.mark.parametrize("name", FAST)
@settings(max_examples=60, deadline=None, database=None)
@given(problem=problems())
def test_layouts_round_trip(name: str, problem: tuple[Trits, npt.NDArray[np.int8], bytes]) -> None:
    trits = problem[0]
    layout = layout_of(name)
    raw = layout.pack(trits)
    np.testing.assert_array_equal(layout.unpack(raw, *trits.shape), trits)
    blank = layout.pack(layout.blank(*trits.shape))
    assert layout.bits_per_weight(*trits.shape) == pytest.approx(8 * len(blank) / trits.size)
    with pytest.raises(EdgebitError):
        layout.unpack(raw + bytes(4), *trits.shape)
    with pytest.raises(EdgebitError):
        layout.unpack(raw[:-1], *trits.shape)


@pytest.mark.parametrize("name", FAST)
def test_layouts_refuse_what_is_no_trit(name: str) -> None:
    layout = layout_of(name)
    with pytest.raises(EdgebitError):
        layout.pack(np.full((2, 2), 2, np.int8))
    raw = bytearray(layout.pack(layout.blank(16, 16)))
    raw[-1] = 0xFF if name != "e2" else 0xBF
    with pytest.raises(EdgebitError):
        layout.unpack(bytes(raw), 16, 16)


@pytest.mark.parametrize("name", FAST)
def test_fast_layouts_cost_two_bits(name: str) -> None:
    rng = np.random.default_rng(3)
    trits = rng.integers(-1, 2, (128, 640)).astype(np.int8)
    assert 2.0 <= 8 * len(layout_of(name).pack(trits)) / trits.size < 2.04


def test_the_wrong_core_refuses_a_kernel(loaded: dict[str, list[Loaded]], tmp_path: Path) -> None:
    """SMLAD on a Cortex-M0 and SDOT on a core without it are faults, so each kernel belongs to its core."""
    smlad = next(k for k in kernels("cortex-m4f", "tmatvec_s8") if k.variant == "armv7em")
    elf = build("cortex-m4f", [smlad.path], tmp_path / "m4.elf", smlad.symbol)
    wrong = Loaded(Machine("cortex-m0plus", elf), smlad.symbol, layout_of(smlad.layout))
    with pytest.raises(UcError):
        wrong.product(np.ones((8, 16), np.int8), np.ones(16, np.int8), b"")


@pytest.mark.parametrize(
    ("core", "per_weight"), [("cortex-m0plus", 1.06), ("cortex-m4f", 0.78), ("cortex-a76", 0.135)]
)
def test_fast_kernels_stay_fast(core: str, per_weight: float, tmp_path: Path) -> None:
    """Executed instructions of a 128 x 640 product, half of the weights zero."""
    kernel = kernels(core, "tmatvec_s8")[0]
    machine = Machine(core, build(core, [kernel.path], tmp_path / "one.elf", kernel.symbol))
    machine.count_instructions()
    rng = np.random.default_rng(8)
    trits = (rng.choice([-1, 1], (128, 640)) * (rng.random((128, 640)) < 0.5)).astype(np.int8)
    x = rng.integers(-128, 128, 640).astype(np.int8)
    got = Loaded(machine, kernel.symbol, layout_of(kernel.layout)).product(trits, x, b"")
    np.testing.assert_array_equal(got, exact(trits, x))
    assert machine.instructions is not None
    assert machine.instructions / trits.size < per_weight
