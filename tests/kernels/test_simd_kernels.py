"""The vector kernels of 64-bit machines: against NumPy, at the bounds of their lanes, and their costs."""

from __future__ import annotations

import ctypes
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pytest
from c_harness import compiler
from check_runner import RUNTIME, WARNINGS, Kernel, Machine, build, kernels, run_tester
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgebit.core import load_core
from edgebit.errors import EdgebitError
from edgebit.layouts.base import Layout, layout_of, round_up
from edgebit.layouts.fields import Fields, Fives

Bytes = npt.NDArray[np.int8]
Sums = npt.NDArray[np.int32]

CORES = ("cortex-a76", "cortex-a72", "cortex-a53", "cortex-a7", "host")
LAYOUTS = ("e2", "e2k", "e2r32", "e2r64", "e16", "e16k", "e16r80")
TOKENS = 4
QUICK = settings(max_examples=10, deadline=None, database=None, suppress_health_check=list(HealthCheck))


class Runner(Protocol):
    """Calls one kernel with packed weights; returns its accumulators (tokens, acc_step)."""

    kernel: Kernel

    def run(self, packed: bytes, x: Bytes, rows: int, cols: int, tokens: int, height: int) -> Sums: ...


class Emulated:
    """A kernel in an emulated core. GUARD lies on both sides of the accumulators."""

    GUARD = bytes(range(160, 224))

    def __init__(self, machine: Machine, kernel: Kernel) -> None:
        self.machine, self.kernel = machine, kernel

    def run(self, packed: bytes, x: Bytes, rows: int, cols: int, tokens: int, height: int) -> Sums:
        m = self.machine
        m.reset()
        size = 4 * tokens * height
        w, xs = m.place(packed), m.place(x.tobytes())
        acc = m.place(b"\x5a" * size, self.GUARD, self.GUARD)
        if m.instructions is not None:
            m.instructions = 0
        more = (tokens, x.shape[1], height) if self.kernel.family == "tmatmat_s8" else ()
        m.call(self.kernel.symbol, w, xs, acc, rows, cols, *more, 0)
        assert m.read(acc - 64, 64) == m.read(acc + size, 64) == self.GUARD, "wrote outside acc"
        return np.frombuffer(m.read(acc, size), np.int32).reshape(tokens, height)


class Native:
    """A kernel in a shared library on this machine."""

    def __init__(self, library: ctypes.CDLL, kernel: Kernel) -> None:
        self.function, self.kernel = getattr(library, kernel.symbol), kernel

    def run(self, packed: bytes, x: Bytes, rows: int, cols: int, tokens: int, height: int) -> Sums:
        w, inputs, acc = aligned(len(packed)), aligned(x.size), aligned(4 * tokens * height + 64)
        w[:] = np.frombuffer(packed, np.uint8)
        inputs[:] = x.reshape(-1).view(np.uint8)
        acc[:] = 0x5A
        numbers = [rows, cols]
        if self.kernel.family == "tmatmat_s8":
            numbers += [tokens, x.shape[1], height]
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (w, inputs, acc)]
        self.function(*pointers, *map(ctypes.c_int32, numbers), ctypes.c_void_p(None))
        assert (acc[-64:] == 0x5A).all(), "wrote outside acc"
        return acc[:-64].view(np.int32).reshape(tokens, height)


def aligned(size: int) -> npt.NDArray[np.uint8]:
    """`size` bytes that start at a multiple of 16 and, mostly, at none of 64."""
    block = np.empty(size + 64, np.uint8)
    start = -block.ctypes.data % 16
    return block[start : start + size]


def vector_kernels(core: str) -> list[Kernel]:
    return [k for family in ("tmatvec_s8", "tmatmat_s8") for k in kernels(core, family) if k.variant != "ref"]


class Runners(dict[str, list[Runner]]):
    """By core, made when asked for: every vector kernel it can run."""

    def __init__(self, out: Path) -> None:
        super().__init__()
        self.out = out

    def __missing__(self, core: str) -> list[Runner]:
        mine = vector_kernels(core)
        paths = [k.path for k in mine]
        if core == "host":
            self[core] = [Native(library(self.out, paths), k) for k in mine] if mine else []
        else:
            machine = Machine(core, build(core, paths, self.out / f"{core}.elf", mine[0].symbol))
            self[core] = [Emulated(machine, k) for k in mine]
        return self[core]


@pytest.fixture(scope="module")
def runners(tmp_path_factory: pytest.TempPathFactory) -> Runners:
    return Runners(tmp_path_factory.mktemp("simd"))


