"""The float functions on emulated cores: software floats, an FPU, AArch64. Every bit as in NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from check_runner import Machine

from edgebit.core import load_core
from edgebit.errors import ToolchainError
from edgebit.ir.graph import Array
from edgebit.ops import floatmath
from edgebit.resources import data_dir
from edgebit.toolchain.base import Job, find_toolchain

_PROBE = """#include "edgebit/eb_math.h"
void probe(const float *x, uint32_t *y, int32_t n);
void arithmetic(const float *x, uint32_t *y, int32_t n);
__attribute__((used)) void arithmetic(const float *x, uint32_t *y, int32_t n) {
    for (int32_t i = 0; i + 1 < n; i++) {
        *y++ = eb_bits_of_f32(x[i] + x[i + 1]);
        *y++ = eb_bits_of_f32(x[i] - x[i + 1]);
        *y++ = eb_bits_of_f32(x[i] * x[i + 1]);
        *y++ = eb_bits_of_f32(eb_div_f32(x[i], x[i + 1]));
        *y++ = (uint32_t)(x[i] < x[i + 1]) + 2u * (uint32_t)(x[i] > x[i + 1]) + 4u * (uint32_t)(x[i] == x[i + 1]);
        *y++ = eb_bits_of_f32((float)(int32_t)eb_bits_of_f32(x[i]));
    }
}
void probe(const float *x, uint32_t *y, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        *y++ = eb_bits_of_f32(eb_exp_f32(x[i]));
        *y++ = eb_bits_of_f32(eb_sigmoid_f32(x[i]));
        *y++ = eb_bits_of_f32(eb_tanh_f32(x[i]));
        *y++ = eb_bits_of_f32(eb_sqrt_f32(x[i]));
        *y++ = (uint32_t)eb_rne_s32(x[i]);
        *y++ = (uint32_t)eb_quantize_s8(x[i] / 0.1f, 3, -127, 127);
    }
}
"""


CASES = [(c, t) for c in ("cortex-m0plus", "cortex-m4f", "cortex-a76", "cortex-a7") for t in ("zig", "gcc")]


def machine_with(core: str, toolchain: str, entry: str, folder: Path) -> Machine:
    (folder / "probe.c").write_text(_PROBE)
    root, spec, elf = data_dir("runtime_c"), load_core(core), folder / "probe.elf"
    script = str(root / "check" / "cortex_m.ld") if spec.is_cortex_m else ""
    include = (str(root / "include"),)
    job = Job(folder, spec, ("probe.c",), include, (), script, entry, elf)
    try:
        find_toolchain(toolchain).version(spec)
    except ToolchainError as e:
        pytest.skip(str(e))
    find_toolchain(toolchain).build(job)
    return Machine(core, elf)


def awkward_floats() -> Array:
    rng = np.random.default_rng(12)
    anywhere = rng.integers(0, 2**32, 1500).astype(np.uint32)
    near = rng.uniform(-110, 110, 1500).astype(np.float32).view(np.uint32)
    ties = (np.arange(-200, 200, dtype=np.float32) / 2).view(np.uint32)
    edges = (np.arange(256, dtype=np.uint32)[:, None] << 23) + np.array([0, 1, 0x7FFFFF], np.uint32)
    bits = np.concatenate([anywhere, near, ties, edges.reshape(-1), edges.reshape(-1) | np.uint32(1 << 31)])
    return bits.view(np.float32)


def call(machine: Machine, function: str, x: Array) -> Array:
    """(n, 6) results of a probe function."""
    at_x, at_y = machine.place(x.tobytes()), machine.place(bytes(24 * x.size))
    machine.call(function, at_x, at_y, x.size)
    return np.frombuffer(machine.read(at_y, 24 * x.size), np.uint32).reshape(-1, 6)


@pytest.mark.parametrize(("core", "toolchain"), CASES)
def test_float_functions(core: str, toolchain: str, tmp_path: Path) -> None:
    x = awkward_floats()
    got = call(machine_with(core, toolchain, "probe", tmp_path), "probe", x)
    functions = (floatmath.exp, floatmath.sigmoid, floatmath.tanh, floatmath.sqrt, floatmath.rne)
    for i, f in enumerate(functions):
        differ = np.flatnonzero(got[:, i] != f(x).view(np.uint32))
        assert differ.size == 0, f"{f.__name__}({float(x[differ[0]]).hex()}): {differ.size} differ"
    want = floatmath.quantize(x, 0.1, 3, -127, 127)
    assert np.array_equal(got[:, 5].astype(np.int32).astype(np.int8), want)


@pytest.mark.parametrize(("core", "toolchain"), CASES)
def test_arithmetic_is_ieee(core: str, toolchain: str, tmp_path: Path) -> None:
    """What the run-time library adds, multiplies, compares and converts; and our own division."""
    x = awkward_floats()
    rng = np.random.default_rng(13)
    # Small and large in turn: products and quotients round to subnormals.
    exponents = np.where(np.arange(6000) % 2, rng.integers(0, 60, 6000), rng.integers(110, 190, 6000))
    mixed = (exponents << 23 | rng.integers(0, 2**23, 6000) | rng.integers(0, 2, 6000) << 31).astype(
        np.uint32
    )
    x = np.concatenate([rng.permutation(awkward_floats()), mixed.view(np.float32)])
    got = call(machine_with(core, toolchain, "arithmetic", tmp_path), "arithmetic", x)[:-1]
    a, b = x[:-1], x[1:]
    with np.errstate(all="ignore"):
        for i, want in enumerate((a + b, a - b, a * b, a / b)):
            have = got[:, i].view(np.float32)
            same = (got[:, i] == want.view(np.uint32)) | (np.isnan(want) & np.isnan(have))
            assert same.all(), (i, a[~same][:4], b[~same][:4], have[~same][:4], want[~same][:4])
    assert np.array_equal(got[:, 4], (a < b) + 2 * (a > b) + 4 * (a == b))
    assert np.array_equal(got[:, 5], a.view(np.int32).astype(np.float32).view(np.uint32))
