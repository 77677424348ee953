"""The kernels that compute strips of packed pixels, and int8 products of packed pixels: alone in an emulated core,
and in whole layers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from c_harness import check_samples, random_samples
from check_runner import RUNTIME, Machine, build
from edgebit.exporters.pipeline import ExportMeta, export_model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgebit.bench.folder import open_export
from edgebit.bench.session import connect
from edgebit.board import load_board
from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, Graph, Node, Requant, Tensor
from edgebit.layouts.base import layout_of
from edgebit.layouts.pixels import MAX_NONZEROS
from edgebit.layouts.strips import PAIRS, Strip, StripLayout
from edgebit.ops.base import KernelChoice, Sample, op_of
from edgebit.ops.requant import requantise
from edgebit.plan.kernels import all_kernels
from edgebit.plan.plan import make_plan

CORES = {"cortex-m0plus": ("ref", "armv6m"), "cortex-m4f": ("ref", "armv7em")}
BOARDS = ("pico", "mps2-an385", "mps2-an386")
GUARD = bytes(range(160, 224))
CODE = 0x0100_0000  # where a Cortex-M may execute, far behind the image
FEW = settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
STRIPS = ("tstrips_s8", "strips_s8")
FAMILIES = (*STRIPS, "pixels_s8")

S8 = npt.NDArray[np.int8]
S64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Problem:
    """Weights, packed rows for two pixels (2, kernel rows, words), and where the first window begins."""

    strip: Strip
    weights: S8
    x: S8
    at: int
    skip: int

    def exact(self) -> S64:
        """(pairs left, rows, 2): the sums."""
        rows, words = (np.array(v) for v in zip(*self.strip.places(), strict=True))
        made = [
            self.x[:, rows, self.at + j * self.strip.step + words].astype(np.int64)
            @ self.weights.T.astype(np.int64)
            for j in range(PAIRS - self.skip)
        ]
        return np.stack(made).transpose(0, 2, 1)


@st.composite
def problems(draw: st.DrawFn, ternary: bool = True) -> Problem:
    """Random ones, or driven to the extremes."""
    channels = draw(st.sampled_from([1, 2, 3, 4, 5, 8, 16, 33]))
    taps, kernel_rows = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    tap, step = channels * draw(st.integers(1, 3)), channels * draw(st.integers(1, 3))
    strip = Strip(kernel_rows, taps, channels, tap, step)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(st.integers(1, 26)), strip.cols)
    share = draw(st.sampled_from([0.0, 0.06, 0.33, 0.5, 0.7, 1.0]))
    if ternary:
        weights = np.where(rng.random(shape) < draw(st.sampled_from([0.0, 0.5, 1.0])), 1, -1)
    else:
        kind = draw(st.sampled_from(["any", "bell", "extremes", "powers"]))
        weights = {
            "any": rng.integers(-128, 128, shape),
            "bell": np.clip(np.rint(rng.normal(0, 30, shape)), -128, 127),
            "extremes": rng.choice([-128, 127], shape),
            "powers": rng.choice([-128, -64, -2, -1, 1, 2, 32, 64, 127], shape),
        }[kind]
    weights = (weights * (rng.random(shape) < share)).astype(np.int8)
    at, skip = draw(st.integers(0, 9)), draw(st.integers(0, PAIRS - 1))
    words = at + strip.width + (PAIRS - 1 - skip) * step
    values = draw(
        st.sampled_from([np.arange(-128, 128), np.array([-128, 127]), np.array([-128]), np.array([127])])
    )
    return Problem(strip, weights, rng.choice(values, (2, kernel_rows, words)).astype(np.int8), at, skip)


def sums(m: Machine, stem: str, p: Problem) -> S64:
    """(pairs left, rows, 2) sums by a kernel, summed over blocks of columns."""
    layout = layout_of(all_kernels()[stem].layout)
    rows, s = len(p.weights), p.strip
    plain = stem.startswith("strips_s8__")
    blocks = (
        layout.blocks(p.weights) if isinstance(layout, StripLayout) else 1 if plain else -(-s.cols // 255)
    )
    m.reset()
    low, high = p.x.astype(np.int64)
    packed = ((low + (high << 16)) & 0xFFFFFFFF).astype("<u4")
    lines = [m.place(row.tobytes(), GUARD, GUARD) for row in packed]
    x = m.place(np.array(lines, "<u4").tobytes())
    size = (32 if plain else 16) * rows * blocks
    acc = m.place(b"\x5a" * size, GUARD, GUARD)
    arguments = (x, acc + 4 * p.skip)
    if isinstance(layout, StripLayout):
        m.uc.mem_write(CODE, layout.pack_strip(p.weights, s))
        m.uc.ctl_flush_tb()  # other code was there before
        m.call(CODE, *arguments, 4 * p.at, 4 * p.skip)
    else:
        w = m.place(layout.pack(p.weights))
        shape = m.place(np.array([rows, s.rows, s.taps, s.channels, s.tap, s.step], "<i4").tobytes())
        m.call(f"eb_{stem}", w, *arguments, shape, 4 * p.at, 4 * p.skip)
    assert m.read(acc - 64, 64) == m.read(acc + size, 64) == GUARD, f"{stem} wrote outside acc"
    for line, row in zip(lines, packed, strict=True):
        assert m.read(line, row.nbytes) == row.tobytes(), f"{stem} wrote to its inputs"
    if plain:
        apart = np.frombuffer(m.read(acc, size), "<i4").reshape(rows, 2, PAIRS).astype(np.int64)
        assert (apart[:, :, : p.skip] == 0x5A5A5A5A).all(), f"{stem} computed pairs it was to leave out"
        return np.ascontiguousarray(apart[:, :, p.skip :].transpose(2, 0, 1))
    words = np.frombuffer(m.read(acc, size), "<u4").reshape(blocks, rows, PAIRS).astype(np.int64)
    assert (words[:, :, : p.skip] == 0x5A5A5A5A).all(), f"{stem} computed pairs it was to leave out"
    low = ((words & 0xFFFF) ^ 0x8000) - 0x8000
    high = ((words - low >> 16 & 0xFFFF) ^ 0x8000) - 0x8000
    made: S64 = np.stack([low, high], axis=-1).sum(axis=0)[:, p.skip :].transpose(1, 0, 2)
    return made


def stems(core: str, family: str) -> list[str]:
    return [k.stem for k in all_kernels().values() if k.family == family and k.isa in CORES[core]]


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Machine]:
    out = tmp_path_factory.mktemp("strips")
    made: dict[str, Machine] = {}
    for core in CORES:
        files = [
            RUNTIME / "kernels" / f / f"{s}.c" for f in (*FAMILIES, "requant_sums") for s in stems(core, f)
        ]
        made[core] = Machine(core, build(core, files, out / f"{core}.elf", "eb_tstrips_s8__ref"))
    return made


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("family", STRIPS)
def test_strips_equal_numpy(family: str, core: str, machines: dict[str, Machine]) -> None:
    found = stems(core, family)
    assert len(found) == 2

    @FEW
    @given(problems(family == "tstrips_s8"))
    def check(p: Problem) -> None:
        for stem in found:
            np.testing.assert_array_equal(sums(machines[core], stem, p), p.exact(), stem)

    check()


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize(("trit", "value"), [(1, -128), (-1, -128), (1, 127), (-1, 127)])
def test_lanes_hold_at_their_limit(core: str, trit: int, value: int, machines: dict[str, Machine]) -> None:
    """Rows of 254, 255 and 256 equal trits; the pixel that shares the word goes the other way."""
    strip = Strip(5, 4, 15, 15, 15)
    weights = np.zeros((3, strip.cols), np.int8)
    for row, count in zip(weights, (MAX_NONZEROS - 1, MAX_NONZEROS, MAX_NONZEROS + 1), strict=True):
        row[-count:] = trit
    x = np.full((2, 5, strip.width + 3 * strip.step), value, np.int8)
    x[1] = -1 - value
    p = Problem(strip, weights, x, 0, 0)
    for stem in stems(core, "tstrips_s8"):
        np.testing.assert_array_equal(sums(machines[core], stem, p), p.exact(), stem)


def test_one_nonzero_more_breaks_the_lanes(
    machines: dict[str, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the cut, 257 products of 128 overflow a lane: a wrong bound of the packer is seen here."""
    monkeypatch.setattr("edgebit.layouts.code6m.cut_columns", lambda weights, step: [0])
    strip = Strip.flat(257)
    x = np.full((2, 1, strip.width + 3 * strip.step), -128, np.int8)
    p = Problem(strip, np.ones((1, 257), np.int8), x, 0, 0)
    assert (sums(machines["cortex-m0plus"], "tstrips_s8__armv6m_code", p) != p.exact()).all()


