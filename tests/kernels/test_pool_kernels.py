"""Pooling and quantisation: every variant in an emulated core against the reference beside it."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from check_runner import Kernel, Machine, build, kernels
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgebit.core import load_core
from edgebit.ops.floatmath import rne
from edgebit.resources import data_dir
from edgebit.toolchain.base import Job, find_toolchain

CORES = ("cortex-m0plus", "cortex-m4f", "cortex-m33")
VECTORS = ("cortex-a76",)
FAMILIES = ("max_pool2d_s8", "avg_pool2d_s8", "quantize_f32")
GUARD = bytes(range(32, 96))
Loaded = tuple[Machine, dict[str, list[Kernel]]]


def link(core: str, found: list[Kernel], folder: Path) -> Machine:
    """The kernels with the compiler's float arithmetic, each in a file of its own."""
    root = data_dir("runtime_c")
    sources = [k.path for k in found] + [root / "port" / "freestanding" / "mem.c"]
    for i, path in enumerate(sources):
        (folder / f"part{i}.c").write_text(f'#include "{path}"\n')
    declared = "".join(f"extern const char {k.symbol}[];\n" for k in found)
    listed = ", ".join(k.symbol for k in found)
    start = f"{declared}const char *const *start(void);\nconst char *const *start(void) {{\n"
    start += f"    static const char *const all[] = {{{listed}}};\n    return all;\n}}\n"
    (folder / "start.c").write_text(start)
    names = ("start.c", *(f"part{i}.c" for i in range(len(sources))))
    spec, elf = load_core(core), folder / f"{core}.elf"
    include = (str(root / "include"), str(root / "kernels"))
    find_toolchain("zig").build(
        Job(folder, spec, names, include, (), str(root / "check" / "cortex_m.ld"), "start", elf)
    )
    return Machine(core, elf)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Loaded]:
    images: dict[str, Loaded] = {}
    for core in CORES:
        found = {f: kernels(core, f) for f in FAMILIES}
        everything = [k for ks in found.values() for k in ks]
        images[core] = (link(core, everything, tmp_path_factory.mktemp(core)), found)
    for core in VECTORS:
        found = {f: kernels(core, f) for f in FAMILIES[:2]}
        paths = [k.path for ks in found.values() for k in ks]
        elf = tmp_path_factory.mktemp(core) / "pools.elf"
        images[core] = Machine(core, build(core, paths, elf, "eb_avg_pool2d_s8__neon")), found
    return images


def outputs(m: Machine, k: Kernel, size: int, params: bytes, *inputs: bytes) -> bytes:
    """What a kernel writes; nothing may be written outside its output."""
    m.reset()
    p = m.place(params)
    xs = [m.place(i, GUARD, GUARD) for i in inputs]
    y = m.place(b"\x5a" * size, GUARD, GUARD)
    m.call(k.symbol, p, *xs, y)
    assert m.read(y - len(GUARD), len(GUARD)) == GUARD, f"{k.symbol} wrote before its output"
    assert m.read(y + size, len(GUARD)) == GUARD, f"{k.symbol} wrote past its output"
    return m.read(y, size)


def windows(rng: np.random.Generator, dilate: bool) -> tuple[list[int], tuple[int, ...], tuple[int, ...]]:
    """A random eb_pool2d_shape in which every window sees an input, and both shapes."""
    while True:
        batch, h, w = int(rng.integers(1, 3)), int(rng.integers(1, 9)), int(rng.integers(1, 9))
        c = int(rng.choice([1, 3, 4, 6, 8, 16, 20]))
        kh, kw = int(rng.integers(1, 5)), int(rng.integers(1, 5))
        sh, sw = int(rng.integers(1, 4)), int(rng.integers(1, 4))
        dh, dw = (int(rng.integers(1, 3)), int(rng.integers(1, 3))) if dilate else (1, 1)
        top, left = int(rng.integers(0, kh)), int(rng.integers(0, kw))
        oh = (h + 2 * top - (kh - 1) * dh - 1) // sh + 1
        ow = (w + 2 * left - (kw - 1) * dw - 1) // sw + 1
        ys = [[y * sh - top + k * dh for k in range(kh)] for y in range(oh)]
        xs = [[x * sw - left + k * dw for k in range(kw)] for x in range(ow)]
        seen = [any(0 <= v < h for v in t) for t in ys] + [any(0 <= v < w for v in t) for t in xs]
        if oh > 0 and ow > 0 and all(seen):
            fields = [batch, h, w, c, oh, ow, kh, kw, sh, sw, dh, dw, top, left]
            return fields, (batch, h, w, c), (batch, oh, ow, c)


