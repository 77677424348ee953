"""Kernels that requantise the tiles of pixels they sum, in an emulated core, against NumPy; and the code they are."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from c_harness import check_samples
from check_runner import RUNTIME, Machine, build, planted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_tile_kernels import exact, pack_words, problems
from unicorn import UcError

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Requant
from edgebit.layouts import thumb_fused, thumb_narrow
from edgebit.layouts.base import layout_of
from edgebit.layouts.code6q import Code6q
from edgebit.layouts.code7q import Code7q, FusedLayout
from edgebit.layouts.pixels import MAX_NONZEROS, PIXELS, PixelLayout
from edgebit.layouts.thumb_fused import MAX_BIASED, Entry
from edgebit.layouts.thumb_fused_reader import FusedReader
from edgebit.layouts.thumb_narrow import MAX_OF_A_SIGN, REACH, Row
from edgebit.ops.base import KernelChoice, Sample, op_of
from edgebit.ops.code_c import machine_code
from edgebit.ops.linear_samples import linear_sample
from edgebit.ops.requant import requantise
from edgebit.plan.kernels import all_kernels

CODE7Q, CODE6Q = Code7q(), Code6q()
CORES: dict[str, FusedLayout] = {"cortex-m4f": CODE7Q, "cortex-m33": CODE7Q, "cortex-m0plus": CODE6Q}
LAYOUTS = pytest.mark.parametrize("layout", [CODE7Q, CODE6Q], ids=lambda layout: layout.name)
REF = "tpixels_fused_s8__ref"
GUARD = bytes(range(160, 224))
CODE = 0x0100_0000  # where a Cortex-M may execute, far behind the image
FEW = settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
S8 = npt.NDArray[np.int8]


@pytest.fixture(scope="module", params=CORES)
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    elf = tmp_path_factory.mktemp("fused") / "k.elf"
    sources = [RUNTIME / "kernels" / f for f in (f"tpixels_fused_s8/{REF}.c", "epilogue/epilogue__clamp.c")]
    return Machine(request.param, build(request.param, sources, elf, f"eb_{REF}"))


def table_of(m: Machine) -> int:
    """Where the numbers clamped to int8 are; a symbol's lowest bit says that it is Thumb code."""
    return m.symbols["eb_epilogue__clamp"] & ~1


def layout_on(m: Machine) -> FusedLayout:
    """The layout of the core's code."""
    return CORES[m.spec.name]


def draw_entries(rng: np.random.Generator, rows: int) -> Requant:
    """Requantisation of any sign and size that stays within int32."""
    mul = rng.integers(-(2**15), 2**15, rows).astype(np.int32)
    shift = rng.choice([0, 1, 7, 12, 16, 20, 31], rows).astype(np.int32)
    add = rng.integers(-(2**30), 2**30, rows).astype(np.int32)
    return Requant(mul, add, shift, 0, -128, 127)


def entries_of(r: Requant) -> list[Entry]:
    return [Entry(*v) for v in zip(r.add.tolist(), r.mul.tolist(), r.shift.tolist(), strict=True)]


