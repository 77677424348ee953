"""The list kernels of the Cortex-M0+ at the edges of their lists, tiles and tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from check_runner import Machine, build, kernels
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgebit.errors import EdgebitError
from edgebit.layouts.base import layout_of, round_up
from edgebit.layouts.ofs16 import BIAS, MAX_ENTRIES, TABLE_LIMIT, Lists, Offsets

NAMES = ("list16", "ofs16g3", "ofs16g4", "ofs16g5")
GUARD = bytes(range(96, 160))
Trits = npt.NDArray[np.int8]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    found = [k for k in kernels("cortex-m0plus", "tmatvec_s8") if k.layout in NAMES]
    assert len(found) == len(NAMES)
    elf = build(
        "cortex-m0plus", [k.path for k in found], tmp_path_factory.mktemp("k") / "k.elf", found[0].symbol
    )
    return Machine("cortex-m0plus", elf)


def stem_of(name: str) -> str:
    return f"tmatvec_s8__armv6m_{name}"


def lists(name: str) -> Lists:
    layout = layout_of(name)
    assert isinstance(layout, Lists)
    return layout


def product(m: Machine, stem: str, trits: Trits, x: npt.NDArray[np.int8]) -> npt.NDArray[np.int32]:
    """The kernel's sums; nothing but 16 bytes past the inputs may be read, nothing outside buffers written."""
    rows, cols = trits.shape
    layout = layout_of(stem.rsplit("_", 1)[1])
    high = round_up(rows, layout.row_multiple)
    m.reset()
    size = layout.scratch(stem, rows, cols)
    inputs = x.tobytes() + b"\x7f" * (round_up(cols, 16) - cols)
    w = m.place(layout.pack(trits), GUARD, GUARD)
    xs = m.place(inputs, GUARD, GUARD)
    acc = m.place(b"\x5a" * 4 * high, GUARD, GUARD)
    scratch = m.place(b"\xc3" * size, GUARD, GUARD)
    m.call(f"eb_{stem}", w, xs, acc, rows, cols, scratch)
    for at, n in ((xs, len(inputs)), (acc, 4 * high), (scratch, size)):
        assert m.read(at - len(GUARD), len(GUARD)) == GUARD, "wrote before a buffer"
        assert m.read(at + n, len(GUARD)) == GUARD, "wrote past a buffer"
    return np.frombuffer(m.read(acc, 4 * rows), np.int32)


def agrees(m: Machine, stem: str, trits: Trits, x: npt.NDArray[np.int8]) -> None:
    want = trits.astype(np.int64) @ x.astype(np.int64)
    np.testing.assert_array_equal(product(m, stem, trits, x), want, stem)


@pytest.mark.parametrize("name", NAMES)
def test_every_list_length_and_boundary(name: str, machine: Machine) -> None:
    """Rows whose lists have every pair of lengths in 0..9, and lengths round the most that a list holds."""
    layout = lists(name)
    g = layout.group
    rng = np.random.default_rng(7)
    longest = layout.tiles(np.ones((1, MAX_ENTRIES), np.int8))[0] if g > 1 else MAX_ENTRIES
    pairs = [(n, p) for n in range(10) for p in range(10)]
    pairs += [
        (n, p) for n in (0, 1, longest - 1, longest) for p in (0, 1, longest - 1, longest) if n + p <= longest
    ]
    trits = np.zeros((len(pairs), longest * g), np.int8)
    for row, (negative, positive) in zip(trits, pairs, strict=True):
        groups = rng.permutation(longest)[: negative + positive]
        sign = np.where(np.arange(len(groups)) < negative, -1, 1)
        row.reshape(longest, g)[groups, g - 1] = sign
    for value in (-128, 127):
        agrees(machine, stem_of(name), trits, np.full(trits.shape[1], value, np.int8))
    agrees(machine, stem_of(name), trits, rng.integers(-128, 128, trits.shape[1]).astype(np.int8))


@pytest.mark.parametrize("name", NAMES)
def test_tile_boundaries(name: str, machine: Machine) -> None:
    """Widths round one and two tiles, where partial groups come last; worst inputs."""
    layout = lists(name)
    limit = layout.tile_limit() * layout.group if isinstance(layout, Offsets) else MAX_ENTRIES
    rng = np.random.default_rng(11)
    for cols in {limit + d for d in range(-6, 7)} | {2 * limit + d for d in range(-2, 3)}:
        sign = rng.choice([-1, 1])
        trits = np.full((3, cols), sign, np.int8)
        trits[1] = rng.integers(-1, 2, cols)
        trits[2] = rng.choice([-1, 1], cols)
        for row in trits:
            agrees(machine, stem_of(name), trits, np.where(row < 0, -128, 127).astype(np.int8))