@pytest.mark.parametrize("core", CORES)
def test_int8_pixels_equal_numpy(core: str, machines: dict[str, Machine]) -> None:
    """The reference; the code is that of strips_s8, with windows side by side."""
    m = machines[core]

    @FEW
    @given(problems(ternary=False))
    def check(p: Problem) -> None:
        rows, cols = p.weights.shape
        rng = np.random.default_rng(cols)
        x = rng.integers(-128, 128, (PAIRS, 2, cols)).astype(np.int64)
        want = np.einsum("rk,jhk->rhj", p.weights.astype(np.int64), x)
        words = rng.integers(0, 2**32, (PAIRS, cols + 5)).astype("<u4")
        words[:, :cols] = (x[:, 0] + (x[:, 1] << 16)) & 0xFFFFFFFF
        m.reset()
        w, inputs = m.place(p.weights.tobytes(), GUARD, GUARD), m.place(words.tobytes(), GUARD, GUARD)
        acc = m.place(b"\x5a" * (32 * rows), GUARD, GUARD)
        m.call("eb_pixels_s8__ref", w, inputs, acc, rows, cols, cols + 5)
        assert m.read(acc - 64, 64) == m.read(acc + 32 * rows, 64) == GUARD
        got = np.frombuffer(m.read(acc, 32 * rows), "<i4").reshape(rows, 2, PAIRS)
        np.testing.assert_array_equal(got, want)

    check()


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("weight", [1, 127, -128])
def test_int8_lanes_hold_at_their_limit(core: str, weight: int, machines: dict[str, Machine]) -> None:
    """Rows whose magnitudes add up to what a lane holds, just less and just more, with inputs of -128."""
    strip = Strip(5, 4, 15, 15, 15)
    weights = np.zeros((3, strip.cols), np.int8)
    for row, total in zip(weights, (MAX_NONZEROS - 1, MAX_NONZEROS, MAX_NONZEROS + 1), strict=True):
        row[: total // abs(weight)] = weight
        row[total // abs(weight)] = np.sign(weight) * (total % abs(weight))
    x = np.full((2, 5, strip.width + 3 * strip.step), -128, np.int8)
    x[1] = 127
    p = Problem(strip, weights, x, 0, 0)
    for stem in stems(core, "strips_s8"):
        np.testing.assert_array_equal(sums(machines[core], stem, p), p.exact(), stem)


def test_int8_lanes_that_are_emptied_too_late_are_seen(
    machines: dict[str, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgebit.layouts.thumb_products.MAX_NONZEROS", 400)
    strip = Strip.flat(40)
    x = np.full((2, 1, strip.width + 3 * strip.step), -128, np.int8)
    p = Problem(strip, np.full((1, 40), 100, np.int8), x, 0, 0)
    for core, stem in (
        ("cortex-m0plus", "strips_s8__armv6m_code"),
        ("cortex-m4f", "strips_s8__armv7em_code"),
    ):
        assert (sums(machines[core], stem, p) != p.exact()).all()


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("range_", [(-128, 127), (0, 127), (-100, 50)])
@pytest.mark.parametrize("pre_shift", [0, 5])
def test_requantisation_of_sums(
    core: str, range_: tuple[int, int], pre_shift: int, machines: dict[str, Machine]
) -> None:
    rng = np.random.default_rng([pre_shift, *(v + 128 for v in range_)])
    m = machines[core]
    for rows in (1, 2, 7, 33):
        sums_ = rng.integers(-(2**19), 2**19, (rows, 2, PAIRS)).astype(np.int32) >> (5 - pre_shift)
        mul = rng.integers(-(2**12), 2**12, rows).astype(np.int32)
        shift = rng.integers(8, 20, rows).astype(np.int32)
        add = rng.integers(-(2**20), 2**20, rows).astype(np.int32)
        want = requantise(sums_.transpose(2, 1, 0), Requant(mul, add, shift, pre_shift, *range_))
        entries = np.zeros(rows, [("add", "<i4"), ("mul", "<i2"), ("shift", "<i2")])
        entries["add"], entries["mul"], entries["shift"] = add, mul, shift
        params = np.array([(1 << pre_shift) >> 1, pre_shift, *range_], "<i4")
        for stem in stems(core, "requant_sums"):
            m.reset()
            step, apart = ((2 * rows, rows), (rows, 4 * rows + 3))[rows % 2]
            size = 3 * step + apart + rows
            at = [m.place(v.tobytes(), GUARD, GUARD) for v in (params, entries, sums_)]
            y = m.place(b"\x5a" * size, GUARD, GUARD)
            m.call(f"eb_{stem}", *at, y, rows, step, apart)
            assert m.read(y - 64, 64) == m.read(y + size, 64) == GUARD, f"{stem} wrote outside y"
            out = np.frombuffer(m.read(y, size), np.int8)
            for j in range(PAIRS):
                for h in (0, 1):
                    first = j * step + h * apart
                    np.testing.assert_array_equal(out[first : first + rows], want[j, h], stem)


@pytest.mark.parametrize("name", ["code6s", "code7s", "mul6s", "mul7s"])
def test_layouts_round_trip(name: str) -> None:
    layout = layout_of(name)
    assert isinstance(layout, StripLayout)

    @settings(max_examples=40, deadline=None, database=None)
    @given(problems(name.startswith("code")))
    def check(p: Problem) -> None:
        assert isinstance(layout, StripLayout)
        raw = layout.pack_strip(p.weights, p.strip)
        np.testing.assert_array_equal(layout.unpack_strip(raw, len(p.weights), p.strip), p.weights)
        with pytest.raises(EdgebitError):
            layout.unpack_strip(raw[:-2], len(p.weights), p.strip)

    check()


@pytest.mark.parametrize("name", ["code6s", "code7s", "mul6s", "mul7s"])
def test_damaged_weights_are_noticed(name: str) -> None:
    """Or differ, or do the same by other instructions; reading them never fails with anything else."""
    rng = np.random.default_rng(5)
    layout, strip = layout_of(name), Strip(2, 3, 4, 4, 4)
    assert isinstance(layout, StripLayout)
    most = 1 if name.startswith("code") else 100
    weights = rng.integers(-most, most + 1, (12, strip.cols)).astype(np.int8)
    raw = layout.pack_strip(weights, strip)
    noticed = 0
    for _ in range(200):
        damaged = bytearray(raw)
        damaged[int(rng.integers(len(raw)))] ^= 1 << int(rng.integers(8))
        try:
            noticed += bool((layout.unpack_strip(bytes(damaged), 12, strip) != weights).any())
        except EdgebitError:
            noticed += 1
    assert noticed > 150


def strip_samples(seed: int, count: int) -> list[Sample]:
    """Random convolutions that strips can compute."""
    found: list[Sample] = []
    while len(found) < count:
        for s in random_samples("conv2d", seed, 40):
            n = s.graph.nodes[0]
            if set(FAMILIES) & set(op_of(n).families(n, s.graph)):
                found.append(s)
        seed += 1
    return found[:count]


def by_reference(node: Node, graph: Graph) -> KernelChoice | None:
    family = next(f for f in FAMILIES if f in op_of(node).families(node, graph))
    stem = f"{family}__ref"
    return KernelChoice(stem, all_kernels()[stem].layout)


def test_layers_by_the_reference_equal_numpy() -> None:
    """With sanitizers, and with the output over the input as far as the planner may place it."""
    assert check_samples(strip_samples(31, 50), by_reference) >= 50


@pytest.mark.parametrize("board_name", BOARDS)
def test_layers_on_boards_equal_numpy(board_name: str, tmp_path: Path) -> None:
    board = load_board(board_name)
    kernels = [k for k in all_kernels().values() if k.family in FAMILIES and k.isa in board.core.isa]
    assert any(layout_of(k.layout).name.startswith("code") for k in kernels)
    g, values, forced = Graph("strips"), dict[str, Array](), dict[str, str]()
    for s in strip_samples(7, 14):
        (node,) = s.graph.nodes
        for k in kernels:
            if k.family not in op_of(node).families(node, s.graph):
                continue
            name = f"n{len(g.nodes)}"
            known = {t: f"{name}.{t}" for t in (*s.graph.tensors, *s.graph.consts)} | {"": ""}
            for t in s.graph.tensors.values():
                g.tensors[known[t.name]] = Tensor(known[t.name], t.shape, t.dtype, t.quant)
            g.consts |= {known[c]: v for c, v in s.graph.consts.items()}
            g.inputs += [known[i] for i in s.graph.inputs]
            values |= {known[i]: np.asarray(v) for i, v in s.inputs.items()}
            inputs, outputs = ([known[t] for t in side] for side in (node.inputs, node.outputs))
            g.nodes.append(Node(node.op, name, inputs, outputs, node.attrs))
            g.outputs += outputs
            forced[name] = k.stem
    g.check()
    plan = make_plan(g, board.core, board, kernels=forced)
    meta = ExportMeta("strips", board.name, "strips", "0" * 64, source_note="random")
    folder = open_export(export_model(plan, [values], tmp_path / "strips", meta=meta))
    with connect(folder, emulate="") as device:
        for place, i in enumerate(g.inputs):
            device.link.write_input(place, np.ascontiguousarray(values[i]).tobytes())
        device.link.run(hash_layers=True)
        got = device.link.hashes(len(g.nodes))
    for layer, crc, want in zip(plan.layers, got, folder.manifest["vectors"]["layer_crcs"][0], strict=True):
        assert crc == want, f"{layer.node.name} on {forced[layer.node.name]}"
