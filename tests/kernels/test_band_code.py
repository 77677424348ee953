"""Bands of 3 x 3 depthwise convolutions whose weights are code: in an emulated core against NumPy, their driver on the
host, the code read back, and bugs planted in it and in what copies its inputs."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import c_harness
import numpy as np
import numpy.typing as npt
import pytest
from check_runner import RUNTIME, Machine, build, planted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_depthwise_band_layers import band_samples
from test_fused_kernels import CODE, GUARD, draw_entries, entries_of, table_of
from unicorn import UcError

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Graph, Node, Requant
from edgebit.layouts import thumb_depthwise, thumb_narrow_depthwise
from edgebit.layouts.base import layout_of
from edgebit.layouts.code6d import Code6d
from edgebit.layouts.code7d import BandLayout, Code7d
from edgebit.layouts.thumb_depthwise import MAX_REACH, Band
from edgebit.layouts.thumb_fused import Entry
from edgebit.layouts.thumb_narrow import REACH
from edgebit.ops.bands_c import BAND_FAMILY
from edgebit.ops.base import KernelChoice, Sample, op_of
from edgebit.ops.code_c import CLAMP_TABLE
from edgebit.ops.linear_samples import linear_sample
from edgebit.ops.requant import requantise
from edgebit.plan.kernels import candidates, load_core

CODE7D, CODE6D = Code7d(), Code6d()
LAYOUTS: dict[str, BandLayout] = {
    "cortex-m4f": CODE7D,
    "cortex-m7": CODE7D,
    "cortex-m33": CODE7D,
    "cortex-m0plus": CODE6D,
}
CORES = tuple(LAYOUTS)
EITHER = pytest.mark.parametrize("layout", [CODE7D, CODE6D], ids=lambda layout: layout.name)
REF = f"{BAND_FAMILY}__ref"
KINDS = ("random", "extremes", "most", "sparse")
FEW = settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
S8 = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Problem:
    """trits (9, channels), x (rows, columns, channels) as it lies in memory or, `turned`, columns first."""

    trits: S8
    x: S8
    band: Band
    turned: bool
    requant: Requant
    layout: BandLayout

    def wants(self) -> S8:
        """(rows, outs, channels)"""
        b, s = self.band, self.band.stride
        lead = np.full((b.inputs, b.lead, self.trits.shape[1]), b.padding, np.int64)
        x = np.concatenate([lead, self.x.astype(np.int64)], axis=1)
        acc = np.zeros((b.rows, b.outs, self.trits.shape[1]), np.int64)
        for ky in range(3):
            for kx in range(3):
                part = x[ky : ky + s * (b.rows - 1) + 1 : s, kx : kx + s * (b.outs - 1) + 1 : s]
                acc += part * self.trits[3 * ky + kx]
        return requantise(acc.astype(np.int32), self.requant)

    @property
    def code(self) -> bytes:
        return self.layout.pack_band(self.trits, entries_of(self.requant), self.band).raw

    def read(self, raw: bytes) -> tuple[S8, list[Entry]]:
        return self.layout.reader(raw, self.trits.shape[1], self.band).read()


def draw(rng: np.random.Generator, kind: str, layout: BandLayout, channels: int = 0, **fixed: int) -> Problem:
    """Of the band `fixed` says what is not random; it has no more rows than the layout takes."""
    channels = channels or int(rng.choice([1, 2, 3, 4, 8, 21]))
    rows, outs, stride, lead = (int(rng.integers(*v)) for v in ((1, 7), (1, 9), (1, 3), (0, 2)))
    chosen = {"rows": rows, "outs": outs, "stride": stride, "lead": lead} | fixed
    chosen["rows"] = min(chosen["rows"], layout.most)
    inputs = chosen["stride"] * (chosen["rows"] - 1) + 3
    columns = chosen["stride"] * (chosen["outs"] - 1) + 3 - chosen["lead"]
    turned = rng.random() < 0.5 or layout.upright or (inputs - 1) * columns * channels > MAX_REACH
    gap = 5 * int(rng.integers(2)) * (channels < 100)  # between outputs of one column and the next
    x_row, x_col = (channels, inputs * channels) if turned else (columns * channels, channels)
    y_col = channels + gap
    trits = rng.integers(-1, 2, (9, channels))
    values: Any = np.arange(-128, 128)
    if kind == "extremes":
        trits, values = rng.choice([-1, 1], (9, channels)), np.array([-128, 127])
    elif kind == "most":
        trits, values = (
            np.broadcast_to(rng.choice([-1, 1], channels), (9, channels)),
            rng.choice([-128, 127], 1),
        )
    elif kind == "sparse":
        trits = trits * (rng.random((9, channels)) < 0.2)
    x = rng.choice(values, (inputs, columns, channels)).astype(np.int8)
    r = draw_entries(rng, channels)
    if rng.random() < 0.8:  # outputs that tell one sum from another
        mul = rng.choice([-1, 1], channels) * rng.integers(2**13, 2**15, channels)
        shift, add = rng.integers(14, 19, channels), rng.integers(-(2**19), 2**19, channels)
        r = Requant(mul.astype(np.int32), add.astype(np.int32), shift.astype(np.int32), 0, -128, 127)
    band = Band(
        padding=int(values[0]), x_row=x_row, x_col=x_col, y_row=chosen["outs"] * y_col, y_col=y_col, **chosen
    )
    return Problem(trits.astype(np.int8), x, band, turned, r, layout)


def run(m: Machine, p: Problem, raw: bytes | None) -> S8:
    """(rows, outs, channels) outputs of code, or of the reference when raw is None."""
    m.reset()
    b, channels = p.band, p.trits.shape[1]
    x = m.place(np.ascontiguousarray(p.x.transpose(1, 0, 2) if p.turned else p.x).tobytes(), GUARD, GUARD)
    size = b.rows * b.y_row
    y = m.place(b"\x5a" * size, GUARD, GUARD)
    if raw is None:
        entries = np.zeros(channels, [("add", "<i4"), ("mul", "<i2"), ("shift", "<i2")])
        entries["add"], entries["mul"], entries["shift"] = p.requant.add, p.requant.mul, p.requant.shift
        job = (
            x,
            y,
            b.rows,
            b.outs,
            channels,
            b.stride,
            b.lead,
            b.padding,
            b.x_row,
            b.x_col,
            b.y_row,
            b.y_col,
        )
        w = m.place(layout_of("t2").pack(p.trits), GUARD, GUARD)
        m.call(
            f"eb_{REF}",
            w,
            m.place(entries.tobytes(), GUARD, GUARD),
            m.place(struct.pack("<2I10i", *job), GUARD, GUARD),
        )
    else:
        m.uc.mem_write(CODE, raw)
        m.uc.ctl_flush_tb()  # calls before this one had other code there
        m.call(CODE, x, y, *([table_of(m) + REACH] if p.layout.clamps else []))
    assert m.read(y - 64, 64) == m.read(y + size, 64) == GUARD, "wrote beside y"
    made = np.frombuffer(m.read(y, size), np.int8).reshape(b.rows, b.outs, b.y_col)
    assert (made[:, :, channels:] == 0x5A).all(), "wrote between outputs"
    return made[:, :, :channels]


@pytest.fixture(scope="module", params=CORES)
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return open_machine(request.param, tmp_path_factory.mktemp("bands"))


def copy_on(core: str) -> str:
    """The kernel that copies inputs."""
    return f"copy_runs__{'armv6m' if core == 'cortex-m0plus' else 'armv7em'}"


def open_machine(core: str, folder: Path, runtime: Path = RUNTIME) -> Machine:
    stems = (REF, copy_on(core), CLAMP_TABLE)
    sources = [runtime / "kernels" / s.split("__")[0] / f"{s}.c" for s in stems]
    return Machine(core, build(core, sources, folder / "k.elf", f"eb_{REF}", runtime=runtime))


def test_kernels_equal_numpy(machine: Machine) -> None:
    @FEW
    @given(st.integers(0, 2**32 - 1), st.sampled_from(KINDS))
    def check(seed: int, kind: str) -> None:
        p = draw(np.random.default_rng(seed), kind, LAYOUTS[machine.spec.name])
        for raw in (None, p.code):
            np.testing.assert_array_equal(run(machine, p, raw), p.wants(), f"{p}")

    check()


@pytest.mark.parametrize("lead", [0, 1])
@pytest.mark.parametrize("stride", [1, 2])
def test_every_column_of_trits(stride: int, lead: int, machine: Machine) -> None:
    """All 27 kernel columns at all three places, with inputs that fill the lanes, and channels without weights."""
    rng = np.random.default_rng(4)
    columns = np.array([[a, b, c] for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1)], np.int8)
    for shifts in ((0, 1, 11), (0, 13, 13), (13, 0, 0), (13, 13, 0), (0, 0, 0)):
        p = draw(rng, "extremes", LAYOUTS[machine.spec.name], 27, stride=stride, lead=lead, rows=6, outs=4)
        w = np.stack([columns if s != 13 else 0 * columns for s in shifts], axis=2)  # (27, ky, kx)
        w = np.stack([np.roll(w[:, :, k], s, 0) for k, s in enumerate(shifts)], axis=2)
        p = replace(p, trits=w.reshape(27, 9).T.copy())
        np.testing.assert_array_equal(run(machine, p, p.code), p.wants())


def test_every_shift_and_the_smallest_multiplier(machine: Machine) -> None:
    """The smallest multiplier cannot change its sign."""
    p = draw(np.random.default_rng(9), "random", LAYOUTS[machine.spec.name], 31)
    numbers = np.full(31, -(2**15), np.int32), np.full(31, -77, np.int32), np.arange(31, dtype=np.int32)
    p = replace(p, trits=-np.abs(p.trits), requant=Requant(*numbers, 0, -128, 127))
    np.testing.assert_array_equal(run(machine, p, p.code), p.wants())


def test_many_columns_and_wide_rows(machine: Machine) -> None:
    """Loops and distances whose instructions are the long ones."""
    layout = LAYOUTS[machine.spec.name]
    for channels, outs, fixed in (
        (100, 13, {}),
        (300, 2, {}),
        (257, 3, {"rows": 4}),
        (64, 29, {"stride": 2}),
    ):
        rng = np.random.default_rng(channels)
        p = draw(rng, "random", layout, channels, outs=outs, lead=1, **({"rows": 3, "stride": 1} | fixed))
        np.testing.assert_array_equal(run(machine, p, p.code), p.wants())
    p = draw(np.random.default_rng(6), "random", layout, 1, outs=2000, lead=1, rows=1, stride=1)
    np.testing.assert_array_equal(run(machine, p, p.code), p.wants())
    with pytest.raises(EdgebitError, match="bytes apart"):
        _ = draw(np.random.default_rng(6), "random", layout, 1100, rows=6, outs=1, stride=2).code


def test_copies_equal_numpy(machine: Machine) -> None:
    rng = np.random.default_rng(2)
    for size in (4, 8, 12, 16, 20, 28, 32, 36, 48, 60, 64, 92, 128, 384):
        copy(machine, rng, size)


def copy(m: Machine, rng: np.random.Generator, size: int) -> None:
    count, step = int(rng.integers(1, 6)), size + 4 * int(rng.integers(0, 4))
    data = rng.integers(-128, 128, (count, size)).astype(np.int8)
    m.reset()
    to = m.place(b"\x5a" * (count * step), GUARD, GUARD)
    m.call(f"eb_{copy_on(m.spec.name)}", to, m.place(data.tobytes(), GUARD, GUARD), size, count, step)
    made = np.frombuffer(m.read(to - 64, count * step + 128), np.int8)
    assert made[:64].tobytes() == made[-64:].tobytes() == GUARD
    runs = made[64:-64].reshape(count, step)
    np.testing.assert_array_equal(runs[:, :size], data)
    assert (runs[:, size:] == 0x5A).all()


@pytest.mark.parametrize(
    ("core", "text", "bug"),
    [
        ("cortex-m4f", "bhs 2b", "bhi 2b"),
        ("cortex-m4f", "lsls r4, lr, #29", "lsls r4, lr, #28"),
        ("cortex-m4f", "stmia r0, {r4-r7}", "stmia r0, {r4-r6}"),
        ("cortex-m0plus", "bhs 2b", "bhi 2b"),
        ("cortex-m0plus", "lsls r2, r2, #1", "lsls r2, r2, #2"),
        ("cortex-m0plus", "add r0, r12", "nop"),
    ],
)
def test_a_bug_planted_in_copies_is_found(core: str, text: str, bug: str, tmp_path: Path) -> None:
    m = open_machine(core, tmp_path, planted(tmp_path, f"{copy_on(core)}.c", text, bug))
    with pytest.raises(AssertionError):
        test_copies_equal_numpy(m)


def same(found: list[Entry], trits: S8, p: Problem) -> bool:
    """Whether trits and entries that were read back are those of a problem, up to a common sign."""
    wanted = entries_of(p.requant)
    sign = np.array([1 if a.mul == b.mul else -1 for a, b in zip(found, wanted, strict=True)])
    ours = [Entry(e.add, int(e.mul * s), e.shift) for e, s in zip(found, sign, strict=True)]
    return ours == wanted and all(
        (t * s == w).all() or (e.mul == 0 and (t == -w).all())
        for t, w, s, e in zip(trits.T, p.trits.T, sign, wanted, strict=True)
    )


@EITHER
@settings(max_examples=30, deadline=None, database=None)
@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from(KINDS))
def test_code_is_read_back(layout: BandLayout, seed: int, kind: str) -> None:
    p = draw(np.random.default_rng(seed), kind, layout, outs=3)
    trits, entries = p.read(p.code)
    assert same(entries, trits, p)
    raw = layout.pack(p.trits)
    np.testing.assert_array_equal(layout.unpack(raw, *p.trits.shape), p.trits)
    with pytest.raises(EdgebitError):
        layout.unpack(raw[:-2], *p.trits.shape)
    assert "9 taps" in str(layout.limits(p.trits[:8]))


@EITHER
def test_damaged_code_is_refused_or_computes_something_else_known(layout: BandLayout) -> None:
    """A flipped bit never makes the reader fail with anything but its own error."""
    rng = np.random.default_rng(5)
    p = draw(rng, "random", layout, 3, outs=3, rows=6)
    refused = 0
    for _ in range(80):
        damaged = bytearray(p.code)
        damaged[int(rng.integers(len(damaged)))] ^= 1 << int(rng.integers(8))
        try:
            trits, entries = p.read(bytes(damaged))
        except EdgebitError:
            refused += 1
        else:
            assert not same(entries, trits, p)
    assert refused > 50


def turned_signs(c: Any, does: Callable[..., None], rd: int, base: int | None, terms: Any) -> None:
    does(c, rd, base, [(-s, r) if rd == 8 else (s, r) for s, r in terms])


def plant_narrow(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bug's like in the code of Armv6-M; instead of the halves of a word it mixes outputs of two rows."""
    kind: Any = thumb_narrow_depthwise._Channels
    old_sum, old_load = kind._sum, kind._load
    if bug == "sign":
        monkeypatch.setattr(kind, "_sum", lambda c, *a: turned_signs(c, old_sum, *a))
    if bug == "row":
        monkeypatch.setattr(kind, "_load", lambda c, rd: old_load(c, 3 if rd == 2 else rd))
    if bug == "column":
        monkeypatch.setattr(thumb_narrow_depthwise, "_B", (11, 12, 12))
    if bug == "halves":
        monkeypatch.setattr(thumb_narrow_depthwise, "_OUTPUTS", (4, 5, 5))


