"""The kernels that compute tiles of pixels, in an emulated core, against NumPy; and the layouts they read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from check_runner import RUNTIME, Machine, build
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Requant
from edgebit.layouts.base import layout_of, round_up
from edgebit.layouts.lut3 import Lut3
from edgebit.layouts.pixels import MAX_NONZEROS, PIXELS, PixelLayout, cut_columns
from edgebit.ops.requant import requantise
from edgebit.plan.kernels import all_kernels

CORES = {
    "cortex-m0plus": ("ref", "armv6m"),
    "cortex-m3": ("ref", "armv6m", "armv7m"),
    "cortex-m4f": ("ref", "armv7em"),
}
FAMILIES = ("tpixels_s8", "tdots_s8", "pack_pixels", "pack_bytes", "pack_dots", "requant_pixels")
PACKED = ("t2x", "lut3", "lut3b", "list8p", "code6m", "code7m")
GUARD = bytes(range(160, 224))
FEW = settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))

S8 = npt.NDArray[np.int8]
S64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Loaded:
    """The tile kernels of one core in its memory; stems by family."""

    machine: Machine
    stems: dict[str, list[str]]

    def call(self, stem: str, *buffers: bytes | int) -> list[bytes]:
        """Call a kernel; bytes are placed between guards and given back as they are afterwards."""
        m = self.machine
        at = [b if isinstance(b, int) else m.place(b, GUARD, GUARD) for b in buffers]
        m.call(f"eb_{stem}", *at)
        after: list[bytes] = []
        for address, b in zip(at, buffers, strict=True):
            if isinstance(b, bytes):
                assert m.read(address - len(GUARD), len(GUARD)) == GUARD, f"{stem} wrote before a buffer"
                assert m.read(address + len(b), len(GUARD)) == GUARD, f"{stem} wrote past a buffer"
                after.append(m.read(address, len(b)))
        return after

    def packed_sums(self, stem: str, trits: S8, x: S8, past: int) -> S64:
        """(rows, 8) sums by a kernel of tpixels_s8, for inputs (8, cols); `past` fills words past cols."""
        layout = layout_of(all_kernels()[stem].layout)
        assert isinstance(layout, PixelLayout)
        rows, cols = trits.shape
        self.machine.reset()
        stride, blocks = layout.stride(cols), layout.blocks(trits)
        words = np.full((PIXELS // 2, stride), past, np.uint32)
        words[:, :cols] = pack_words(x)
        raw, inputs = layout.pack(trits), words.astype("<u4").tobytes()
        acc = b"\x5a" * (16 * rows * blocks)
        if layout.code:
            m = self.machine
            code = 0x0100_0000  # where a Cortex-M may execute, far behind the image
            m.uc.mem_write(code, raw)
            source, target = (m.place(b, GUARD, GUARD) for b in (inputs, acc))
            m.uc.ctl_flush_tb()  # other code was there before
            m.call(code, source, target, 0)
            assert m.read(target - 64, 64) == m.read(target + len(acc), 64) == GUARD
            out = m.read(target, len(acc))
        else:
            scratch = b"\xc3" * layout.scratch(stem, rows, cols)
            same_w, same_x, out, *_ = self.call(stem, raw, inputs, acc, rows, cols, stride, scratch or 0)
            assert (same_w, same_x) == (raw, inputs), f"{stem} wrote to its inputs"
        parts = unpack_words(np.frombuffer(out, "<u4").reshape(blocks, rows, PIXELS // 2))
        return np.asarray(parts.sum(axis=0))

    def dots(self, stem: str, trits: S8, x: S8, past: int) -> S64:
        """(rows, 2) sums by a kernel of tdots_s8, for inputs (2, cols)."""
        layout = layout_of(all_kernels()[stem].layout)
        rows, cols = trits.shape
        self.machine.reset()
        stride, height = round_up(cols, 16), round_up(rows, layout.row_multiple)
        halves = np.full((2, stride), past & 0xFFFF, np.uint32)
        halves[:, :cols] = x.astype(np.int16).view(np.uint16)
        quads = halves.reshape(2, -1, 2, 2)  # pixel, quad, (0 1 | 2 3), odd
        words = (quads[:, :, 0] | quads[:, :, 1] << 16).transpose(1, 2, 0)  # quad, odd, pixel
        raw, inputs, acc = layout.pack(trits), words.astype("<u4").tobytes(), b"\x5a" * (8 * height)
        scratch = b"\xc3" * layout.scratch(stem, rows, cols)
        same_w, same_x, out, *_ = self.call(stem, raw, inputs, acc, rows, cols, stride, scratch or 0)
        assert (same_w, same_x) == (raw, inputs), f"{stem} wrote to its inputs"
        return np.frombuffer(out, "<i4").reshape(2, height)[:, :rows].T.astype(np.int64)


def pack_words(x: npt.NDArray[np.integer]) -> npt.NDArray[np.uint32]:
    """(8, n) numbers to (4, n) packed words."""
    pairs = x.astype(np.int64).reshape(PIXELS // 2, 2, -1)
    return ((pairs[:, 0] + (pairs[:, 1] << 16)) & 0xFFFFFFFF).astype(np.uint32)


def unpack_words(words: npt.NDArray[np.uint32]) -> S64:
    """(..., 4) packed words to (..., 8) numbers."""
    w = words.astype(np.int64)
    low = ((w & 0xFFFF) ^ 0x8000) - 0x8000
    high = ((w - low >> 16 & 0xFFFF) ^ 0x8000) - 0x8000
    return np.stack([low, high], axis=-1).reshape(*words.shape[:-1], PIXELS)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Loaded]:
    out = tmp_path_factory.mktemp("tiles")
    found: dict[str, Loaded] = {}
    for core, isas in CORES.items():
        kernels = [k for k in all_kernels().values() if k.family in FAMILIES and k.isa in isas]
        stems = {f: [k.stem for k in kernels if k.family == f] for f in FAMILIES}
        files = [RUNTIME / "kernels" / k.family / f"{k.stem}.c" for k in kernels]
        elf = build(core, files, out / f"{core}.elf", "eb_tpixels_s8__ref")
        found[core] = Loaded(Machine(core, elf), stems)
    return found


@st.composite
def problems(draw: st.DrawFn, pixels: int, most: int = 420) -> tuple[S8, S8, int]:
    """Trits, inputs (pixels, cols) and a word for what lies past them: random, or driven to the extremes."""
    rows, cols = draw(st.integers(1, 26)), draw(st.integers(1, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    density = draw(st.sampled_from([0.0, 0.06, 0.33, 0.5, 0.7, 1.0]))
    balance = draw(st.sampled_from([0.0, 0.5, 1.0]))
    sign = np.where(rng.random((rows, cols)) < balance, 1, -1)
    trits = (sign * (rng.random((rows, cols)) < density)).astype(np.int8)
    x = rng.integers(-128, 128, (pixels, cols))
    for p in range(pixels):
        kind = draw(st.sampled_from(["random", "extremes", "worst", "opposite", "min", "max"]))
        row = trits[draw(st.integers(0, rows - 1))]
        if kind == "extremes":
            x[p] = rng.choice([-128, 127], cols)
        elif kind in ("worst", "opposite"):
            x[p] = np.where(row * (1 if kind == "worst" else -1) < 0, -128, 127)
        elif kind in ("min", "max"):
            x[p] = -128 if kind == "min" else 127
    return trits, x.astype(np.int8), draw(st.integers(0, 2**32 - 1))


def exact(trits: S8, x: S8) -> S64:
    made: S64 = trits.astype(np.int64) @ x.astype(np.int64).T
    return made


@pytest.mark.parametrize("core", CORES)
def test_kernels_equal_numpy(core: str, loaded: dict[str, Loaded]) -> None:
    kernels = loaded[core]

    @FEW
    @given(problems(PIXELS), problems(2))
    def check(eight: tuple[S8, S8, int], two: tuple[S8, S8, int]) -> None:
        for stem in kernels.stems["tpixels_s8"]:
            np.testing.assert_array_equal(kernels.packed_sums(stem, *eight), exact(*eight[:2]), stem)
        for stem in kernels.stems["tdots_s8"]:
            np.testing.assert_array_equal(kernels.dots(stem, *two), exact(*two[:2]), stem)

    assert len(kernels.stems["tpixels_s8"]) >= 2
    check()


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("skip", [1, 2, 3])
def test_code_leaves_out_the_first_pairs(core: str, skip: int, loaded: dict[str, Loaded]) -> None:
    """Short tiles have no pixels there: sums of the others are right, and what is there stays."""
    rng = np.random.default_rng(skip)
    trits, x = rng.integers(-1, 2, (23, 300)).astype(np.int8), rng.integers(-128, 128, (PIXELS, 300))
    m = loaded[core].machine
    found = [s for s in loaded[core].stems["tpixels_s8"] if s.endswith("_code")]
    assert found
    for stem in found:
        layout = layout_of(all_kernels()[stem].layout)
        assert isinstance(layout, PixelLayout)
        stride, blocks = layout.stride(300), layout.blocks(trits)
        words = np.zeros((PIXELS // 2, stride), "<u4")
        words[:, :300] = pack_words(x)
        m.reset()
        m.uc.mem_write(0x0100_0000, layout.pack(trits))
        m.uc.ctl_flush_tb()  # other code was there before
        source = m.place(words[skip:].tobytes(), GUARD, GUARD)
        target = m.place(b"\x5a" * (16 * 23 * blocks), GUARD, GUARD)
        m.call(0x0100_0000, source, target + 4 * skip, 4 * skip)
        acc = np.frombuffer(m.read(target, 16 * 23 * blocks), "<u4").reshape(blocks, 23, PIXELS // 2)
        assert (acc[:, :, :skip] == 0x5A5A5A5A).all(), stem
        got = unpack_words(acc).sum(axis=0)[:, 2 * skip :]
        np.testing.assert_array_equal(got, exact(trits, x.astype(np.int8))[:, 2 * skip :], stem)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize(("trit", "value"), [(1, -128), (-1, -128), (1, 127), (-1, 127)])
def test_lanes_hold_at_their_limit(core: str, trit: int, value: int, loaded: dict[str, Loaded]) -> None:
    """Rows of 254, 255 and 256 equal trits: the most a block may hold, one less, and one that must be cut."""
    trits = np.zeros((3, 300), np.int8)
    for row, count in zip(trits, (MAX_NONZEROS - 1, MAX_NONZEROS, MAX_NONZEROS + 1), strict=True):
        row[-count:] = trit
    x = np.full((PIXELS, 300), value, np.int8)
    x[1::3] = -1 - value  # the pixel that shares the word goes the other way
    for stem in loaded[core].stems["tpixels_s8"]:
        np.testing.assert_array_equal(loaded[core].packed_sums(stem, trits, x, 0), exact(trits, x), stem)
        layout = layout_of(all_kernels()[stem].layout)
        assert isinstance(layout, PixelLayout)
        assert layout.blocks(trits) == 2
        if layout.name.startswith("code"):
            assert layout.blocks(trits[:2]) == 1


def test_one_nonzero_more_breaks_the_lanes(
    loaded: dict[str, Loaded], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the cut, 257 products of 128 overflow a lane: the limit is not merely cautious."""
    monkeypatch.setattr("edgebit.layouts.code6m.cut_columns", lambda weights, step: [0])
    trits, x = np.ones((1, 257), np.int8), np.full((PIXELS, 257), -128, np.int8)
    got = loaded["cortex-m0plus"].packed_sums("tpixels_s8__armv6m_code", trits, x, 0)
    assert (got != exact(trits, x)).all()