@pytest.mark.parametrize("core", [*CORES, *VECTORS])
def test_pools_equal_their_references(core: str, loaded: dict[str, Loaded]) -> None:
    machine, found = loaded[core]

    @settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**32 - 1), st.booleans())
    def check(seed: int, extreme: bool) -> None:
        rng = np.random.default_rng(seed)
        draw = np.array([-128, 127]) if extreme else np.arange(-128, 128)
        fields, shape, out = windows(rng, dilate=True)
        x = rng.choice(draw, shape).astype(np.int8).tobytes()
        *fast, ref = found["max_pool2d_s8"]
        want = outputs(machine, ref, int(np.prod(out)), struct.pack("<14i", *fields), x)
        for k in fast:
            got = outputs(machine, k, len(want), struct.pack("<14i", *fields), x)
            assert got == want, k.symbol
        fields, shape, out = windows(rng, dilate=False)
        x = rng.choice(draw, shape).astype(np.int8).tobytes()
        taps = fields[6] * fields[7]
        mul = np.array([(1 << 18) // n for n in range(1, taps + 1)], np.int32)
        zero, fixed = int(rng.integers(-128, 128)), taps * int(rng.integers(0, 2))
        params = struct.pack(
            "<14i7i", *fields, fixed, 1, zero, 1 << 17, 18, *sorted(rng.integers(-128, 128, 2))
        )
        *fast, ref = found["avg_pool2d_s8"]
        want = outputs(machine, ref, int(np.prod(out)), params, x, mul.tobytes())
        for k in fast:
            assert outputs(machine, k, len(want), params, x, mul.tobytes()) == want, k.symbol

    check()


@pytest.mark.parametrize("core", [*CORES[:2], *VECTORS])
@pytest.mark.parametrize("side", [16, 17])
@pytest.mark.parametrize("value", [-128, 127])
def test_averages_of_the_most_taps(core: str, side: int, value: int, loaded: dict[str, Loaded]) -> None:
    """256 taps fill the 16-bit halves; windows of more take the other way."""
    machine, found = loaded[core]
    fields = [1, side, side, 8, 1, 1, side, side, 1, 1, 1, 1, 0, 0]
    params = struct.pack("<14i7i", *fields, 0, side * side, 5, 1 << 9, 10, -128, 127)
    x, mul = np.full((side, side, 8), value, np.int8), np.array([1024 // side**2], np.int32)
    q = ((side * side * (value - 5)) * (1024 // side**2) + (1 << 9)) >> 10
    for k in found["avg_pool2d_s8"]:
        got = outputs(machine, k, 8, params, x.tobytes(), mul.tobytes())
        assert got == np.full(8, np.clip(q, -128, 127), np.int8).tobytes(), k.symbol


def hard_values(rng: np.random.Generator, scale: np.float32, n: int) -> np.ndarray:
    """Floats at and beside the borders between integers, ordinary ones, and those with a special meaning."""
    ties = ((rng.integers(-300, 300, n) + 0.5) * np.float64(scale)).astype(np.float32)
    bits = ties.view(np.int32) + rng.integers(-3, 4, n).astype(np.int32)
    anything = rng.integers(0, 2**32, n // 4, np.uint64).astype(np.uint32).view(np.float32)
    special = np.array(
        [0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 3e38, -3e38, scale, -scale], np.float32
    )
    plain = (rng.normal(0, 90, n) * np.float64(scale)).astype(np.float32)
    return np.concatenate([bits.view(np.float32), anything, special, plain])


@np.errstate(all="ignore")
@pytest.mark.parametrize("core", CORES)
def test_quantisation_is_exact(core: str, loaded: dict[str, Loaded]) -> None:
    machine, found = loaded[core]
    rng = np.random.default_rng(4)
    scales = [
        2.0**-7,
        1 / 255,
        0.0123,
        1.0,
        3.7,
        1e-30,
        1e30,
        2.0**-126,
        2.0**-127,
        1e-45,
        3e38,
        2.0**127,
        1e-38,
    ]
    scales += list(np.exp(rng.normal(-4, 6, 12)))
    for scale in (np.float32(s) for s in scales):
        x = hard_values(rng, scale, 120)
        zero = int(rng.integers(-128, 128))
        low, high = sorted(rng.integers(-128, 128, 2)) if rng.random() < 0.5 else (-128, 127)
        params = struct.pack("<if3i", len(x), scale, zero, low, high)
        quotient = np.clip(x / scale, np.float32(-1000), np.float32(1000))
        want = np.clip(rne(quotient).astype(np.int64) + zero, low, high).astype(np.int8)
        for k in found["quantize_f32"]:
            got = np.frombuffer(outputs(machine, k, len(x), params, x.tobytes()), np.int8)
            wrong = np.flatnonzero(got != want)
            assert not len(wrong), f"{k.symbol} {scale!r}: {x[wrong[:4]]} {got[wrong[:4]]} {want[wrong[:4]]}"


@pytest.mark.parametrize("core", CORES[:2])
def test_quantisation_is_fast(core: str, loaded: dict[str, Loaded], tmp_path: Path) -> None:
    """Executed instructions an element, of values spread over the range."""
    k = loaded[core][1]["quantize_f32"][0]
    machine = link(core, [k], tmp_path)
    machine.count_instructions()
    x = np.random.default_rng(6).normal(0, 1, 2000).astype(np.float32)
    outputs(machine, k, len(x), struct.pack("<if3i", len(x), 1 / 50, 3, -128, 127), x.tobytes())
    assert machine.instructions is not None
    assert machine.instructions / len(x) < (75 if core == "cortex-m0plus" else 35)