def run(m: Machine, raw: bytes | None, trits: S8, x: S8, r: Requant, skip: int = 0, past: int = 0) -> S8:
    """(8, rows) outputs of code, or of the reference when raw is None; 0x5A where nothing was written."""
    rows, cols = trits.shape
    stride = PixelLayout.stride(cols)
    words = np.full((PIXELS // 2, stride), past, "<u4")
    words[:, :cols] = pack_words(x) + np.uint32(0x800080)
    m.reset()
    target = m.place(b"\x5a" * (PIXELS * rows), GUARD, GUARD)
    if raw is None:
        entries = np.zeros(rows, [("add", "<i4"), ("mul", "<i2"), ("shift", "<i2")])
        entries["add"], entries["mul"], entries["shift"] = r.add, r.mul, r.shift
        w, e = m.place(layout_of("t2").pack(trits), GUARD, GUARD), m.place(entries.tobytes(), GUARD, GUARD)
        source, y = m.place(words[skip:].tobytes(), GUARD, GUARD), target + 2 * skip * rows
        m.call(f"eb_{REF}", w, source, e, y, rows, cols, stride, PIXELS // 2 - skip)
    else:
        m.uc.mem_write(CODE, raw)
        m.uc.ctl_flush_tb()  # other code was there before
        source = m.place(words[skip:].tobytes(), GUARD, GUARD)
        clamp = [table_of(m) + REACH] if layout_on(m).clamps else []
        m.call(CODE, source, target + 2 * skip * rows, target + PIXELS * rows, *clamp)
    size = PIXELS * rows
    assert m.read(target - 64, 64) == m.read(target + size, 64) == GUARD, "wrote beside y"
    return np.frombuffer(m.read(target, size), np.int8).reshape(PIXELS, rows)


def wants(trits: S8, x: S8, r: Requant) -> S8:
    """(8, rows)"""
    return requantise(exact(trits, x).T.astype(np.int32), r)


def packs_lines(stem: str, folder: Path, runtime: Path = RUNTIME) -> None:
    """A kernel of pack_line against NumPy."""
    core = "cortex-m0plus" if stem.endswith("armv6m") else "cortex-m4f"
    rng = np.random.default_rng(7)
    source = runtime / "kernels" / "pack_line" / f"{stem}.c"
    m = Machine(core, build(core, [source], folder / "k.elf", f"eb_{stem}", runtime=runtime))
    for count, pairs in ((4, 1), (8, 5), (12, 2), (20, 3), (64, 8)):
        for second in (count, 0) if pairs == 1 else (count,):
            x = rng.choice([-128, -1, 0, 1, 127], (2 * pairs, count)).astype(np.int8)
            stride = count + 4 * int(rng.integers(3))
            m.reset()
            to = m.place(b"\x5a" * (4 * stride * pairs), GUARD, GUARD)
            m.call(f"eb_{stem}", m.place(x.tobytes()), to, count, stride, second, pairs)
            assert m.read(to - 64, 64) == m.read(to + 4 * stride * pairs, 64) == GUARD
            words = np.frombuffer(m.read(to, 4 * stride * pairs), "<u4").reshape(pairs, stride)
            wide = (x.astype(np.int64) + 128).reshape(pairs, 2, count)
            want = wide[:, 0] | wide[:, 1 if second else 0] << 16
            np.testing.assert_array_equal(words[:, :count], want)
            assert (words[:, count:] == 0x5A5A5A5A).all()


@pytest.mark.parametrize("variant", ["ref", "armv6m", "armv7em"])
def test_pixels_that_follow_one_another_are_packed(variant: str, tmp_path: Path) -> None:
    packs_lines(f"pack_line__{variant}", tmp_path)


@pytest.mark.parametrize(
    ("file", "text", "bug"),
    [
        ("pack_bytes/step_armv7em.h", "sxtab16 r7, r10, r8, ror #8", "sxtab16 r7, r10, r8"),
        ("pack_bytes/step_armv7em.h", "pkhtb r9, r7, r6, asr #16", "pkhtb r9, r6, r7, asr #16"),
        ("pack_line/pack_line__armv7em.c", "mov r0, r4", "nop"),
        ("pack_line/pack_line__armv7em.c", "bmi 3f", "nop"),
        ("pack_bytes/step_armv6m.h", "eors r4, r7", "nop"),
        ("pack_bytes/step_armv6m.h", "movs r5, r6\\n ands r5, r7", "movs r5, r6\\n nop"),
        ("pack_line/pack_line__armv6m.c", "movs r0, r1", "nop"),
        ("pack_line/pack_line__armv6m.c", "bmi 3f", "nop"),
    ],
)
def test_a_bug_planted_in_packing_is_found(file: str, text: str, bug: str, tmp_path: Path) -> None:
    runtime = planted(tmp_path, file, text, bug)
    with pytest.raises((AssertionError, UcError)):
        packs_lines(f"pack_line__{Path(file).stem.split('_')[-1]}", tmp_path, runtime)


def test_kernels_equal_numpy(machine: Machine) -> None:
    @FEW
    @given(problems(PIXELS, 255), st.integers(0, 2**32 - 1), st.integers(0, 3))
    def check(problem: tuple[S8, S8, int], seed: int, skip: int) -> None:
        trits, x, past = problem
        r = draw_entries(np.random.default_rng(seed), len(trits))
        for raw in (None, layout_on(machine).pack_requant(trits, entries_of(r))):
            got = run(machine, raw, trits, x, r, skip, past)
            np.testing.assert_array_equal(got[2 * skip :], wants(trits, x, r)[2 * skip :])
            assert (got[: 2 * skip] == 0x5A).all()

    check()


@pytest.mark.parametrize("count", [1, MAX_BIASED, MAX_BIASED + 1, MAX_OF_A_SIGN + 1, MAX_NONZEROS])
@pytest.mark.parametrize(("trit", "value"), [(1, -128), (-1, -128), (1, 127), (-1, 127)])
def test_lanes_hold_at_their_limit(machine: Machine, count: int, trit: int, value: int) -> None:
    """Rows of as many equal trits as a biased sum, and any sum, may have, beside rows without any."""
    trits = np.zeros((12, 255), np.int8)
    trits[::2, -count:] = trit
    x = np.full((PIXELS, 255), value, np.int8)
    x[1::3] = -1 - value  # the pixel that shares the word goes the other way
    r = Requant(*(np.full(12, v, np.int32) for v in (77, 5 << 7, 15)), 0, -128, 127)
    raw = layout_on(machine).pack_requant(trits, entries_of(r))
    np.testing.assert_array_equal(run(machine, raw, trits, x, r), wants(trits, x, r))


def test_one_nonzero_more_breaks_the_lanes(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 129 nonzeros a lane of 129 * 255 overflows, and the reader says so (from 128 on where lanes are biased)."""
    monkeypatch.setattr(thumb_fused, "MAX_BIASED", 129)
    monkeypatch.setattr(thumb_narrow, "MAX_OF_A_SIGN", 129)
    layout = layout_on(machine)
    trits, x = np.ones((1, 129), np.int8), np.full((PIXELS, 129), 127, np.int8)
    r = Requant(*(np.full(1, v, np.int32) for v in (1 << 10, 0, 18)), 0, -128, 127)
    raw = layout.pack_requant(trits, entries_of(r))
    assert (run(machine, raw, trits, x, r) != wants(trits, x, r)).any()
    cols = 129 if layout is CODE6Q else 128
    raw = layout.pack_requant(trits[:, :cols], entries_of(r))
    with pytest.raises(EdgebitError, match="a lane may overflow"):
        layout.reader(raw, 1, cols, PixelLayout.stride(cols)).read()


def edge(past: int, sign: int) -> tuple[S8, S8, Requant]:
    """A row whose outputs reach the last number of the table, or `past` numbers past it; pixels that make it so."""
    trits = np.full((1, 6), sign, np.int8)
    x = np.full((PIXELS, 6), -128, np.int8)
    x[::2] = 127
    top = 6 * (127 if sign > 0 else 128)
    add = REACH - 1 + past - 5 * top if sign > 0 else past - REACH + 5 * 6 * 127
    mul = np.full(1, 5, np.int32)
    return trits, x, Requant(mul, np.full(1, add, np.int32), np.zeros(1, np.int32), 0, -128, 127)


@pytest.mark.parametrize(("past", "sign"), [(0, 1), (1, 1), (0, -1), (-1, -1)])
def test_only_what_the_table_holds_is_looked_up(
    machine: Machine, past: int, sign: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = layout_on(machine)
    if layout is not CODE6Q:
        pytest.skip("its code saturates by an instruction")
    trits, x, r = edge(past, sign)
    entries = entries_of(r)
    assert Row.of(entries[0], trits[0]).near == (past == 0)
    raw = layout.pack_requant(trits, entries)
    np.testing.assert_array_equal(run(machine, raw, trits, x, r), wants(trits, x, r))
    assert layout.work_requant(trits, entries)["far"] == (past != 0)
    if past:
        with monkeypatch.context() as patch:
            patch.setattr(thumb_narrow, "REACH", REACH + 1)
            bad = layout.pack_requant(trits, entries)
        assert bad != raw
        with pytest.raises(EdgebitError, match="outside the table"):
            layout.reader(bad, 1, 6, PixelLayout.stride(6)).read()


def test_the_table_is_every_number_clamped(machine: Machine) -> None:
    values = np.frombuffer(machine.read(table_of(machine), 2 * REACH), np.int8)
    np.testing.assert_array_equal(values, np.arange(-REACH, REACH).clip(-128, 127))


@LAYOUTS
@settings(max_examples=20, deadline=None, database=None)
@given(problem=problems(PIXELS, 160), seed=st.integers(0, 2**32 - 1))
def test_code_is_read_back(layout: FusedLayout, problem: tuple[S8, S8, int], seed: int) -> None:
    trits = problem[0]
    entries = entries_of(draw_entries(np.random.default_rng(seed), len(trits)))
    raw = layout.pack_requant(trits, entries)
    read, found = layout.reader(raw, *trits.shape, PixelLayout.stride(trits.shape[1])).read()
    np.testing.assert_array_equal(read, trits)
    assert found == entries
    np.testing.assert_array_equal(layout.unpack(layout.pack(trits), *trits.shape), trits)
    with pytest.raises(EdgebitError):
        layout.unpack(raw[:-2], *trits.shape)


@LAYOUTS
def test_damaged_code_is_refused_or_computes_something_else_known(layout: FusedLayout) -> None:
    """A flipped bit never makes the reader fail with anything but its own error."""
    rng = np.random.default_rng(5)
    trits = rng.integers(-1, 2, (12, 40)).astype(np.int8)
    raw = layout.pack_requant(trits, entries_of(draw_entries(rng, 12)))
    refused = 0
    for _ in range(80):
        damaged = bytearray(raw)
        damaged[int(rng.integers(len(raw)))] ^= 1 << int(rng.integers(8))
        try:
            layout.unpack(bytes(damaged), 12, 40)
        except EdgebitError:
            refused += 1
    assert refused > 40


@LAYOUTS
def test_limits_name_what_is_too_much(layout: FusedLayout) -> None:
    limits = layout.limits
    assert limits(np.ones((8, 255), np.int8)) is None
    assert "255 nonzero" in str(limits(np.ones((8, 256), np.int8)))
    assert "2048 rows" in str(limits(np.zeros((2049, 8), np.int8)))


def tile_samples(family: str, count: int) -> list[Sample]:
    """Random layers that the family takes, every other one a 1 x 1 kernel over all pixels of its image."""
    rng = np.random.default_rng(len(family))
    found: list[Sample] = []
    while len(found) < count:
        c, outs = int(rng.choice([3, 4, 12])), int(rng.integers(1, 20))
        h, w = int(rng.integers(1, 8)), int(rng.integers(1, 8))
        k, stride, pad = (
            (1, 1, 0) if len(found) % 2 else (int(rng.integers(1, 4)), int(rng.integers(1, 3)), 1)
        )
        attrs = {"strides": (stride,) * 2, "pads": (pad,) * 4, "dilations": (1, 1), "groups": 1}
        s = linear_sample(rng, "conv2d", (2, h, w, c), (outs, k, k, c), attrs, 2)
        if family in op_of(s.graph.nodes[0]).families(s.graph.nodes[0], s.graph):
            found.append(s)
    return found


def test_layers_by_the_reference_equal_numpy() -> None:
    """Both drivers of tiles, with sanitizers, and with the output over the input as far as the planner may place it."""
    chosen: dict[int, KernelChoice] = {}
    samples: list[Sample] = []
    for family in ("tdots_s8", "tpixels_fused_s8"):
        stem = f"{family}__ref"
        choice = KernelChoice(stem, all_kernels()[stem].layout)
        found = tile_samples(family, 8)
        chosen |= {id(s.graph): choice for s in found}
        drivers = {op_of(n).lower(n, s.graph, choice).function for s in found for n in s.graph.nodes}
        assert {d.rsplit("_", 1)[1] for d in drivers} >= {"line", "copied", "padded"}
        samples += found
    assert check_samples(samples, lambda node, graph: chosen[id(graph)]) >= 24


def words_and_literals(raw: bytes) -> tuple[npt.NDArray[np.uint16], list[int]]:
    """The halfwords of code, and those that C holds as data."""
    text = machine_code("code", raw)
    words = np.frombuffer(raw, "<u2")
    assert [int(w, 16) for w in re.findall("0x[0-9a-f]{4}", text)] == words.tolist()
    data = [line for line in text.splitlines() if ".hword" in line]
    return words, [int(w, 16) for line in data for w in re.findall("0x[0-9a-f]{4}", line)]


def test_literals_are_data_in_c_and_stay_inside_the_code() -> None:
    """What is loaded from behind a loop is no instruction: disassemblers, and the check of images, must know."""
    rng = np.random.default_rng(11)
    trits = rng.integers(-1, 2, (24, 9)).astype(np.int8)
    raw = CODE7Q.pack_requant(trits, entries_of(draw_entries(rng, 24)))
    words, literals = words_and_literals(raw)
    loads = np.flatnonzero(words == 0xF8DF)
    assert 0 < len(literals) == 2 * len(loads)
    damaged = words.copy()
    damaged[loads[-1] + 1] |= 0xFFC
    with pytest.raises(EdgebitError, match="a literal outside it"):
        FusedReader(damaged.tobytes(), 24, 9, PixelLayout.stride(9)).read()


@pytest.mark.parametrize("cols", [9, 330])
def test_literals_behind_a_jump_are_data_too(cols: int) -> None:
    """Whether the jump is a short one or a call: two numbers a row, and in each tile a halfword that aligns them."""
    rng = np.random.default_rng(11)
    trits = rng.integers(-1, 2, (22, cols)).astype(np.int8)
    entries = entries_of(draw_entries(rng, 22))
    _, literals = words_and_literals(CODE6Q.pack_requant(trits, entries))
    assert 4 * 22 <= len(literals) <= 4 * 22 + 2
    assert {e.mul & 0xFFFF for e in entries} <= set(literals)
