"""The list kernels of cores with Thumb-2 at the edges of their lists, tiles and lanes, and the layouts they read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from check_runner import RUNTIME, Machine, build, planted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_list_kernels import agrees
from test_tile_kernels import Loaded, exact
from unicorn import UcError

from edgebit.errors import EdgebitError
from edgebit.layouts import byte_lists, pixels
from edgebit.layouts.base import layout_of
from edgebit.layouts.byte_lists import ByteLists
from edgebit.layouts.list8 import MAX_COLS, MAX_LIST, TILE, List8
from edgebit.layouts.pixels import MAX_NONZEROS, PIXELS
from edgebit.plan.kernels import all_kernels

CORES = {"cortex-m3": "armv7m", "cortex-m4f": "armv7em"}
FLAVOURS = ("tmatvec_s8__{}_list8", "tpixels_s8__{}_list8", "tpixels_s8__{}_lut3")
LIST8 = List8()
Trits = npt.NDArray[np.int8]


def load(core: str, elf: Path, runtime: Path = RUNTIME) -> Loaded:
    """The kernels of this file for a core, in its memory."""
    found = [all_kernels()[f.format(CORES[core])] for f in FLAVOURS]
    files = [runtime / "kernels" / k.family / f"{k.stem}.c" for k in found]
    made = build(core, files, elf, f"eb_{found[0].stem}", runtime=runtime)
    return Loaded(Machine(core, made), {"all": [k.stem for k in found]})


@pytest.fixture(scope="module", params=CORES)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return load(request.param, tmp_path_factory.mktemp("lists") / "k.elf")


def pixel_lists(name: str) -> ByteLists:
    layout = layout_of(name)
    assert isinstance(layout, ByteLists)
    return layout


def of_lengths(rng: np.random.Generator, most: int, cols: int) -> Trits:
    """Rows whose two lists have every pair of lengths in 0..5, and the lengths round the most that a list holds."""
    pairs = [(n, p) for n in range(6) for p in range(6)]
    pairs += [(n, p) for n in (0, 1, most - 1, most) for p in (0, 1, most - 1, most)]
    trits = np.zeros((len(pairs), cols), np.int8)
    for row, (n, p) in zip(trits, pairs, strict=True):
        at = rng.permutation(cols)[: n + p]
        row[at] = np.where(np.arange(n + p) < n, -1, 1)
    return trits


def every_length(found: Loaded) -> None:
    """Each kernel of lists of columns against NumPy, for lists of every length."""
    rng = np.random.default_rng(7)
    vector, listed, _ = found.stems["all"]
    trits = of_lengths(rng, MAX_LIST, TILE)
    for x in (np.full(TILE, -128), np.full(TILE, 127), rng.integers(-128, 128, TILE)):
        agrees(found.machine, vector, trits, x.astype(np.int8))
    sparse = rng.choice([-1, 0, 1], (6, 3 * TILE), p=[0.1, 0.8, 0.1]).astype(np.int8)
    agrees(found.machine, vector, sparse, rng.integers(-128, 128, 3 * TILE).astype(np.int8))
    trits = of_lengths(rng, byte_lists.MAX_LIST, 255)
    assert pixel_lists("list8p").tiles(trits) == [255]
    for x in (np.full((PIXELS, 255), -128), rng.integers(-128, 128, (PIXELS, 255))):
        same(found, listed, trits, x.astype(np.int8))


def same(found: Loaded, stem: str, trits: Trits, x: Trits) -> None:
    np.testing.assert_array_equal(found.packed_sums(stem, trits, x, 0x7FFF8000), exact(trits, x), stem)


def every_sum(found: Loaded) -> None:
    """All 27 patterns of three trits in every group of tiles of 1 to 20 groups, and a part of a group at the end."""
    stem = found.stems["all"][2]
    rng = np.random.default_rng(8)
    patterns = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), -1).reshape(27, 3).astype(np.int8)
    for groups in (1, 2, 7, 18, 19, 20, 39):
        trits = np.stack([np.roll(patterns, r, axis=0) for r in range(27)])[:, np.arange(groups) % 27]
        cols = 3 * groups - groups % 3
        x = rng.integers(-128, 128, (PIXELS, cols)).astype(np.int8)
        same(found, stem, np.ascontiguousarray(trits.reshape(27, -1)[:, :cols]), x)


def everything(found: Loaded) -> None:
    every_length(found)
    every_sum(found)


def test_every_list_length(loaded: Loaded) -> None:
    every_length(loaded)


def test_every_sum_of_three(loaded: Loaded) -> None:
    every_sum(loaded)


def test_vector_tiles_and_the_widest_matrix(loaded: Loaded) -> None:
    """Widths round tiles of full and of sparse rows, and the largest legal one; worst inputs."""
    stem = loaded.stems["all"][0]
    rng = np.random.default_rng(11)
    for cols in (63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 513):
        trits = np.full((3, cols), rng.choice([-1, 1]), np.int8)
        trits[1] = rng.choice([-1, 0, 1], cols)
        for sparse in (trits, trits * (rng.random(trits.shape) < 0.1).astype(np.int8)):
            for row in sparse:
                agrees(loaded.machine, stem, sparse, np.where(row < 0, -128, 127).astype(np.int8))
    wide = np.full((1, MAX_COLS), -1, np.int8)
    agrees(loaded.machine, stem, wide, np.full(MAX_COLS, -128, np.int8))
    assert LIST8.limits(wide) is None
    assert LIST8.limits(np.zeros((1, MAX_COLS + 1), np.int8)) is not None


@pytest.mark.parametrize("name", ["list8p", "lut3b"])
def test_pixel_lanes_hold_in_wide_matrices(name: str, loaded: Loaded) -> None:
    """Many blocks of sums, every one at its limit; and the proof fails as soon as it is weakened."""
    stem = loaded.stems["all"][1 if name == "list8p" else 2]
    layout = pixel_lists(name)
    trits = np.zeros((4, 3000), np.int8)
    trits[0], trits[1, ::3], trits[2, -255:], trits[3, 7::11] = 1, -1, 1, 1
    assert layout.blocks(trits) == -(-3000 // (MAX_NONZEROS // 57 * 57 if name == "lut3b" else 240))
    for value in (-128, 127):
        x = np.full((PIXELS, 3000), value, np.int8)
        x[1::2] = -1 - value
        same(loaded, stem, trits, x)


@pytest.mark.parametrize("name", ["list8p", "lut3b"])
def test_a_weaker_proof_overflows_lanes(name: str, loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    """With blocks of up to 288 nonzeros, 257 products of -128 leave int16: the limit is not merely cautious."""
    stem = loaded.stems["all"][1 if name == "list8p" else 2]
    trits, x = np.ones((1, 257), np.int8), np.full((PIXELS, 257), -128, np.int8)
    same(loaded, stem, trits, x)
    monkeypatch.setattr(byte_lists, "cut_tiles", lambda w, firsts: pixels.cut_tiles(w, firsts, 288))
    assert pixel_lists(name).blocks(trits) == 1
    assert (loaded.packed_sums(stem, trits, x, 0) != exact(trits, x)).all()


@pytest.mark.parametrize("name", ["list8p", "lut3b"])
@settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_pixel_tiles_keep_their_bounds(name: str, data: st.DataObject) -> None:
    """Bytes name all of a tile, lists fit the code, and no row of a block has more nonzeros than a lane holds."""
    rows, cols = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 1500))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    trits = rng.choice([-1, 1], (rows, cols)) * (rng.random((rows, cols)) < rng.random((rows, 1)))
    trits = trits.astype(np.int8)
    layout = pixel_lists(name)
    ends = layout.unit * np.cumsum(layout.tiles(trits))
    assert ends[-1] - cols in range(layout.unit)
    assert max(layout.tiles(trits)) * layout.places <= 256
    assert max(layout.tiles(trits)) <= 255
    signs, _ = layout.encode(layout.units(trits))
    for part in np.split(signs, ends[:-1] // layout.unit, axis=1):
        assert max((part < 0).sum(axis=1).max(), (part > 0).sum(axis=1).max()) <= byte_lists.MAX_LIST
    for part in np.split(trits, layout.starts(trits)[1:], axis=1):
        assert np.count_nonzero(part, axis=1).max() <= MAX_NONZEROS


@settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_vector_lists_round_trip_and_refuse_damage(data: st.DataObject) -> None:
    rows, cols = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 600))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    trits = (rng.choice([-1, 1], (rows, cols)) * (rng.random((rows, cols)) < rng.random())).astype(np.int8)
    raw = LIST8.pack(trits)
    np.testing.assert_array_equal(LIST8.unpack(raw, rows, cols), trits)
    work = LIST8.work(trits)
    assert len(raw) == 4 + work["entry"] + 2 * work["list"]
    for bad in (raw[:-1], raw[:3], b"", raw + b"\0"):
        with pytest.raises(EdgebitError):
            LIST8.unpack(bad, rows, cols)
    damaged = bytearray(raw)
    damaged[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        again = LIST8.unpack(bytes(damaged), rows, cols)
    except EdgebitError:
        return
    assert (again != trits).any()


def test_a_column_twice_in_one_list_is_refused() -> None:
    """The kernel would add that input twice, which no trit does."""
    raw = bytearray(LIST8.pack(np.array([[0, 0, 0, 1, 0, 1]], np.int8)))
    raw[-1] = raw[-2]
    with pytest.raises(EdgebitError, match="listed twice"):
        LIST8.unpack(bytes(raw), 1, 6)


PLANTED = [
    # file below runtime_c/kernels, text, its replacement
    ("tmatvec_s8/list8.h", "mov r0, r2\\n", "nop\\n"),
    ("tmatvec_s8/list8.h", "ldrsb.n r1, [r7, r1]", "ldrb.n r1, [r7, r1]"),
    ("tmatvec_s8/list8.h", "add.n r7, r8", "nop"),
    ("tmatvec_s8/list8.h", 'LIST8_ENTER(r10) ', 'LIST8_ENTER(r9) '),
    ("tpixels_s8/bytes_armv7m.h", "sub.w r10, r10, r2", "add.w r10, r10, r2"),
    ("tpixels_s8/bytes_armv7m.h", "BYTES_PLACE(23, step) BYTES_PLACE(24, step)", "BYTES_PLACE(22, step) BYTES_PLACE(24, step)"),
    ("tpixels_s8/bytes_armv7m.h", "lsls.w r2, r11, #29", "lsls.w r2, r11, #28"),
    ("tpixels_s8/bytes_armv7m.h", "subs r3, r7, r6", "subs r3, r2, r6"),
    ("tpixels_s8/bytes_armv7m.h", "EB_PIXEL_PAIRS, 4 * plane", "EB_PIXEL_PAIRS, 4 * plane + 4"),
    ("tpixels_s8/bytes_armv7m.h", "(int32_t *)block, (uint32_t)rows", "(int32_t *)block, 1"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "text", "bug"), PLANTED, ids=lambda v: str(v)[-24:])
def test_a_planted_bug_is_found(file: str, text: str, bug: str, tmp_path: Path) -> None:
    found = load("cortex-m4f", tmp_path / "bug.elf", planted(tmp_path, file, text, bug))
    with pytest.raises((AssertionError, UcError)):
        everything(found)


@pytest.mark.parametrize(
    ("flavour", "rows", "cols", "zeros", "most"),
    [(0, 64, 256, 0.9, 0.46), (0, 128, 640, 0.95, 0.27), (1, 64, 576, 0.9, 0.16), (2, 64, 576, 0.5, 0.51)],
)
def test_list_kernels_stay_fast(
    flavour: int, rows: int, cols: int, zeros: float, most: float, tmp_path: Path
) -> None:
    """Executed instructions for a weight (and pixel)."""
    found = load("cortex-m4f", tmp_path / "k.elf")
    rng = np.random.default_rng(8)
    trits = (rng.choice([-1, 1], (rows, cols)) * (rng.random((rows, cols)) < 1 - zeros)).astype(np.int8)
    stem, pixels_ = found.stems["all"][flavour], PIXELS if flavour else 1
    x = rng.integers(-128, 128, (pixels_, cols)).astype(np.int8)
    found.machine.count_instructions()
    if flavour:
        same(found, stem, trits, x)
    else:
        agrees(found.machine, stem, trits, x[0])
    assert found.machine.instructions is not None
    assert found.machine.instructions / trits.size / pixels_ < most
