"""The portable kernels of every op that is not a matrix product, against their NumPy meaning, byte for byte."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from c_harness import WARNINGS, check_samples, compiler, random_samples

from edgebit.ir.graph import Array
from edgebit.ops import floatmath
from edgebit.ops.base import op_of
from edgebit.resources import data_dir

OPS = [
    "add",
    "mul",
    "clip",
    "leaky_relu",
    "hard_swish",
    "hard_sigmoid",
    "silu",
    "sigmoid",
    "tanh",
    "lut",
    "max_pool2d",
    "avg_pool2d",
    "pad",
    "concat",
    "slice",
    "transpose",
    "reshape",
    "softmax",
    "argmax",
    "quantize",
    "dequantize",
    "dynamic_quantize",
]


@pytest.mark.parametrize("op", OPS)
def test_c_gives_the_bytes_of_numpy(op: str) -> None:
    assert check_samples(random_samples(op, seed=20, count=70)) >= 70


def families() -> list[str]:
    found: set[str] = set()
    for op in OPS:
        for s in random_samples(op, seed=3, count=40):
            found.update(op_of(s.graph.nodes[0]).families(s.graph.nodes[0], s.graph))
    return sorted(found)


@pytest.mark.parametrize("name", ["gcc", "clang"])
def test_kernels_compile_without_a_warning(name: str, tmp_path: Path) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    root = data_dir("runtime_c")
    files = [str(root / "kernels" / f / f"{f}__ref.c") for f in families()]
    assert len(files) >= 20
    include = ["-I", str(root / "include"), "-I", str(root / "kernels")]
    command = [name, *WARNINGS, "-O2", "-ffreestanding", *include, "-c", *files]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


_PROGRAM = """#include <stdio.h>
#include "edgebit/eb_math.h"
int main(void) {
    uint32_t u;
    while (fread(&u, 4, 1, stdin) == 1) {
        float x = eb_f32_of_bits(u);
        uint32_t y[5] = {eb_bits_of_f32(eb_exp_f32(x)), eb_bits_of_f32(eb_sigmoid_f32(x)),
                         eb_bits_of_f32(eb_tanh_f32(x)), eb_bits_of_f32(eb_sqrt_f32(x)),
                         (uint32_t)eb_rne_s32(x)};
        if (fwrite(y, 4, 5, stdout) != 5) { return 1; }
    }
    return fflush(stdout);
}
"""


_DIVIDE = """#include <stdio.h>
#include "edgebit/eb_math.h"
int main(void) {
    float x[2];
    while (fread(x, 4, 2, stdin) == 2) {
        float y = eb_div_soft_f32(x[0], x[1]);
        if (fwrite(&y, 4, 1, stdout) != 1) { return 1; }
    }
    return fflush(stdout);
}
"""


def test_division_in_integers_is_the_processors(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    bits = rng.integers(0, 2**32, (600_000, 2)).astype(np.uint32)
    exponents = rng.integers(0, [70, 256], (400_000, 2))  # many subnormal operands and quotients
    close = (exponents << 23 | rng.integers(0, 2**23, exponents.shape)).astype(np.uint32)
    plain = (
        rng.integers(0, 300, (50_000, 2)).astype(np.float32).view(np.uint32)
    )  # exact and halfway quotients
    tiny = np.stack([rng.integers(0, 5000, 50_000), plain[:, 1]], 1).astype(np.uint32)
    ends = np.array([0, 1, 0x7FFFFF, 0x800000, 0x7F7FFFFF, 0x7F800000, 0x3F800000, 0x40000000], np.uint32)
    pairs = np.stack(np.meshgrid(ends, ends), -1).reshape(-1, 2)
    x = np.concatenate([bits, close, plain, tiny, pairs, pairs | np.uint32(1 << 31)]).view(np.float32)
    got = run_c(_DIVIDE, ("-O2",), x, tmp_path)
    with np.errstate(all="ignore"):
        want = x[:, 0] / x[:, 1]
    want[np.isnan(want)] = floatmath.exp(np.array(np.nan, np.float32))
    differ = np.flatnonzero(got != want.view(np.uint32))
    assert differ.size == 0, (x[differ[:5]], got[differ[:5]], want[differ[:5]])


def run_c(text: str, flags: tuple[str, ...], x: Array, folder: Path) -> Array:
    """The words a program writes when it reads x."""
    source, program = folder / "m.c", folder / "m"
    source.write_text(text)
    include = ["-I", str(data_dir("runtime_c") / "include")]
    command = [*compiler(), *WARNINGS, *flags, *include, str(source), "-o", str(program)]
    made = subprocess.run(command, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    ran = subprocess.run([str(program)], input=x.tobytes(), capture_output=True, check=True)
    return np.frombuffer(ran.stdout, np.uint32)


@pytest.mark.parametrize("optimise", ["-O0", "-O3"])
def test_float_functions_give_the_bits_of_numpy(optimise: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    anywhere = rng.integers(0, 2**32, 300_000).astype(np.uint32)
    near = rng.uniform(-110, 110, 200_000).astype(np.float32).view(np.uint32)
    halves = (rng.integers(-(2**24), 2**24, 50_000) / 2).astype(np.float32).view(np.uint32)
    edges = np.arange(256, dtype=np.uint32)[:, None] * np.uint32(1 << 23)
    edges = (edges + np.array([0, 1, 0x7FFFFF], np.uint32)).reshape(-1)
    bits = np.concatenate([anywhere, near, halves, edges, edges | np.uint32(0x80000000)])
    x = bits.view(np.float32)
    got = run_c(_PROGRAM, (optimise,), x, tmp_path).reshape(-1, 5)
    functions = (floatmath.exp, floatmath.sigmoid, floatmath.tanh, floatmath.sqrt, floatmath.rne)
    for i, f in enumerate(functions):
        want = f(x).view(np.uint32)
        differ = np.flatnonzero(got[:, i] != want)
        assert differ.size == 0, f"{f.__name__}({float(x[differ[0]]).hex()}): {differ.size} differ"
