"""Every variant of the rows-times-vector kernels gives the bytes of its reference, on this machine and on AArch64."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from c_harness import WARNINGS, compiler

from edgebit.core import load_core
from edgebit.plan.kernels import Kernel, kernels_for
from edgebit.resources import data_dir

KERNELS = data_dir("runtime_c") / "kernels"
FAMILIES = ("rowdots_s4", "rowdots_s8", "rowdots_f16", "rowdots_bf16", "rowdots_f32")
DRIVER = """
#include <stdio.h>
#include <stdlib.h>
#include "rowdots/rowdots.h"
#include "rowdots_s4/rowdots_s4.h"
%s
enum { MAX_COLS = 1152, MAX_ROWS = 9 };
static _Alignas(64) uint8_t w[MAX_ROWS * MAX_COLS * 4 + 64];
static _Alignas(64) int8_t high[MAX_COLS], low[MAX_COLS];
static int32_t less[MAX_COLS / 4];
static float x[MAX_COLS], want[MAX_ROWS + 2], got[MAX_ROWS + 2];
static uint32_t state = 1;
static uint32_t draw(void) { state = state * 1664525u + 1013904223u; return state >> 8; }
static int differs(const char *name, int rows, int cols, int mode) {
    if (memcmp(want, got, sizeof want) != 0) {
        printf("%%s differs: %%d x %%d, inputs %%d\\n", name, rows, cols, mode);
        return 1;
    }
    return 0;
}
// Numbers of one binary floating type with moderate exponents; 4, 2 and 1 stand for bf16, f16 and f32.
static void fill(int item, int bias, int mantissa) {
    for (size_t i = 0; i < sizeof w / (size_t)item; i++) {
        const uint32_t bits = (draw() & 1u) << (8 * item - 1) | ((uint32_t)bias - 4u + (draw() & 7u)) << mantissa |
            (draw() & ((1u << mantissa) - 1u));
        memcpy(w + i * (size_t)item, &bits, (size_t)item);
    }
}
int main(void) {
    static const int shapes[][2] = {{1, 64}, {2, 64}, {3, 128}, {4, 192}, {5, 512}, {9, 576}, {8, 1152}};
    int bad = 0;
    for (size_t c = 0; c < sizeof shapes / sizeof *shapes; c++) {
        const int rows = shapes[c][0];
        for (int mode = 0; mode < 4; mode++) {
            const int cols = mode == 3 ? shapes[c][1] - 16 : shapes[c][1]; // multiples of 16 that are none of 64
            for (int k = 0; k < cols; k++) {
                x[k] = ((float)draw() - 8388608.0f) * 0x1p-21f;
                const int v = mode == 0 ? (int)(draw() %% 65025u) - 32512 : mode == 1 ? 32512 : -32512;
                const int h = (v + 128) >> 8;
                high[k] = (int8_t)h;
                low[k] = (int8_t)(v - 256 * h);
                less[k / 4] = (k %% 4 == 0 ? 0 : less[k / 4]) - 8 * v;
            }
            for (size_t i = 0; i < sizeof w; i++) {
                w[i] = mode == 1 ? 0x00 : mode == 2 ? 0xff : (uint8_t)draw();
            }
            const eb_s4_vector v = {high, low, less};
            (void)v;
            %s
        }
    }
    puts(bad ? "bad" : "equal");
    return bad;
}
"""
FILL = {
    "rowdots_f16": "fill(2, 15, 10);",
    "rowdots_bf16": "fill(2, 127, 7);",
    "rowdots_f32": "fill(4, 127, 23);",
}


def program(kernels: list[Kernel]) -> str:
    declared, calls = [], []
    for family in FAMILIES:
        four = family == "rowdots_s4"
        mine = [k for k in kernels if k.stem.startswith(f"{family}__")]
        calls.append(
            f"{'if (mode < 3) ' if four else ''}{{ {FILL.get(family, '')} want[rows] = got[rows] = 7.0f;"
        )
        for k in sorted(mine, key=lambda k: k.isa != "ref"):
            declared.append(f"{'EB_ROWDOTS_S4_DECL' if four else 'EB_ROWDOTS_DECL'}(eb_{k.stem});")
            into = "want" if k.isa == "ref" else "got"
            given = f"w, {'&v' if four else 'x'}, {into}, rows, cols"
            calls.append(f"eb_{k.stem}({given});")
            if k.isa != "ref":
                calls.append(f'bad |= differs("{k.stem}", rows, cols, mode);')
                calls.append("for (int r = 0; r < rows; r++) { got[r] = -1.0f; }")
        calls.append("for (int r = 0; r < rows + 2; r++) { want[r] = got[r] = 0.0f; } }")
    return DRIVER % ("\n".join(declared), "\n            ".join(calls))


def check(kernels: list[Kernel], command: list[str], run: list[str], folder: Path) -> str:
    (folder / "main.c").write_text(program(kernels))
    made = subprocess.run(
        [
            *command,
            *WARNINGS,
            "-O2",
            f"-I{KERNELS}",
            f"-I{KERNELS.parent / 'include'}",
            str(folder / "main.c"),
            *(str(k.path) for k in kernels),
            "-o",
            str(folder / "main"),
        ],
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    return subprocess.run([*run, str(folder / "main")], capture_output=True, text=True, check=False).stdout


def of_core(name: str) -> list[Kernel]:
    core = load_core(name)
    return [k for family in FAMILIES for k in kernels_for(family, core)]


def test_on_this_machine(tmp_path: Path) -> None:
    kernels = of_core("host")
    assert len(kernels) >= len(FAMILIES)
    assert check(kernels, list(compiler()), [], tmp_path) == "equal\n"


def test_a_planted_fault_is_found(tmp_path: Path) -> None:
    """The driver itself: a reference that drops one code differs from the others."""
    kernels = of_core("host")
    if len(kernels) == len(FAMILIES):
        pytest.skip("this machine has no vector kernels to compare with")
    text = (KERNELS / "rowdots_s4" / "rowdots_s4__ref.c").read_text()
    planted = tmp_path / "rowdots_s4__ref.c"
    planted.write_text(re.sub(r"\(float\)code\[g\]", "(float)(code[g] | 1)", text))
    assert planted.read_text() != text
    swapped = [Kernel(**{**vars(k), "path": planted}) if k.stem == "rowdots_s4__ref" else k for k in kernels]
    assert "rowdots_s4" in check(swapped, list(compiler()), [], tmp_path)


def test_on_aarch64(tmp_path: Path) -> None:
    qemu = shutil.which("qemu-aarch64")
    if qemu is None:
        pytest.skip("qemu-aarch64 is not installed")
    zig = [
        sys.executable,
        "-m",
        "ziglang",
        "cc",
        "-target",
        "aarch64-linux-musl",
        "-mcpu=cortex_a76",
        "-static",
    ]
    assert check(of_core("cortex-a76"), zig, [qemu, "-cpu", "max"], tmp_path) == "equal\n"
