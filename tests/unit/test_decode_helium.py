"""The decoder of what Armv8.1-M adds, held to an assembler; images and stacks of programs that use it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edgebit.core import load_core
from edgebit.errors import ToolchainError
from edgebit.resources import cache_dir
from edgebit.toolchain.decode import check_isa, instructions
from edgebit.toolchain.decode_v81m import Wide, decode, find
from edgebit.toolchain.elf import Image
from edgebit.toolchain.stack import EXCEPTION_FRAME_FP, stack_usage

M55 = load_core("cortex-m55")
HEAD = ".syntax unified\n.thumb\n.text\n.global _start\n.type _start, %function\n.thumb_func\n_start:\n"

# instruction, kind ("" = one the disassembler knows), core registers it writes
KNOWN: list[tuple[str, str, set[int]]] = [
    ("add.w r0, r1, #15", "", set()),
    ("orrs.w r0, r1, r2, lsl #5", "", set()),
    ("bl _start", "", set()),
    ("ldm.w r0!, {r1, r2}", "", set()),
    ("vadd.f32 s0, s1, s2", "", set()),
    ("vmul.f64 d0, d1, d2", "", set()),
    ("vldmia r0!, {d0-d3}", "", set()),
    ("vpush {d8-d15}", "", set()),
    ("vmov r0, r1, d3", "", set()),
    ("vmov r0, s3", "", set()),
    ("vmrs apsr_nzcv, fpscr", "", set()),
    ("vcvt.s32.f32 s0, s1", "", set()),
    ("smlad r0, r1, r2, r3", "", set()),
    ("csel r0, r1, r2, eq", "v8.1-m", {0}),
    ("cset r7, ne", "v8.1-m", {7}),
    ("csneg r7, lr, r12, lt", "v8.1-m", {7}),
    ("lsll r0, r1, #3", "v8.1-m", {0, 1}),
    ("lsll r4, r7, r8", "v8.1-m", {4, 7}),
    ("asrl r2, r3, #31", "v8.1-m", {2, 3}),
    ("uqshl r7, #3", "v8.1-m", {7}),
    ("sqrshr r6, r9", "v8.1-m", {6}),
    ("clrm {r1, r7, lr}", "v8.1-m", {1, 7, 14}),
    ("dls lr, r3", "loop", {14}),
    ("dlstp.16 lr, r7", "loop", {14}),
    ("lctp", "loop", {14}),
    ("vctp.32 r3", "helium", set()),
    ("vldrb.u8 q0, [r1], #16", "helium", {1}),
    ("vldrb.s16 q0, [r7, #4]!", "helium", {7}),
    ("vldrh.s32 q0, [r5], #8", "helium", {5}),
    ("vldrw.u32 q7, [r11, #16]", "helium", set()),
    ("vldrw.u32 q7, [q1, #16]!", "helium", set()),
    ("vldrb.s16 q1, [r4, q0]", "helium", set()),
    ("vstrw.32 q0, [r8, #-16]!", "helium", {8}),
    ("vstrb.16 q0, [r2], #8", "helium", {2}),
    ("vstrw.32 q0, [sp, #16]", "helium", set()),
    ("vld20.8 {q0, q1}, [r3]", "helium", set()),
    ("vld43.32 {q0, q1, q2, q3}, [r9]!", "helium", {9}),
    ("vst21.16 {q0, q1}, [r3]!", "helium", {3}),
    ("vand q0, q1, q2", "helium", set()),
    ("vmov.i8 q0, #3", "helium", set()),
    ("vadd.i16 q0, q1, q2", "helium", set()),
    ("vqadd.s16 q0, q1, r5", "helium", set()),
    ("vqrdmulh.s16 q0, q0, r4", "helium", set()),
    ("vqdmullb.s16 q0, q1, q2", "helium", set()),
    ("vmullb.s16 q0, q1, q2", "helium", set()),
    ("vqmovnb.s16 q1, q0", "helium", set()),
    ("vshl.s32 q0, q1, q2", "helium", set()),
    ("vshr.s16 q0, q1, #3", "helium", set()),
    ("vsli.32 q0, q1, #31", "helium", set()),
    ("vrev64.32 q0, q1", "helium", set()),
    ("vabs.s8 q0, q1", "helium", set()),
    ("vclz.i32 q0, q1", "helium", set()),
    ("vpsel q0, q1, q2", "helium", set()),
    ("vpst\nvaddt.i8 q0, q1, q2", "helium", set()),
    ("vpnot", "helium", set()),
    ("vcmp.s8 gt, q0, q1", "helium", set()),
    ("vcmp.i32 eq, q0, r9", "helium", set()),
    ("vmladava.s8 r4, q0, q1", "helium", {4}),
    ("vmladav.u16 lr, q0, q1", "helium", {14}),
    ("vmlaldava.s16 r2, r7, q0, q1", "helium", {2, 7}),
    ("vrmlaldavha.s32 r4, r5, q0, q1", "helium", {4, 5}),
    ("vaddva.s8 r6, q0", "helium", {6}),
    ("vaddlv.s32 r0, r11, q0", "helium", {0, 11}),
    ("vmaxv.s8 r9, q2", "helium", {8, 9}),
    ("vabav.u8 r5, q0, q1", "helium", {4, 5}),
    ("vidup.u16 q0, r4, #1", "helium", {4}),
    ("vdwdup.u32 q7, r6, r3, #4", "helium", {6}),
    ("vshlc q7, r10, #31", "helium", {10}),
    ("vdup.16 q0, r11", "helium", set()),
    ("vmov.8 q0[3], r7", "helium", set()),
    ("vmov.s16 r7, q0[3]", "helium", {7}),
    ("vmov q0[2], q0[0], r7, r8", "helium", set()),
    ("vmov r7, r8, q0[2], q0[0]", "helium", {7, 8}),
    ("vmsr p0, r3", "helium", set()),
    ("vmrs r3, p0", "helium", {3}),
    ("vmov.f32 q0, #1.0", "helium", set()),
    ("vadd.f32 q0, q1, q2", "helium.float", set()),
    ("vsub.f16 q0, q1, r2", "helium.float", set()),
    ("vabd.f32 q0, q1, q2", "helium.float", set()),
    ("vmul.f32 q0, q1, q2", "helium.float", set()),
    ("vmul.f32 q0, q1, r3", "helium.float", set()),
    ("vfma.f32 q0, q1, q2", "helium.float", set()),
    ("vfms.f16 q0, q1, q2", "helium.float", set()),
    ("vfmas.f32 q0, q1, r2", "helium.float", set()),
    ("vmaxnm.f32 q0, q1, q2", "helium.float", set()),
    ("vminnma.f32 q0, q1", "helium.float", set()),
    ("vcmp.f32 ge, q0, q1", "helium.float", set()),
    ("vcmp.f32 lt, q0, r1", "helium.float", set()),
    ("vpt.f32 eq, q0, q1\nvaddt.i8 q0, q1, q2", "helium.float", set()),
    ("vcvt.s32.f32 q0, q1", "helium.float", set()),
    ("vcvt.f32.s32 q0, q1, #8", "helium.float", set()),
    ("vcvtm.s32.f32 q0, q1", "helium.float", set()),
    ("vcvtb.f16.f32 q0, q1", "helium.float", set()),
    ("vrintz.f32 q0, q1", "helium.float", set()),
    ("vneg.f32 q0, q1", "helium.float", set()),
    ("vcmul.f32 q0, q1, q2, #90", "helium.float", set()),
    ("vcmla.f32 q0, q1, q2, #90", "helium.float", set()),
    ("vcadd.f16 q0, q1, q2, #90", "helium.float", set()),
]  # fmt: skip


def assemble(folder: Path, body: str) -> Path:
    """Assemble and link with all of Helium and of scalar floating point."""
    return build(folder, HEAD + body + "\n.size _start, . - _start\n", "s", "cortex_m55+mve_fp+fp_armv8d16")


def build(folder: Path, text: str, suffix: str, mcpu: str) -> Path:
    source, elf = folder / f"p.{suffix}", folder / "p.elf"
    source.write_text(text)
    cache = str(cache_dir() / "zig")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ziglang", "cc", "-target", "thumb-freestanding-eabihf", f"-mcpu={mcpu}"),
            *("-O2", "-ffreestanding", "-fno-sanitize=undefined", "-fno-unroll-loops", "-ffp-contract=off"),
            *("-nostdlib", "-static", "-Wl,-e,_start", str(source), "-o", str(elf)),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache},
    )
    assert done.returncode == 0, done.stderr
    return elf


def code_of(elf: Path) -> tuple[bytes, int]:
    image = Image(elf)
    f = next(f for f in image.functions if "_start" in f.names)
    return image.read(f.start, f.end - f.start), f.start


def test_every_instruction_is_recognised(tmp_path: Path) -> None:
    marks = "\n".join(f"l{i}:\n{text}" for i, (text, _, _) in enumerate(KNOWN))
    table = "\n.word " + ", ".join(f"l{i} - _start" for i in range(len(KNOWN)))
    code, start = code_of(assemble(tmp_path, marks + "\n.p2align 2\n" + table))
    offsets = [
        int.from_bytes(code[k : k + 4], "little") for k in range(len(code) - 4 * len(KNOWN), len(code), 4)
    ]
    for (text, kind, writes), at in zip(KNOWN, offsets, strict=True):
        found = decode(code[at : at + 4], start + at)
        assert (found.mnemonic if found else "") == kind, text
        if found is not None:
            assert found.writes == writes, text


def test_loops_know_where_they_go(tmp_path: Path) -> None:
    body = "wls lr, r3, 2f\n1: nop\nnop.w\nle lr, 1b\n2: dlstp.8 lr, r0\n3: nop\nletp lr, 3b\n4: le 4b"
    code, start = code_of(assemble(tmp_path, body))
    found = list(find(code, start))
    assert [w.mnemonic for w in found] == ["loop"] * 5
    assert [None if w.target is None else w.target - start for w in found] == [14, 4, None, 18, 24]
    assert [w.after for w in found] == [True, True, True, True, False]


def test_an_image_may_use_integers_of_helium_but_not_its_floats(tmp_path: Path) -> None:
    assert (
        check_isa(assemble(tmp_path, "vldrb.u8 q0, [r0]\nvmladava.s8 r2, q0, q0\nvadd.f32 s0, s1, s2"), M55)
        == 3
    )
    with pytest.raises(ToolchainError, match="group mve_float") as e:
        check_isa(assemble(tmp_path, "vadd.i32 q0, q0, q1\nvadd.f32 q0, q0, q1\nnop"), M55)
    assert e.value.details["group"] == "mve_float"


def test_other_cores_still_refuse_all_of_it(tmp_path: Path) -> None:
    elf = assemble(tmp_path, "nop\nvadd.i32 q0, q0, q1\nnop")
    with pytest.raises(ToolchainError):
        check_isa(elf, load_core("cortex-m33"))


def test_a_word_that_is_no_instruction_is_still_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="is no instruction"):
        check_isa(assemble(tmp_path, "vadd.i32 q0, q0, q1\n.inst.w 0xee010710\nnop\nnop\nnop"), M55)


def test_compiled_loops_decode_and_have_a_stack_bound(tmp_path: Path) -> None:
    """The compiler vectorises the loops over integers, and must not the one over floats."""
    text = """
        #include <stdint.h>
        int8_t a[64], b[64]; float f[64], g[64]; volatile int32_t out;
        __attribute__((noinline)) int32_t dot(const int8_t *x, const int8_t *y, int n) {
            int32_t s = 0;
            for (int i = 0; i < n; i++) s += x[i] * y[i];
            return s;
        }
        __attribute__((noinline)) void scale(float *x, const float *y, int n) {
            for (int i = 0; i < n; i++) x[i] = x[i] * y[i] + 1.0f;
        }
        void _start(void) {
            out = dot(a, b, 64);
            scale(f, g, out);
            for (;;) { }
        }
    """
    elf = build(tmp_path, text, "c", str(M55.zig["mcpu"]))
    assert check_isa(elf, M55) > 20
    image = Image(elf)
    kinds = {
        i.mnemonic
        for span in image.code_ranges
        if span.kind != "data"
        for i in instructions(image, M55, span)
        if isinstance(i, Wide)
    }
    assert kinds == {"helium", "loop"}
    report = stack_usage(elf, M55)
    assert report.frames["dot"] == 8  # push {r7, lr}
    assert report.exception == EXCEPTION_FRAME_FP


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("push {r4, lr}\nvpush {d8-d15}\nvadd.i8 q0, q1, q2\nvpop {d8-d15}\npop {r4, pc}", 72),
        (
            "push {r7, lr}\nmov r7, sp\nsub sp, #32\nbic r4, r4, #15\nvstrw.32 q0, [sp]\nmov sp, r7\npop {r7, pc}",
            40,
        ),
        ("push {r4, lr}\nwls lr, r0, 2f\n1: vldrb.u8 q0, [r0], #16\nle lr, 1b\n2: pop {r4, pc}", 8),
        (
            "push {r4, lr}\nwls lr, r0, 2f\n1: nop\nle lr, 1b\n2: sub sp, #100\nadd sp, #100\npop {r4, pc}",
            108,
        ),
    ],
)
def test_the_stack_of_functions_with_helium_and_loops(tmp_path: Path, body: str, expected: int) -> None:
    assert stack_usage(assemble(tmp_path, body), replace(M55, zig={})).program == expected


@pytest.mark.parametrize(
    "body",
    [
        "push {r7, lr}\nmov r7, sp\nvmov.s16 r7, q0[3]\nmov sp, r7\npop {r7, pc}",
        "vldrb.u8 q0, [r4], #16\n.inst.w 0xecad1e04\nbx lr",  # vstrb.8 q0, [sp], #4
        "1: push {r4}\ndls lr, r0\nle lr, 1b\nbx lr",
    ],
)
def test_what_moves_the_stack_is_refused(tmp_path: Path, body: str) -> None:
    with pytest.raises(ToolchainError, match="cannot bound the stack"):
        stack_usage(assemble(tmp_path, body), M55)