def library(out: Path, paths: list[Path]) -> ctypes.CDLL:
    """The kernels as a shared library, compiled for the plainest processor of this kind."""
    command = [*compiler(), *WARNINGS, "-O2", "-shared", "-fPIC"]
    command += ["-I", str(RUNTIME / "include"), "-I", str(RUNTIME / "kernels")]
    done = subprocess.run(
        [*command, "-o", str(out / "k.so"), *map(str, paths)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(out / "k.so"))


def products(runner: Runner, trits: Bytes, x: Bytes) -> Sums:
    """(T, K) inputs, T <= 4, times (N, K) trits -> (T, N); bytes past K are made up."""
    layout = layout_of(runner.kernel.layout)
    (rows, cols), tokens = trits.shape, x.shape[0]
    assert layout.limits(trits) is None
    padded = np.full((tokens, round_up(cols, 16)), -77, np.int8)
    padded[:, :cols] = x
    height = round_up(rows, layout.row_multiple)
    packed = layout.pack(trits)
    if runner.kernel.family == "tmatmat_s8":
        return runner.run(packed, padded, rows, cols, tokens, height)[:, :rows]
    each = [runner.run(packed, padded[t : t + 1], rows, cols, 1, height)[0, :rows] for t in range(tokens)]
    return np.stack(each)


def exact(trits: Bytes, x: Bytes) -> npt.NDArray[np.int64]:
    return x.astype(np.int64) @ trits.astype(np.int64).T


def need_host(found: list[Runner]) -> None:
    if not found:
        pytest.skip(f"no vector kernel for this machine ({platform.machine()})")


@st.composite
def problems(draw: st.DrawFn) -> tuple[Bytes, Bytes]:
    """Trits and one to four vectors of inputs: random, sparse, dense, or driven to the extremes."""
    rows, cols, tokens = draw(st.integers(1, 170)), draw(st.integers(1, 700)), draw(st.integers(1, TOKENS))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    density = draw(st.sampled_from([0.0, 0.06, 0.5, 1.0]))
    sign = np.where(rng.random((rows, cols)) < draw(st.sampled_from([0.0, 0.5, 1.0])), 1, -1)
    trits = (sign * (rng.random((rows, cols)) < density)).astype(np.int8)
    kind = draw(st.sampled_from(["random", "extremes", "worst", "min", "max"]))
    x = rng.integers(-128, 128, (tokens, cols))
    if kind == "extremes":
        x = rng.choice([-128, 127], (tokens, cols))
    elif kind == "worst":
        x[:] = np.where(trits[draw(st.integers(0, rows - 1))] < 0, -128, 127)
    elif kind in ("min", "max"):
        x[:] = -128 if kind == "min" else 127
    return trits, x.astype(np.int8)


@pytest.mark.parametrize("core", CORES)
def test_kernels_equal_numpy(core: str, runners: dict[str, list[Runner]]) -> None:
    if core == "host":
        need_host(runners[core])

    @QUICK
    @given(problems())
    def check(problem: tuple[Bytes, Bytes]) -> None:
        trits, x = problem
        for runner in runners[core]:
            np.testing.assert_array_equal(products(runner, trits, x), exact(trits, x), runner.kernel.symbol)

    check()


@pytest.mark.parametrize("core", ["cortex-a76", "cortex-a72", "cortex-a53", "cortex-a7", "host"])
def test_narrow_lanes_hold_in_every_width(core: str, runners: dict[str, list[Runner]]) -> None:
    """16-bit lanes are widened after fixed numbers of columns: all widths round those, the worst numbers."""
    if core == "host":
        need_host(runners[core])
    rng = np.random.default_rng(4)
    for cols in (15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 80, 128, 240, 255, 256, 257, 272, 288, 512, 529):
        trits = np.repeat(np.array([[1], [-1], [1], [-1], [1]], np.int8), cols, axis=1)
        trits[4] = rng.choice([-1, 1], cols)
        x = np.stack([np.full(cols, -128), np.full(cols, 127), np.where(trits[4] < 0, -128, 127)])
        for runner in runners[core]:
            got = products(runner, trits, x.astype(np.int8))
            np.testing.assert_array_equal(got, exact(trits, x.astype(np.int8)), runner.kernel.symbol)


@pytest.mark.parametrize("core", ["cortex-a76", "cortex-a72", "cortex-a53", "cortex-a7", "host"])
def test_the_largest_sums_of_the_widest_matrix(core: str, runners: dict[str, list[Runner]]) -> None:
    if core == "host":
        need_host(runners[core])
    for runner in runners[core]:
        layout = layout_of(runner.kernel.layout)
        assert isinstance(layout, Fields)
        cols = layout.max_cols
        assert layout.limits(np.zeros((1, cols + 1), np.int8)) is not None
        trits = np.ones((2, cols), np.int8)
        trits[1] = -1
        x = np.full((2, cols), -128, np.int8)
        x[1] = 127
        np.testing.assert_array_equal(products(runner, trits, x), exact(trits, x), runner.kernel.symbol)


def test_the_tester_at_full_width(tmp_path: Path) -> None:
    report = run_tester("host", tmp_path, ["--seed", "9"], ["-DEB_CHECK_MAX_COLS=65536"])
    assert report.exit == 0, report.text


@pytest.mark.parametrize("name", LAYOUTS)
@QUICK
@given(problem=problems())
def test_layouts_round_trip(name: str, problem: tuple[Bytes, Bytes]) -> None:
    trits, layout = problem[0], layout_of(name)
    raw = layout.pack(trits)
    np.testing.assert_array_equal(layout.unpack(raw, *trits.shape), trits)
    assert layout.bits_per_weight(*trits.shape) == pytest.approx(8 * len(raw) / trits.size)
    with pytest.raises(EdgebitError):
        layout.unpack(raw[:-1], *trits.shape)


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_refuse_what_is_no_trit(name: str) -> None:
    layout = layout_of(name)
    with pytest.raises(EdgebitError):
        layout.pack(np.full((2, 2), 2, np.int8))
    known = {layout.pack(t)[0] for t in every_byte(layout)}
    assert len(known) == (243 if isinstance(layout, Fives) else 81)
    blank = bytearray(layout.pack(layout.blank(1, 1)))
    for byte in set(range(256)) - known:
        blank[0] = byte
        with pytest.raises(EdgebitError):
            layout.unpack(bytes(blank), 1, 1)


def every_byte(layout: Layout) -> Iterator[Bytes]:
    """One-column matrices that together make every first byte of the layout."""
    assert isinstance(layout, Fields)
    for digits in np.ndindex((3,) * layout.fields):
        trits = np.zeros((layout.fields * layout.lanes, 1), np.int8)
        trits[:: layout.lanes, 0] = np.array(digits) - 1
        yield trits


def test_fractions_lose_one_trit_at_a_time() -> None:
    """3 s = 256 t + s', five times, with every s in a signed byte and none of them -128."""
    for name, least, most, offset in (("e16", -127, 127, 0), ("e16r80", 0, 255, 1)):
        layout = layout_of(name)
        for trits in every_byte(layout):
            (byte,) = np.frombuffer(layout.pack(trits)[:1], np.int8 if offset == 0 else np.uint8).tolist()
            for t in trits[:: layout.lanes, 0].tolist():  # type: ignore[attr-defined]
                assert least <= byte <= most
                byte = 3 * byte - 256 * (t + offset)
            assert least <= byte <= most


GOALS = [
    ("cortex-a76", "tmatvec_s8__neon_dotprod", 1, 0.130),
    ("cortex-a76", "tmatvec_s8__neon_dotprod_e16", 1, 0.225),
    ("cortex-a76", "tmatmat_s8__neon_dotprod", 4, 0.084),
    ("cortex-a72", "tmatvec_s8__neon", 1, 0.250),
    ("cortex-a72", "tmatvec_s8__neon_e16", 1, 0.385),
    ("cortex-a53", "tmatvec_s8__neon", 1, 0.250),
    ("cortex-a53", "tmatvec_s8__neon_inorder_e16", 1, 0.315),
    ("cortex-a53", "tmatmat_s8__neon_inorder", 4, 0.187),
    ("cortex-a7", "tmatvec_s8__neon32", 1, 0.285),
    ("cortex-a7", "tmatvec_s8__neon32_e16", 1, 0.415),
]


@pytest.mark.parametrize(("core", "stem", "tokens", "goal"), GOALS)
def test_instructions_a_weight(core: str, stem: str, tokens: int, goal: float, tmp_path: Path) -> None:
    """Executed instructions of a 640 x 2560 product, everything in the kernel counted."""
    kernel = next(k for k in vector_kernels(core) if k.symbol == f"eb_{stem}")
    machine = Machine(core, build(core, [kernel.path], tmp_path / "one.elf", kernel.symbol))
    machine.count_instructions()
    rng = np.random.default_rng(8)
    trits = rng.integers(-1, 2, (640, 2560)).astype(np.int8)
    x = rng.integers(-128, 128, (tokens, 2560)).astype(np.int8)
    np.testing.assert_array_equal(products(Emulated(machine, kernel), trits, x), exact(trits, x))
    assert machine.instructions is not None
    assert machine.instructions / trits.size / tokens < goal


def test_the_host_gets_what_its_processor_has(monkeypatch: pytest.MonkeyPatch) -> None:
    import edgebit.core as core

    def chain(*features: str) -> tuple[str, ...]:
        monkeypatch.setattr(core, "cpu_features", lambda: frozenset(features))
        return core.load_core.__wrapped__("host").isa  # type: ignore[no-any-return,attr-defined]

    assert chain() == ("ref",)
    assert chain("avx2", "sse4_2") == ("avx2", "ref")
    assert chain("avx2", "avx512f", "avx512bw", "avx512_vnni") == ("avx512vnni", "avx2", "ref")
    assert chain("avx2", "avx512f", "avx512bw") == ("avx2", "ref")
    assert chain("asimd", "asimddp") == ("neon", "ref")
    assert load_core("host").known_isa == ("avx512vnni", "avx2", "neon", "ref")