@pytest.mark.parametrize("name", NAMES)
def test_no_tile_breaks_the_bounds(name: str) -> None:
    """What the kernels' comments promise: lists fit their code, offsets 16 bits, and table entries 16 bits."""
    layout = lists(name)
    rng = np.random.default_rng(13)
    for cols in (1, 100, 1000, 20000):
        for density in (0.01, 0.5, 1.0):
            trits = (rng.choice([-1, 1], (2, cols)) * (rng.random((2, cols)) < density)).astype(np.int8)
            padded = np.zeros((2, round_up(cols, layout.group)), np.int8)
            padded[:, :cols] = trits
            signs, inside = layout.encode(padded)
            first = 0
            for length in layout.tiles(signs):
                part = signs[:, first : first + length]
                assert max((part < 0).sum(axis=1).max(), (part > 0).sum(axis=1).max()) <= MAX_ENTRIES
                assert (length - 1) * layout.stride() + int(inside.max()) <= 0xFFFF
                assert layout.group == 1 or length * layout.stride() <= TABLE_LIMIT
                first += length
            assert first == signs.shape[1]
    assert layout.group * 128 <= BIAS
    assert BIAS + layout.group * 128 <= 0xFFFF
    assert layout.limits(np.zeros((1, layout.max_cols), np.int8)) is None
    assert layout.limits(np.zeros((1, layout.max_cols + 1), np.int8)) is not None


@pytest.mark.parametrize("name", NAMES[1:])
def test_tables_hold_every_sum_once(name: str) -> None:
    layout = lists(name)
    assert isinstance(layout, Offsets)
    table = layout.table
    assert len(table.trits) == (3**layout.group - 1) // 2
    assert np.count_nonzero(table.sign) == 3**layout.group - 1
    assert int(table.offset.max()) < layout.stride()


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_lists_round_trip_and_refuse_damage(name: str, data: st.DataObject) -> None:
    rows, cols = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 260))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    trits = (rng.choice([-1, 1], (rows, cols)) * (rng.random((rows, cols)) < rng.random())).astype(np.int8)
    layout = lists(name)
    raw = layout.pack(trits)
    np.testing.assert_array_equal(layout.unpack(raw, rows, cols), trits)
    work = layout.work(trits)
    assert work["list"] == rows * work["tile"]
    assert len(raw) >= 4 * work["tile"] + 16 * work["list"]
    assert len(raw) >= 2 * work["entry"]
    for bad in (raw[:-4], raw[:-1], raw + bytes(4)):
        with pytest.raises(EdgebitError):
            layout.unpack(bad, rows, cols)
    at = data.draw(st.integers(0, len(raw) - 1))
    damaged = bytearray(raw)
    damaged[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        again = layout.unpack(bytes(damaged), rows, cols)
    except EdgebitError:
        return
    assert again.shape == trits.shape
    assert np.abs(again).max() <= 1


def test_lists_are_small_when_little_is_left() -> None:
    rng = np.random.default_rng(3)
    trits = (rng.choice([-1, 1], (64, 256)) * (rng.random((64, 256)) < 0.1)).astype(np.int8)
    assert 8 * len(layout_of("list16").pack(trits)) / trits.size < 2.2


@pytest.mark.parametrize(
    ("name", "rows", "cols", "density", "most"),
    [("ofs16g4", 64, 256, 0.5, 1.29), ("ofs16g4", 128, 640, 0.5, 1.12), ("ofs16g5", 1024, 1024, 0.5, 0.88),
     ("list16", 64, 256, 0.1, 0.48)],
)  # fmt: skip
def test_list_kernels_stay_fast(
    name: str, rows: int, cols: int, density: float, most: float, tmp_path: Path
) -> None:
    """Executed instructions for a weight."""
    kernel = next(k for k in kernels("cortex-m0plus", "tmatvec_s8") if k.layout == name)
    machine = Machine(
        "cortex-m0plus", build("cortex-m0plus", [kernel.path], tmp_path / "k.elf", kernel.symbol)
    )
    machine.count_instructions()
    rng = np.random.default_rng(8)
    trits = (rng.choice([-1, 1], (rows, cols)) * (rng.random((rows, cols)) < density)).astype(np.int8)
    agrees(machine, stem_of(name), trits, rng.integers(-128, 128, cols).astype(np.int8))
    assert machine.instructions is not None
    assert machine.instructions / trits.size < most
