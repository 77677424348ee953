"""Products of int8 with floats by integer arithmetic (Armv6-M) give the bytes of IEEE arithmetic, whatever the numbers.

The C is portable, so this machine runs it; QEMU runs the assembly that takes its place on Armv6-M, and
tests/emulated/test_decoder_pico.py runs all of it on the emulated core.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from c_harness import WARNINGS, compiler

from edgebit.resources import data_dir

KERNELS = data_dir("runtime_c") / "kernels"
DRIVER = """
#include <stdio.h>
#include "attend/attend.h"
#include "rowdots/rowdots.h"
#include "rowdots/soft_s8.h"
EB_ROWDOTS_DECL(eb_rowdots_s8__ref);
EB_ROWDOTS_DECL(eb_rowdots_s8__armv6m);
EB_ATTEND_DECL(eb_attend_s8__ref);
EB_ATTEND_DECL(eb_attend_s8__armv6m);
static uint64_t state = 1;
static uint32_t draw(void) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(state >> 32);
}
static int32_t weight(void) { return draw() % 7u == 0 ? (draw() & 1u ? -128 : 0) : (int8_t)draw(); }
// Any number that the soft sum takes; often with few bits, so that sums are halfway cases.
static float number(uint32_t lo, uint32_t span) {
    const uint32_t few = draw() % 3u == 0 ? 0x7f0000u : draw() % 3u == 0 ? 0u : 0x7fffffu;
    return eb_f32_of_bits((draw() & 0x80000000u) | (lo + draw() % span) << 23 | (draw() & few));
}
static int sums(void) {
    for (int run = 0; run < 40000; run++) {
        const uint32_t span = 1u + draw() % (run & 1 ? 127u : 4u), lo = 64u + draw() % (128u - span);
        eb_soft a = {0, EB_SOFT_ZERO};
        float want = 0.0f, xs[24];
        int8_t ws[24];
        for (int k = 0; k < 24; k++) {
            float x = draw() % 9u == 0 ? (draw() & 1u ? 0.0f : -0.0f) : number(lo, span);
            int32_t w = weight();
            if (draw() % 4u == 0 && eb_abs_f32(want) < 0x1p60f && eb_abs_f32(want) > 0x1p-60f) {
                x = eb_f32_of_bits(eb_bits_of_f32(want) + draw() % 3u - 1u); // cancels all but the last bits
                w = draw() & 1u ? -1 : 1;
            }
            want += x * (float)w;
            xs[k] = x;
            ws[k] = (int8_t)w;
            a = eb_soft_mac(a, eb_bits_of_f32(x), w);
            if (eb_bits_of_f32(want) != eb_bits_of_f32(eb_soft_float(a))) {
                printf("sum %%d.%%d: %%a + .. %%a * %%d gives %%a\\n", run, k, (double)want, (double)x, (int)w,
                       (double)eb_soft_float(a));
                return 1;
            }
        }
        if (eb_bits_of_f32(want) != eb_bits_of_f32(eb_soft_dot(xs, ws, 24, 1, 1))) {
            printf("dot %%d differs\\n", run);
            return 1;
        }
    }
    return 0;
}
enum { COLS = 96, ROWS = 7, COUNT = 37, SIZE = 24 };
static int8_t keys[COUNT * SIZE], values[COUNT * SIZE];
static int kernels(void) {
    for (int run = 0; run < 400; run++) {
        static int8_t w[ROWS * COLS];
        float x[COLS], y[2][ROWS], q[2 * SIZE], ku[COUNT], vu[COUNT], ml[2][4], o[2][2 * SIZE], scores[2 * 128];
        // Beyond the soft range in every third run, so that both ways are gone.
        const uint32_t lo = run %% 3 == 0 ? 20u : 110u, span = run %% 3 == 0 ? 100u : 20u;
        for (int i = 0; i < ROWS * COLS; i++) { w[i] = (int8_t)weight(); }
        for (int i = 0; i < COLS; i++) { x[i] = draw() % 11u == 0 ? 0.0f : number(lo, span); }
        eb_rowdots_s8__ref(w, x, y[0], ROWS, COLS);
        eb_rowdots_s8__armv6m(w, x, y[1], ROWS, COLS);
        if (memcmp(y[0], y[1], sizeof y[0]) != 0) { printf("rowdots_s8 differs in run %%d\\n", run); return 1; }
        for (int i = 0; i < COUNT * SIZE; i++) { keys[i] = (int8_t)weight(); values[i] = (int8_t)weight(); }
        for (int i = 0; i < 2 * SIZE; i++) { q[i] = number(lo, run %% 3 == 0 ? 60u : 10u); }
        for (int i = 0; i < COUNT; i++) { ku[i] = eb_abs_f32(number(110, 8)); vu[i] = eb_abs_f32(number(110, 8)); }
        const eb_attend_params p = {2, 1 + run %% COUNT, SIZE, run & 1 ? 0.2f : 0x1p-6f};
        eb_attend_s8__ref(&p, q, keys, values, ku, vu, ml[0], o[0], scores);
        eb_attend_s8__armv6m(&p, q, keys, values, ku, vu, ml[1], o[1], scores);
        if (memcmp(ml[0], ml[1], sizeof ml[0]) != 0 || memcmp(o[0], o[1], sizeof o[0]) != 0) {
            printf("attend_s8 differs in run %%d\\n", run);
            return 1;
        }
    }
    return 0;
}
int main(void) { if (!sums() && !kernels()) { puts("equal"); } return 0; }
""".replace("%%", "%")
SOURCES = [KERNELS / f / f"{f}__{v}.c" for f in ("rowdots_s8", "attend_s8") for v in ("ref", "armv6m")]


THUMB = ("-target", "thumb-linux-musleabihf", "-mcpu=cortex_a7", "-static", "-DEB_SOFT_THUMB1")


def outcome(folder: Path, header: str | None = None, *, thumb: str | None = None) -> str:
    """What the driver says, with another text of soft_s8.h if one is given. thumb: the QEMU to run the assembly in."""
    (folder / "main.c").write_text(DRIVER)
    mine = folder / "rowdots"
    mine.mkdir()
    for path in (KERNELS / "rowdots").glob("*.h"):
        (mine / path.name).write_text(path.read_text())
    if header is not None:
        (mine / "soft_s8.h").write_text(header)
    include = [f"-I{p}" for p in (folder, KERNELS, KERNELS.parent / "include")]
    made = subprocess.run(
        [
            *((sys.executable, "-m", "ziglang", "cc", *THUMB) if thumb else compiler()),
            *WARNINGS,
            "-O2",
            *include,
            str(folder / "main.c"),
            *map(str, SOURCES),
            "-o",
            str(folder / "main"),
        ],
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    start = [thumb, "-cpu", "cortex-a7"] if thumb else []
    return subprocess.run(
        [*start, str(folder / "main")], capture_output=True, text=True, check=True, timeout=120
    ).stdout


def test_sums_and_kernels_equal_the_reference(tmp_path: Path) -> None:
    assert outcome(tmp_path) == "equal\n"


def test_the_assembly_equals_the_reference(tmp_path: Path) -> None:
    """The Thumb-1 code, on an A-profile core that has the same instructions; and a fault planted in it."""
    qemu = shutil.which("qemu-arm")
    if qemu is None:
        pytest.skip("qemu-arm is not installed")
    assert outcome(tmp_path, thumb=qemu) == "equal\n"
    text = (KERNELS / "rowdots" / "soft_s8.h").read_text()
    assert text.count("cmp r7, #26") == 1
    (tmp_path / "planted").mkdir()
    assert "equal" not in outcome(
        tmp_path / "planted", text.replace("cmp r7, #26", "cmp r7, #23"), thumb=qemu
    )


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("== v ? t : t | 1", "== v ? t : t"),  # bits shifted out are forgotten
        ("(u >> s & 1u)", "1u"),  # a product's halves go up
        ("if (d > 26)", "if (d > 24)"),  # a sum too small to count, which counts
    ],
)
def test_a_planted_fault_is_found(right: str, wrong: str, tmp_path: Path) -> None:
    text = (KERNELS / "rowdots" / "soft_s8.h").read_text()
    assert right in text
    assert "equal" not in outcome(tmp_path, text.replace(right, wrong))
