"""3 x 3 depthwise convolutions by bands of rows: kernels in an emulated core against NumPy, the layouts they read, and
bugs planted in the kernels."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from check_runner import RUNTIME, Kernel, Machine, kernels, planted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qemu_machine import QemuMachine, close, open_machine
from unicorn.unicorn import UcError

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Requant
from edgebit.layouts.base import layout_of, round_up
from edgebit.layouts.dwquads import BandLayout
from edgebit.ops.depthwise_c import FAMILIES
from edgebit.ops.linear_samples import linear_sample
from edgebit.ops.requant import requantise
from edgebit.plan.kernels import candidates, load_core

CORES = ("cortex-m0plus", "cortex-m4f", "cortex-m7", "cortex-m33", "cortex-m55")
GUARD = bytes(range(160, 224))
S8 = npt.NDArray[np.int8]
Loaded = tuple[Machine | QemuMachine, list[Kernel]]
FEW = settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@dataclass(frozen=True)
class Problem:
    """A band: weights (9, channels), rows of pixels (inside, channels) or None for padding."""

    w: S8
    rows: list[S8 | None]
    stride: int
    outs: int
    lead: int
    inside: int
    padding: int
    requant: Requant
    turned: bool = False  # rows of inputs and of outputs lie side by side in memory, not one after the other
    width: int = 0  # of a turned image, in outputs; 0: the band's
    wanted: int = 0  # output rows that are read; 0: all of the band's

    @property
    def channels(self) -> int:
        return int(self.w.shape[1])

    def wants(self, band: int) -> S8:
        """(band, outs, channels)"""
        columns = self.stride * (self.outs - 1) + 3
        x = np.full((len(self.rows), columns, self.channels), self.padding, np.int64)
        for to, row in zip(x, self.rows, strict=True):
            if row is not None:
                to[self.lead : self.lead + self.inside] = row
        acc = np.zeros((band, self.outs, self.channels), np.int64)
        s = self.stride
        for t in range(9):
            ky, kx = divmod(t, 3)
            part = x[ky : ky + s * (band - 1) + 1 : s, kx : kx + s * (self.outs - 1) + 1 : s]
            acc += part * self.w[t]
        return requantise(acc.astype(np.int32), self.requant)


def band_of(k: Kernel, stride: int) -> int:
    layout = layout_of(k.layout)
    return layout.band(k.symbol.removeprefix("eb_"), stride) if isinstance(layout, BandLayout) else 6


def run(m: Machine | QemuMachine, k: Kernel, p: Problem) -> tuple[S8, int]:
    """What the kernel makes of a problem, and its band."""
    layout = layout_of(k.layout)
    stem = k.symbol.removeprefix("eb_")
    banded = isinstance(layout, BandLayout)
    band = band_of(k, p.stride)
    columns = p.stride * (p.outs - 1) + 3
    m.reset()
    pad = m.place(bytes([p.padding & 0xFF]) * p.channels, GUARD, GUARD)
    table = b""
    step = 3 * p.channels if p.turned else p.channels
    for row in p.rows[: round_up(p.stride * (band - 1) + 3, 2)]:
        pixels = np.full((p.inside, step), 99, np.int8)
        pixels[:, : p.channels] = 0 if row is None else row
        at = pad if row is None else m.place(pixels.tobytes(), GUARD, GUARD)
        table += struct.pack("<Ii", at, 0 if row is None else step)
    r = p.requant
    entries = np.zeros(p.channels, [("add", "<i4"), ("mul", "<i2"), ("shift", "<i2")])
    entries["add"], entries["mul"], entries["shift"] = r.add, r.mul, r.shift
    width = p.width or band
    size = ((p.outs - 1) * width + band if p.turned else band * p.outs) * p.channels
    plane_size = layout.plane(stem, columns, p.stride) if isinstance(layout, BandLayout) else 0
    w = m.place(layout.pack(p.w), GUARD, GUARD)
    e = m.place(entries.tobytes(), GUARD, GUARD)
    y = m.place(b"\x5a" * size, GUARD, GUARD)
    plane = m.place(b"\xc3" * plane_size, GUARD, GUARD)
    half = (1 << r.pre_shift) >> 1
    y_row, y_pixel = (1, width) if p.turned else (p.outs, 1)
    head = (y, y_row * p.channels, p.channels, columns, p.lead, p.inside, p.stride, p.outs, p.padding)
    job = struct.pack("<I8iIi4i", *head, plane, band, half, r.pre_shift, r.qmin, r.qmax)
    job += struct.pack("<3i", step, y_pixel * p.channels, p.wanted or band) + table
    at = m.place(job, GUARD, GUARD)
    m.call(k.symbol, w, e, at)
    for start, n in ((y, size), (plane, plane_size), (at, len(job))):
        assert m.read(start - 64, 64) == GUARD, f"{k.symbol} wrote before a buffer"
        assert m.read(start + n, 64) == GUARD, f"{k.symbol} wrote past a buffer"
    assert m.read(at, len(job)) == job
    assert banded or plane_size == 0
    made = np.frombuffer(m.read(y, size), np.int8)
    if p.turned:
        image = made[: p.outs * width * p.channels]
        return image.reshape(p.outs, width, p.channels).transpose(1, 0, 2), band
    return made.reshape(band, p.outs, p.channels), band


def draw_problem(rng: np.random.Generator, ternary: bool, kind: str) -> Problem:
    channels, outs = int(rng.choice([*range(1, 9), 8, 16, 21])), int(rng.integers(1, 14))
    stride = int(rng.integers(1, 3))
    columns = stride * (outs - 1) + 3
    lead = int(rng.integers(0, min(3, columns)))
    inside = int(rng.integers(max(1, columns - lead - 2), columns - lead + 1))
    top = 1 if ternary else 127
    low, high = -top - (not ternary), top
    w = rng.integers(low, high + 1, (9, channels))
    values: Any = np.arange(-128, 128)
    if kind == "extremes":
        w, values = rng.choice([low, high], (9, channels)), np.array([-128, 127])
    elif kind == "most":
        w = np.broadcast_to(rng.choice([low, high], channels), (9, channels))
        values = rng.choice([-128, 127], 1)
    elif kind == "sparse":
        w = w * (rng.random((9, channels)) < 0.2)
    rows: list[S8 | None] = []
    for _ in range(14):
        padded = rng.random() < 0.2
        rows.append(None if padded else rng.choice(values, (inside, channels)).astype(np.int8))
    pre = 0 if rng.random() < 0.6 else int(rng.integers(1, 6))
    limits = ((-128, 127), (-128, 127), (-100, 90), (0, 127))[int(rng.integers(4))]
    mul = rng.integers(-(2**13) + 1, 2**13, channels).astype(np.int32)
    scale = 11 if ternary else 18
    shift = rng.integers(scale, scale + 4, channels).astype(np.int32)
    add = rng.integers(-(2**20), 2**20, channels).astype(np.int32)
    r = Requant(mul, add, shift, pre, *limits)
    return Problem(w.astype(np.int8), rows, stride, outs, lead, inside, int(values[0]), r, rng.random() < 0.4)


@pytest.fixture(scope="module", params=CORES)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    machine, found = load(request.param, tmp_path_factory.mktemp("bands"))
    yield machine, found
    close(machine)


def load(core: str, folder: Path, runtime: Path = RUNTIME) -> Loaded:
    found = [k for f in FAMILIES for k in kernels(core, f, runtime)]
    return open_machine(core, [k.path for k in found], folder, runtime), found


def agree(m: Machine | QemuMachine, found: list[Kernel], seed: int, kind: str) -> None:
    for k in found:
        rng = np.random.default_rng(seed)
        p = draw_problem(rng, k.family == "dwconv3x3_t_s8", kind)
        if layout_of(k.layout).limits(p.w) is not None:
            continue
        band = band_of(k, p.stride)
        p = replace(p, wanted=int(rng.integers(1, band + 1)))
        np.testing.assert_array_equal(
            run(m, k, p)[0][: p.wanted], p.wants(band)[: p.wanted], f"{k.symbol} {p}"
        )


def many_agree(m: Machine | QemuMachine, found: list[Kernel]) -> None:
    for seed in range(60):
        agree(m, found, seed, ["random", "extremes", "most", "sparse"][seed % 4])
    eight_agree(m, found)


def eight_agree(m: Machine | QemuMachine, found: list[Kernel]) -> None:
    """Helium computes two outputs of so many channels at once."""
    drawn = (draw_problem(np.random.default_rng(seed), True, "random") for seed in range(150, 600))
    plain = [p for p in drawn if p.stride == 1 and not p.turned and not p.requant.pre_shift]
    for p in [p for p in plain if p.channels == 8 and p.inside > 4][:8]:
        for k in found:
            if k.family == "dwconv3x3_t_s8":
                got, band = run(m, k, p)
                np.testing.assert_array_equal(got, p.wants(band), f"{k.symbol} {p}")


def test_bands_equal_numpy(loaded: Loaded) -> None:
    machine, found = loaded
    assert len(found) >= 3

    @FEW
    @given(st.integers(0, 2**32 - 1), st.sampled_from(["random", "extremes", "most", "sparse"]))
    def check(seed: int, kind: str) -> None:
        agree(machine, found, seed, kind)

    check()


@pytest.mark.parametrize("stride", [1, 2])
def test_every_column_of_trits(stride: int, loaded: Loaded) -> None:
    """All 27 kernel columns at all three places, with inputs that fill the lanes."""
    machine, found = loaded
    rng = np.random.default_rng(4)
    columns = np.array([[a, b, c] for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1)], np.int8)
    w = np.stack([columns, np.roll(columns, 1, 0), np.roll(columns, 11, 0)], axis=2)  # (27, ky, kx)
    p = draw_problem(rng, True, "random")
    entry = Requant(*(np.full(27, v, np.int32) for v in (900, 1 << 10, 12)), 0, -128, 127)
    inside = stride * 4 + 3
    rows: list[S8 | None] = [rng.choice([-128, 127], (inside, 27)).astype(np.int8) for _ in range(14)]
    p = replace(p, w=w.reshape(27, 9).T.copy(), rows=rows, stride=stride, outs=5, lead=0, inside=inside)
    p = replace(p, requant=entry)
    for k in found:
        if k.family == "dwconv3x3_t_s8":
            got, band = run(machine, k, p)
            np.testing.assert_array_equal(got, p.wants(band), k.symbol)


def test_every_shift(loaded: Loaded) -> None:
    """Kernels may have code of their own for usual ones."""
    machine, found = loaded
    for shift in range(31):
        p = draw_problem(np.random.default_rng(shift), True, "random")
        shifts = np.full(p.channels, shift, np.int32)
        p = replace(p, requant=Requant(p.requant.mul, p.requant.add, shifts, 0, -128, 127))
        for k in found:
            if k.family == "dwconv3x3_t_s8" and layout_of(k.layout).limits(p.w) is None:
                got, band = run(machine, k, p)
                np.testing.assert_array_equal(got, p.wants(band), f"{k.symbol} {p}")


def test_eight_channels(loaded: Loaded) -> None:
    eight_agree(*loaded)


def test_turned_images_of_one_column(loaded: Loaded) -> None:
    """The band is wider than the image: rows fall together with the next output of the first, which must stay."""
    machine, found = loaded
    for seed in range(12):
        for k in found:
            drawn = draw_problem(np.random.default_rng(seed), k.family == "dwconv3x3_t_s8", "random")
            p = replace(drawn, turned=True, width=1)
            if layout_of(k.layout).limits(p.w) is None:
                got, band = run(machine, k, p)
                np.testing.assert_array_equal(got, p.wants(band)[:1], f"{k.symbol} {p}")


@pytest.mark.parametrize("name", ["dwquads", "dwquads_t", "dwcols", "dwcols4", "dwvecs"])
@settings(max_examples=40, deadline=None, database=None)
@given(cols=st.integers(1, 20), seed=st.integers(0, 2**32 - 1))
def test_band_layouts_round_trip(name: str, cols: int, seed: int) -> None:
    layout = layout_of(name)
    low, high = (-1, 1) if layout.element == "trit" else (-128, 127)
    if name == "dwcols4":
        assert "at least 4 channels" in str(layout.limits(np.zeros((9, 3), np.int8)))
        cols += 3
    w = np.random.default_rng(seed).integers(low, high + 1, (9, cols)).astype(np.int8)
    raw = layout.pack(w)
    np.testing.assert_array_equal(layout.unpack(raw, 9, cols), w)
    assert layout.bits_per_weight(9, cols) == pytest.approx(8 * len(raw) / w.size)
    assert layout.limits(w) is None
    assert "9 taps" in str(layout.limits(w[:8]))
    damaged = raw[:1] + bytes([raw[1] ^ 0x41]) + raw[2:]
    for bad in (raw[:-1], raw + bytes(3), damaged):
        with pytest.raises(EdgebitError):
            layout.unpack(bad, 9, cols)
    with pytest.raises(EdgebitError):
        layout.pack(np.full((9, cols), 2, np.int16))
    with pytest.raises(EdgebitError):
        layout.pack(w[:8])


PLANTED = [
    ("cortex-m0plus", "dwconv3x3_t_s8/dwconv3x3_t_s8__armv6m.c", 'I_mp(sum, x, y) "subs "', 'I_mp(sum, x, y) "adds "'),
    ("cortex-m0plus", "dwconv3x3_t_s8/dwconv3x3_t_s8__armv6m.c", "subs r4, r4, r7\\n asrs", "asrs"),
    ("cortex-m0plus", "dwconv3x3_t_s8/dwconv3x3_t_s8__armv6m.c", "cmp r1, r4\\n bne 7f", "cmp r1, r4"),
    ("cortex-m0plus", "dwconv3x3_t_s8/dwconv3x3_t_s8__armv6m.c", 'P##_END("40")', 'P##_END("80")'),
    ("cortex-m4f", "dwconv3x3_s8/band_armv7em.h", "smultb r10, r11, r4", "smulbb r10, r11, r4"),
    ("cortex-m4f", "dwconv3x3_s8/band_armv7em.h", "add lr, lr, #4", "add lr, lr, #8"),
    ("cortex-m4f", "dwconv3x3_s8/band_armv7em.h", "bmi 92f", "nop"),
    ("cortex-m4f", "dwconv3x3_t_s8/dwconv3x3_t_s8__armv7em_lanes.c", "#define N_p(d, u, v) F_m(d, v, u)", "#define N_p(d, u, v) F_m(d, u, v)"),
    ("cortex-m4f", "dwconv3x3_t_s8/dwconv3x3_t_s8__armv7em_lanes.c", "sxtb16 r9, r7\\n", "sxtb16 r9, r6\\n"),
    ("cortex-m55", "dwconv3x3_t_s8/dwconv3x3_t_s8__mve.c", '"q5", "q1", "t"', '"q5", "q1", "b"'),
    ("cortex-m55", "dwconv3x3_t_s8/dwconv3x3_t_s8__mve.c", "(job->stride - 2)", "(job->stride - 1)"),
    ("cortex-m55", "dwconv3x3_t_s8/dwconv3x3_t_s8__mve.c", "vpst\\n vstrbt.8 ", "vstrb.8 "),
    ("cortex-m55", "dwconv3x3_t_s8/dwconv3x3_t_s8__mve.c", "o->y_pixel = LANES;", "o->y_pixel = HALF;"),
    ("cortex-m4f", "dwconv3x3_t_s8/dwconv3x3_t_s8__armv7em_lanes.c", "it gt\\n movgt r0, r1", "nop"),
    ("cortex-m0plus", "dwconv3x3_t_s8/dwconv3x3_t_s8__armv6m.c", "[r3, r2]\\n lsls r5, r5, #16", "[r3, r2]"),
    ("cortex-m0plus", "dwconv3x3_t_s8/dwconv3x3_t_s8__armv6m.c", "cmp r4, #6", "cmp r4, #5"),
]  # fmt: skip


@pytest.mark.parametrize(("core", "file", "text", "bug"), PLANTED, ids=lambda v: str(v)[-20:])
def test_a_planted_bug_is_found(core: str, file: str, text: str, bug: str, tmp_path: Path) -> None:
    runtime = planted(tmp_path, file, text, bug)
    machine, found = load(core, tmp_path, runtime)
    try:
        with pytest.raises((AssertionError, UcError)):
            many_agree(machine, found)
    finally:
        close(machine)


@pytest.mark.parametrize(("core", "most"), [("cortex-m0plus", 3.0), ("cortex-m4f", 1.7)])
def test_bands_stay_fast(core: str, most: float, tmp_path: Path) -> None:
    """Executed instructions for a product of a band of 24 columns, requantisation included."""
    machine, found = load(core, tmp_path)
    assert isinstance(machine, Machine)
    machine.count_instructions()
    rng = np.random.default_rng(8)
    fast = [k for k in found if k.family == "dwconv3x3_t_s8" and k.variant != "ref"][-1]
    w = (rng.choice([-1, 1], (9, 16)) * (rng.random((9, 16)) < 0.6)).astype(np.int8)
    rows: list[S8 | None] = [rng.integers(-128, 128, (26, 16)).astype(np.int8) for _ in range(14)]
    entry = Requant(*(np.full(16, v, np.int32) for v in (900, 1 << 10, 12)), 0, -128, 127)
    p = Problem(w, rows, 1, 24, 0, 26, 0, entry)
    got, band = run(machine, fast, p)
    np.testing.assert_array_equal(got, p.wants(band))
    assert machine.instructions is not None
    assert machine.instructions / (9 * got.size) < most


@pytest.mark.parametrize("core", CORES)
def test_bands_are_chosen_where_they_pay(core: str) -> None:
    rng = np.random.default_rng(3)
    attrs = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "groups": 32}
    while True:
        s = linear_sample(rng, "conv2d", (1, 24, 24, 32), (32, 3, 3, 1), attrs, 1)
        if s.note.startswith("requant trit"):
            break
    best = candidates(s.graph.nodes[0], s.graph, load_core(core))[0]
    assert best.stem.startswith(("dwconv3x3_t_s8__arm", "dwconv3x3_t_s8__mve"))
    assert best.modelled