@pytest.mark.parametrize("bug", ["sign", "row", "column", "halves"])
def test_a_bug_planted_in_the_generator_is_found(
    bug: str, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = LAYOUTS[machine.spec.name]
    if layout is CODE6D:
        plant_narrow(bug, monkeypatch)
        p = draw(np.random.default_rng(1), "random", layout, 8, rows=3, outs=4, stride=1, lead=0)
        with pytest.raises((AssertionError, UcError)):  # a register that holds no input may lead anywhere
            np.testing.assert_array_equal(run(machine, p, p.code), p.wants())
        with pytest.raises(EdgebitError):
            p.read(p.code)
        return
    kind: Any = thumb_depthwise._Channels
    old_sum, old_byte, old_multiply = kind._sum, kind._load_byte, kind._multiply
    if bug == "sign":
        monkeypatch.setattr(kind, "_sum", lambda c, *a: turned_signs(c, old_sum, *a))
    if bug == "row":
        monkeypatch.setattr(
            kind, "_load_byte", lambda c, rd, at: old_byte(c, rd, at if at != c.band.x_row else 0)
        )
    if bug == "column":
        monkeypatch.setattr(thumb_depthwise, "_B", (7, 8, 8))
    if bug == "halves":
        monkeypatch.setattr(kind, "_multiply", lambda c, i, high: old_multiply(c, i, False))
    p = draw(np.random.default_rng(1), "random", layout, 8, rows=6, outs=4, stride=1)
    assert (run(machine, p, p.code) != p.wants()).any()
    with pytest.raises(EdgebitError):
        p.read(p.code)


def choose(node: Node, graph: Graph) -> KernelChoice | None:
    """The reference kernel of the family, where it takes the layer."""
    mine = BAND_FAMILY in op_of(node).families(node, graph)
    return KernelChoice(REF, c_harness.kernel_layout(REF)) if mine else None


def taken(rng: np.random.Generator, x: tuple[int, ...], stride: int, pads: tuple[int, ...]) -> Sample:
    """A layer of the family with inputs of the shape x, (n, h, w, c)."""
    attrs = {"strides": (stride,) * 2, "pads": pads, "dilations": (1, 1), "groups": x[3]}
    while True:
        s = linear_sample(rng, "conv2d", x, (x[3], 3, 3, 1), attrs, x[0])
        if choose(s.graph.nodes[0], s.graph):
            return s


def test_layers_by_the_reference_equal_numpy_and_may_overlap() -> None:
    samples = [s for s in band_samples(7, 160) if choose(s.graph.nodes[0], s.graph)]
    rng = np.random.default_rng(8)
    for shape, stride, pads in (
        ((13, 5, 8), 1, (1, 1, 1, 1)),
        ((14, 9, 300), 2, (0, 0, 1, 1)),
        ((7, 7, 4), 1, (0,) * 4),
    ):
        samples.append(taken(rng, (2, *shape), stride, pads))
    own = [op_of(n).lower(n, s.graph, choose(n, s.graph)) for s in samples for n in s.graph.nodes]
    assert {"eb_depthwise_band_params"} == {low.params[0] for low in own if low.params}
    assert c_harness.check_samples(samples, choose=choose, extra=["-O1"]) >= 2 * len(samples) > 20


@pytest.mark.parametrize("core", CORES)
def test_code_is_chosen_where_it_pays(core: str) -> None:
    s = taken(np.random.default_rng(3), (1, 24, 24, 32), 1, (1, 1, 1, 1))
    best = candidates(s.graph.nodes[0], s.graph, load_core(core))[0]
    assert best.stem == f"{BAND_FAMILY}__{'armv6m' if core == 'cortex-m0plus' else 'armv7em'}_code"
    assert best.modelled