@FEW
@given(problems(PIXELS, 1200), st.integers(1, 96))
def test_blocks_obey_the_bound(problem: tuple[S8, S8, int], step: int) -> None:
    trits = problem[0]
    cols = trits.shape[1]
    starts = cut_columns(trits, step)
    assert starts[0] == 0
    assert all(s % step == 0 for s in starts)
    for first, last in zip(starts, [*starts[1:], cols], strict=True):
        assert np.count_nonzero(trits[:, first:last], axis=1).max() <= MAX_NONZEROS
        if last < cols:  # and no block could have been longer
            assert np.count_nonzero(trits[:, first : last + step], axis=1).max() > MAX_NONZEROS
    assert MAX_NONZEROS * 128 < 2**15


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 20, 63, 64])
def test_packing(core: str, count: int, loaded: dict[str, Loaded]) -> None:
    rng = np.random.default_rng(count)
    kernels = loaded[core]
    wide = round_up(count, 4)
    x = rng.choice([-128, -1, 0, 1, 127], (PIXELS, wide)).astype(np.int8)
    if count > 8:
        x = rng.integers(-128, 128, (PIXELS, wide)).astype(np.int8)
    for stem in [s for f in ("pack_pixels", "pack_bytes", "pack_dots") for s in kernels.stems[f]]:
        kernels.machine.reset()
        at = np.array([kernels.machine.place(row.tobytes()) for row in x], "<u4")
        packed = not stem.startswith("pack_dots")
        more = np.uint32(0x800080 * stem.startswith("pack_bytes"))
        stride = wide + 4
        out = kernels.call(stem, at.tobytes(), bytes(16 * stride if packed else 4 * wide), count, stride)[1]
        words = np.frombuffer(out, "<u4")
        if packed:
            np.testing.assert_array_equal(words.reshape(4, stride)[:, :wide], pack_words(x) + more, stem)
            assert not words.reshape(4, stride)[:, wide:].any()
        else:
            quads = x[:2].astype(np.int16).view(np.uint16).astype(np.uint32).reshape(2, -1, 2, 2)
            want = (quads[:, :, 0] | quads[:, :, 1] << 16).transpose(1, 2, 0)
            np.testing.assert_array_equal(words, want.ravel(), stem)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("range_", [(-128, 127), (0, 127), (-100, 50), (-128, 126)])
