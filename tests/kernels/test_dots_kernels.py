"""int8 weights by lanes of pixels: kernels in an emulated core and the driver on the host, against NumPy; the layout they
read; and bugs planted in the kernels."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import c_harness
import numpy as np
import numpy.typing as npt
import pytest
from check_runner import RUNTIME, Kernel, Machine, build, kernels, planted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unicorn.unicorn import UcError

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Graph, Node, Requant
from edgebit.layouts.base import layout_of
from edgebit.layouts.s16p2 import MAX_WORDS
from edgebit.ops.base import KernelChoice, Sample, op_of
from edgebit.ops.dots_c import DOTS_FAMILY, LANES, _Lanes
from edgebit.ops.linear import Window
from edgebit.ops.linear_samples import linear_sample
from edgebit.ops.requant import requantise
from edgebit.plan.kernels import candidates, load_core

CORES = ("cortex-m4f", "cortex-m7", "cortex-m33")
GUARD = bytes(range(160, 224))
S8 = npt.NDArray[np.int8]
FEW = settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@dataclass(frozen=True)
class Problem:
    """Weights (rows, 2 * words); inputs (words of the strip, lanes, 2), of which windows begin `step` words apart."""

    w: S8
    x: S8
    step: int
    pixels: int
    requant: Requant

    @property
    def words(self) -> int:
        return self.w.shape[1] // 2

    def wants(self) -> S8:
        """(lanes, pixels, rows)"""
        at = [u * self.step for u in range(self.pixels)]
        windows = np.stack([self.x[k : k + self.words] for k in at])  # (pixels, words, lanes, 2)
        acc = np.einsum("uklh,rkh->lur", windows.astype(int), self.w.reshape(len(self.w), -1, 2).astype(int))
        return requantise(acc.astype(np.int32), self.requant)


def draw_problem(rng: np.random.Generator, kind: str) -> Problem:
    rows, words = int(rng.integers(2, 8)), int(rng.choice([1, 2, 14, 16, 17, 18, 20, MAX_WORDS]))
    pixels, step = int(rng.integers(1, 7)), int(rng.integers(1, words + 4))
    w, values = rng.integers(-128, 128, (rows, 2 * words)), np.arange(-128, 128)
    if kind == "extremes":
        w, values = rng.choice([-128, 127], w.shape), np.array([-128, 127])
    elif kind == "most":  # all products of a row alike: sums as large as they can be
        w = np.broadcast_to(rng.choice([-128, 127], (rows, 1)), w.shape)
        values = rng.choice([-128, 127], 1)
    x = rng.choice(values, (words + (pixels - 1) * step, LANES, 2)).astype(np.int8)
    pre = 0 if rng.random() < 0.5 else int(rng.integers(1, 6))
    reach = (2 * words << 14) + 64 >> pre
    mul = rng.integers(-(2**15), 2**15, rows) % max(2, min(2**15, 2**30 // reach)) * rng.choice([-1, 1], rows)
    limits = ((-128, 127), (-128, 127), (-100, 90), (0, 127))[int(rng.integers(4))]
    shift = np.maximum(0, np.log2(np.abs(mul) * reach / 200 + 1).astype(int) - 2 * (kind == "random"))
    add = rng.integers(-(2**20), 2**20, rows)
    r = Requant(mul.astype(np.int32), add.astype(np.int32), shift.astype(np.int32), pre, *limits)
    return Problem(w.astype(np.int8), x, step, pixels, r)


def run(m: Machine, k: Kernel, p: Problem) -> S8:
    """(lanes, pixels, rows) outputs; nothing else may have been written."""
    m.reset()
    rows, r = len(p.w), p.requant
    entries = np.zeros(rows, [("add", "<i4"), ("mul", "<i2"), ("shift", "<i2")])
    entries["add"], entries["mul"], entries["shift"] = r.add, r.mul, r.shift
    size = LANES * p.pixels * rows
    w = m.place(layout_of(k.layout).pack(p.w), GUARD, GUARD)
    e = m.place(entries.tobytes(), GUARD, GUARD)
    x = m.place(p.x.astype("<i2").tobytes(), GUARD, GUARD)
    y = m.place(b"\x5a" * size, GUARD, GUARD)
    half = (1 << r.pre_shift) >> 1
    shape = (p.pixels, LANES * p.step, rows, p.pixels * rows, rows, p.words)
    job = struct.pack("<II6i4i", x, y, *shape, half, r.pre_shift, r.qmin, r.qmax)
    at = m.place(job, GUARD, GUARD)
    m.call(k.symbol, w, e, at)
    assert m.read(y - 64, 64) == m.read(y + size, 64) == GUARD, "wrote beside y"
    assert m.read(at, len(job)) == job
    return np.frombuffer(m.read(y, size), np.int8).reshape(LANES, p.pixels, rows)


def load(core: str, elf: Path, runtime: Path = RUNTIME) -> tuple[Machine, list[Kernel], list[Kernel]]:
    dots, packs = (kernels(core, family, runtime) for family in (DOTS_FAMILY, "pack_lanes"))
    build(core, [k.path for k in (*dots, *packs)], elf, dots[0].symbol, runtime=runtime)
    return Machine(core, elf), dots, packs


Loaded = dict[str, tuple[Machine, list[Kernel], list[Kernel]]]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    out = tmp_path_factory.mktemp("dots")
    return {core: load(core, out / f"{core}.elf") for core in CORES}


def agree(m: Machine, found: list[Kernel], seed: int, kind: str) -> None:
    p = draw_problem(np.random.default_rng(seed), kind)
    for k in found:
        np.testing.assert_array_equal(run(m, k, p), p.wants(), f"{k.symbol} {p}")


@pytest.mark.parametrize("core", CORES)
def test_kernels_equal_numpy(core: str, loaded: Loaded) -> None:
    machine, dots, _ = loaded[core]
    assert [k.variant for k in dots] == ["armv7em", "ref"]

    @FEW
    @given(st.integers(0, 2**32 - 1), st.sampled_from(["random", "extremes", "most"]))
    def check(seed: int, kind: str) -> None:
        agree(machine, dots, seed, kind)

    check()


@pytest.mark.parametrize("weight", [-128, 127])
@pytest.mark.parametrize("value", [-128, 127])
def test_sums_hold_at_their_limit(weight: int, value: int, loaded: Loaded) -> None:
    """The most columns, all products alike, and the sum itself as the output, bit after bit."""
    machine, dots, _ = loaded["cortex-m4f"]
    w = np.full((2, 2 * MAX_WORDS), weight, np.int8)
    x = np.full((MAX_WORDS, LANES, 2), value, np.int8)
    sums = 2 * MAX_WORDS * weight * value
    for shift in range(0, 22, 7):
        r = Requant(*(np.full(2, v, np.int32) for v in (1, -(sums >> shift << shift), shift)), 0, -128, 127)
        p = Problem(w, x, 1, 1, r)
        assert (p.wants() == (sums - (sums >> shift << shift)) >> shift).all()
        for k in dots:
            np.testing.assert_array_equal(run(machine, k, p), p.wants())


def packed(m: Machine, k: Kernel, a: S8, b: S8 | None, odd: int, following: int) -> tuple[bytes, int]:
    """What packing leaves, and its size."""
    m.reset()
    one = m.place(b"\1" + a.tobytes(), GUARD, GUARD) + 1  # unaligned
    two = 0 if b is None else m.place(b"\1\1" + b.tobytes(), GUARD, GUARD) + 2
    size = 4 * (following * len(a) + odd)
    x = m.place(b"\x5a" * size, GUARD, GUARD)
    place = m.place(struct.pack("<3i", len(a) // 4, odd, following), GUARD, GUARD)
    m.call(k.symbol, one, two, x, place)
    assert m.read(x - 64, 64) == m.read(x + size, 64) == GUARD, "wrote beside x"
    return m.read(x, size), size


@pytest.mark.parametrize("core", CORES)
def test_packing_equals_numpy(core: str, loaded: Loaded) -> None:
    machine, _, packs = loaded[core]
    rng = np.random.default_rng(1)
    assert len(packs) == 2
    for quads, odd, following in ((1, 8, 12), (1, 4, 4), (5, 20, 40), (3, 1, 3)):
        a, b = (rng.integers(-128, 128, 4 * quads).astype(np.int8) for _ in range(2))
        for second in (b, None):
            want = np.full((following * 4 * quads + odd, 2), 0x5A5A, "<i2")
            for i in range(2 * quads):
                if second is None:
                    want[i * following] = a[2 * i : 2 * i + 2]
                else:
                    want[i * following] = a[2 * i], b[2 * i]
                    want[i * following + odd] = a[2 * i + 1], b[2 * i + 1]
            for k in packs:
                got, _ = packed(machine, k, a, second, odd, following)
                assert got == want.tobytes(), (k.symbol, quads, odd, following)


def dots_samples(seed: int, count: int) -> list[Sample]:
    """Random layers that the family takes: odd sizes and steps, all paddings, one row and many."""
    rng = np.random.default_rng(seed)
    found: list[Sample] = []
    while len(found) < count:
        c, (kh, kw) = int(rng.integers(1, 5)), rng.integers(1, 6, 2)
        size = (int(rng.integers(1, 14)), int(rng.integers(1, 20)))
        pads = [int(rng.integers(0, 3)) for _ in range(4)]
        for axis, k in enumerate((kh, kw)):
            pads[axis + 2] += max(0, int(k) - size[axis] - pads[axis] - pads[axis + 2])
        strides = tuple(int(s) for s in rng.integers(1, 4, 2))
        attrs = {"strides": strides, "pads": tuple(pads), "dilations": (1, 1), "groups": 1}
        n = int(rng.integers(1, 3))
        outs = int(rng.integers(2, 9))
        s = linear_sample(rng, "conv2d", (n, *size, c), (outs, int(kh), int(kw), c), attrs, n)
        if choose_dots(s.graph.nodes[0], s.graph) is not None:
            found.append(s)
    return found


def choose_dots(node: Node, graph: Graph) -> KernelChoice | None:
    """The reference kernel of the family, None where it does not compute the layer."""
    if DOTS_FAMILY not in op_of(node).families(node, graph):
        return None
    return KernelChoice(f"{DOTS_FAMILY}__ref", c_harness.kernel_layout(f"{DOTS_FAMILY}__ref"))


def test_layers_by_lanes_equal_numpy_and_may_overlap() -> None:
    samples = dots_samples(5, 60)
    lowered = [op_of(s.graph.nodes[0]).lower(s.graph.nodes[0], s.graph, choose_dots(s.graph.nodes[0], s.graph)) for s in samples]  # fmt: skip
    seen = {(p[1]["lane_rows"], p[1]["sets"]) for p in (low.params for low in lowered) if p is not None}
    assert seen == {("0", "1"), ("0", "2"), ("1", "1"), ("1", "2")}
    assert c_harness.check_samples(samples, choose=choose_dots, extra=["-O1"]) >= 120


@settings(max_examples=40, deadline=None, database=None)
@given(st.integers(2, 12), st.integers(1, 2 * MAX_WORDS), st.integers(0, 2**32 - 1))
def test_the_layout_round_trips(rows: int, cols: int, seed: int) -> None:
    layout = layout_of("s16p2")
    w = np.random.default_rng(seed).integers(-128, 128, (rows, cols)).astype(np.int8)
    raw = layout.pack(w)
    np.testing.assert_array_equal(layout.unpack(raw, rows, cols), w)
    assert layout.bits_per_weight(rows, cols) == pytest.approx(8 * len(raw) / w.size)
    for bad in (raw[:-1], raw + bytes(8), raw[:1] + bytes([raw[1] ^ 0x41]) + raw[2:]):
        with pytest.raises(EdgebitError):
            layout.unpack(bad, rows, cols)


def test_what_the_layout_cannot_hold_is_said() -> None:
    layout = layout_of("s16p2")
    assert "at least 2 rows" in str(layout.limits(np.zeros((1, 9), np.int8)))
    assert "at most 66 columns, not 67" in str(layout.limits(np.zeros((2, 67), np.int8)))
    with pytest.raises(EdgebitError, match="at most 66"):
        layout.pack(np.zeros((2, 67), np.int8))


def test_lanes_are_rows_only_where_these_take_little_scratch() -> None:
    """Rows of a wide image waste fewer pixels, but their packed words and their ring take more than quarters' do."""
    for w, h, rows in ((96, 96, True), (94, 96, True), (322, 64, False), (30, 500, True)):
        sizes = {"oh": h // 2, "ow": w // 2, "strides": (2, 2), "pads": (0, 0, 1, 1), "dilations": (1, 1)}
        g = Window(n=1, h=h, w=w, c=3, kh=3, kw=3, outs=8, **sizes)
        taken, others = _Lanes.of(g), _Lanes._of(g, not rows)
        assert taken.lane_rows == rows
        assert rows or taken.scratch < others.scratch


PLANTED = [
    ("dots_s8/dots_s8__armv7em.c", "movgt r1, r2", "movgt r1, r1"),
    ("dots_s8/dots_s8__armv7em.c", "smlad r7, r3, r12, lr", "smladx r7, r3, r12, lr"),
    ("dots_s8/dots_s8__armv7em.c", "movs r4, #50", "movs r4, #42"),
    ("dots_s8/dots_s8__armv7em.c", "cbz r4, 7f", "b 7f"),
    ("pack_lanes/pack_lanes__armv7em.c", "pkhtb r11, r9, r8, asr #16", "pkhtb r11, r8, r9, asr #16"),
]


def everything_agrees(found: tuple[Machine, list[Kernel], list[Kernel]]) -> None:
    for seed in range(40):
        agree(found[0], found[1], seed, ["random", "extremes", "most"][seed % 3])
    test_packing_equals_numpy("these", {"these": found})


@pytest.mark.parametrize(("file", "text", "bug"), PLANTED, ids=lambda v: str(v)[-20:])
def test_a_planted_bug_is_found(file: str, text: str, bug: str, tmp_path: Path) -> None:
    runtime = planted(tmp_path, file, text, bug)
    found = load("cortex-m4f", tmp_path / "bug.elf", runtime)
    with pytest.raises((AssertionError, UcError)):
        everything_agrees(found)


@pytest.mark.parametrize("core", CORES)
def test_first_layers_run_by_lanes(core: str) -> None:
    rng = np.random.default_rng(3)
    attrs = {"strides": (2, 2), "pads": (0, 0, 1, 1), "dilations": (1, 1), "groups": 1}
    while True:
        s = linear_sample(rng, "conv2d", (1, 48, 48, 3), (8, 3, 3, 3), attrs, 1)
        if s.note.startswith("requant s8"):
            break
    best = candidates(s.graph.nodes[0], s.graph, load_core(core))[0]
    assert best.stem == f"{DOTS_FAMILY}__armv7em"
    assert best.modelled