@pytest.mark.parametrize("pre_shift", [0, 3])
@pytest.mark.parametrize("blocks", [1, 2, 3, 5])
def test_requantisation(
    core: str, range_: tuple[int, int], pre_shift: int, blocks: int, loaded: dict[str, Loaded]
) -> None:
    rng = np.random.default_rng([blocks, pre_shift, *(v + 128 for v in range_)])
    kernels = loaded[core]
    for rows in (1, 2, 7, 33):
        parts = rng.integers(-32640, 32641, (blocks, rows, PIXELS))
        parts[rng.random(parts.shape) < 0.3] = rng.choice([-32640, 32640])
        mul = rng.integers(-(2**12), 2**12, rows).astype(np.int32)
        shift = rng.integers(8, 20, rows).astype(np.int32)
        add = rng.integers(-(2**20), 2**20, rows).astype(np.int32)
        r = Requant(mul, add, shift, pre_shift, *range_)
        want = requantise(parts.sum(axis=0).T.astype(np.int32), r)  # (8, rows)
        entries = np.zeros(rows, [("add", "<i4"), ("mul", "<i2"), ("shift", "<i2")])
        entries["add"], entries["mul"], entries["shift"] = add, mul, shift
        params = np.array([(1 << pre_shift) >> 1, pre_shift, *range_], "<i4").tobytes()
        acc = np.stack([pack_words(p.T).T for p in parts]).astype("<u4").tobytes()
        for stem in kernels.stems["requant_pixels"]:
            kernels.machine.reset()
            step, apart = ((2 * rows, rows), (rows, 4 * rows))[rows % 2]  # side by side, or half a row apart
            arguments = (bytes(PIXELS * rows), rows, blocks, step, apart)
            out = np.frombuffer(kernels.call(stem, params, entries.tobytes(), acc, *arguments)[3], np.int8)
            got = out.reshape(4, 2, rows) if step > apart else out.reshape(2, 4, rows).transpose(1, 0, 2)
            np.testing.assert_array_equal(got.reshape(PIXELS, rows), want, stem)


@pytest.mark.parametrize("name", PACKED)
@settings(max_examples=40, deadline=None, database=None)
@given(problem=problems(PIXELS, 300))
def test_layouts_round_trip(name: str, problem: tuple[S8, S8, int]) -> None:
    trits = problem[0]
    layout = layout_of(name)
    raw = layout.pack(trits)
    np.testing.assert_array_equal(layout.unpack(raw, *trits.shape), trits)
    with pytest.raises(EdgebitError):
        layout.unpack(raw[:-2], *trits.shape)


@pytest.mark.parametrize("name", PACKED[1:])
def test_damaged_weights_are_noticed_or_differ(name: str) -> None:
    """Reading back packed bytes never takes damage for the same weights, nor fails with anything else."""
    rng = np.random.default_rng(5)
    trits = rng.integers(-1, 2, (12, 40)).astype(np.int8)
    layout = layout_of(name)
    raw = layout.pack(trits)
    for _ in range(200):
        damaged = bytearray(raw)
        damaged[int(rng.integers(len(raw)))] ^= 1 << int(rng.integers(8))
        try:
            same = bool((layout.unpack(bytes(damaged), 12, 40) == trits).all())
        except EdgebitError:
            continue
        assert not same or name.startswith("code")  # code may do the same by other instructions


def test_code_refuses_what_no_controller_holds() -> None:
    limit = layout_of("code6m").limits
    assert limit(np.ones((512, 256), np.int8)) is None
    assert limit(np.ones((513, 256), np.int8)) is not None
    assert limit(np.zeros((4096, 256), np.int8)) is None


def test_tiles_of_the_lookup_kernel_are_equal_and_small() -> None:
    layout = Lut3()
    for cols in range(1, 700):
        tiles = layout.tiles(cols)
        assert sum(tiles) == -(-cols // 3)
        assert max(tiles) <= 32
        assert len(set(tiles[:-1])) <= 1
