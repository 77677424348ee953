"""The stack bound against functions whose stack is known, and against what must be refused."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgebit.core import load_core
from edgebit.errors import ToolchainError
from edgebit.resources import cache_dir
from edgebit.toolchain.stack import EXCEPTION_FRAME, EXCEPTION_FRAME_FP, stack_usage

CORES = {
    "cortex-m0plus": ("thumb-freestanding-eabi", "cortex_m0plus"),
    "cortex-m4f": ("thumb-freestanding-eabihf", "cortex_m4+vfp4d16sp"),
    "cortex-a76": ("aarch64-linux-none", "cortex_a76"),
}


def build(folder: Path, core: str, text: str, suffix: str = "c") -> Path:
    """Compile and link a program without a library."""
    source, elf = folder / f"p.{suffix}", folder / "p.elf"
    source.write_text(text)
    target, mcpu = CORES[core]
    cache = str(cache_dir() / "zig")
    subprocess.run(
        [
            *(sys.executable, "-m", "ziglang", "cc", "-target", target, f"-mcpu={mcpu}", "-O1"),
            *("-ffreestanding", "-fno-sanitize=undefined", "-fno-asynchronous-unwind-tables"),
            *("-fomit-frame-pointer", "-fno-stack-protector", "-nostdlib", "-static", "-Wl,-e,_start"),
            *(str(source), "-o", str(elf)),
        ],
        check=True,
        capture_output=True,
        env={**os.environ, "ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache},
    )
    return elf


def thumb(name: str, body: str) -> str:
    return (
        f".syntax unified\n.thumb\n.text\n.global {name}\n.type {name}, %function\n.thumb_func\n"
        f"{name}:\n{body}\n.pool\n.size {name}, . - {name}\n"
    )


LEAF = thumb("leaf", "push {r4-r7, lr}\nsub sp, #20\nadd sp, #20\npop {r4-r7, pc}")  # 20 + 20


@pytest.mark.parametrize(
    ("core", "body", "expected"),
    [
        ("cortex-m0plus", "push {r4, lr}\npop {r4, pc}", 8),
        ("cortex-m0plus", "push {r4, lr}\nsub sp, #8\nbl leaf\nadd sp, #8\npop {r4, pc}", 56),
        # the deepest point is before the call, not in it
        ("cortex-m0plus", "push {lr}\nsub sp, #200\nadd sp, #200\nbl leaf\npop {pc}", 204),
        # tail call: the caller's frame is gone
        ("cortex-m0plus", "push {r4, lr}\nsub sp, #8\nadd sp, #8\npop {r4}\npop {r0}\nb leaf", 40),
        # a large frame by way of a register
        ("cortex-m0plus", "push {r4, lr}\nldr r4, =-2000\nadd sp, r4\nbl leaf\nldr r4, =2000\nadd sp, r4\n"
         "pop {r4, pc}", 2048),
        ("cortex-m0plus", "push {r4, lr}\nmovs r4, #250\nlsls r4, r4, #2\nnegs r4, r4\nadd sp, r4\nbl leaf\n"
         "udf #0", 1048),
        # frame pointer
        ("cortex-m0plus", "push {r7, lr}\nmov r7, sp\nsub sp, #64\nmov sp, r7\nbl leaf\npop {r7, pc}", 72),
        # alignment without BFC loses up to 15 bytes
        ("cortex-m0plus", "push {r4, lr}\nmov r4, sp\nsubs r4, #32\nlsrs r4, r4, #4\nlsls r4, r4, #4\n"
         "mov sp, r4\nbl leaf\nudf #0", 95),
        # a known address in a register is a call like any other
        ("cortex-m0plus", "push {r3, lr}\nldr r3, =leaf\nblx r3\npop {r3, pc}", 48),
        ("cortex-m0plus", "ldr r3, =leaf\nbx r3", 40),
        ("cortex-m4f", "push.w {r4-r11, lr}\nvpush {d8-d11}\nsub.w sp, sp, #1024\nbl leaf\n"
         "add.w sp, sp, #1024\nvpop {d8-d11}\npop.w {r4-r11, pc}", 36 + 32 + 1024 + 40),
        ("cortex-m4f", "str lr, [sp, #-8]!\nbl leaf\nldr pc, [sp], #8", 48),
        ("cortex-m4f", "strd r4, r5, [sp, #-16]!\nstmdb sp!, {r6, lr}\nbl leaf\nldmia sp!, {r6, lr}\n"
         "ldrd r4, r5, [sp], #16\nbx lr", 64),
        ("cortex-m4f", "push {r4, lr}\nmovw r4, #4000\nsub.w sp, sp, r4\nbl leaf\nadd.w sp, sp, r4\n"
         "pop {r4, pc}", 4048),
        # a conditional return inside an IT block: what follows keeps the frame
        ("cortex-m4f", "push {r4, lr}\ncmp r0, #0\nit eq\npopeq {r4, pc}\nbl leaf\npop {r4, pc}", 48),
        # a jump out of reach of `b`: `bl` within the function comes back to nobody
        ("cortex-m0plus", "push {r4, lr}\nsub sp, #16\nbl 1f\nnop\nnop\n1:\nadd sp, #16\npop {r4, pc}", 24),
        # a jump table: both cases are walked at the depth of the dispatch
        ("cortex-m4f", "push {r4, lr}\nsub sp, #16\ntbb [pc, r0]\n1:\n.byte 1, 3\n.p2align 1\nb 2f\n"
         "bl leaf\n2:\nadd sp, #16\npop {r4, pc}", 64),
        ("cortex-m4f", "push {r4, lr}\nadd pc, r0\nnop\npop {r4, pc}\nbl leaf\npop {r4, pc}", 48),
    ],
)  # fmt: skip
def test_thumb_stacks_are_exact(tmp_path: Path, core: str, body: str, expected: int) -> None:
    elf = build(tmp_path, core, LEAF + thumb("_start", body), "s")
    report = stack_usage(elf, load_core(core))
    assert report.program == expected
    assert report.exception == (EXCEPTION_FRAME if core == "cortex-m0plus" else EXCEPTION_FRAME_FP)
    assert report.bytes == report.program + report.exception
    assert report.path[0][0] == "_start"


A64_LEAF = (
    ".text\n.global leaf\n.type leaf, %function\nleaf:\nstp x29, x30, [sp, #-48]!\n"
    "ldp x29, x30, [sp], #48\nret\n.size leaf, . - leaf\n"
)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("stp x29, x30, [sp, #-32]!\nmov x29, sp\nbl leaf\nldp x29, x30, [sp], #32\nret", 80),
        ("sub sp, sp, #16\nsub sp, sp, #1, lsl #12\nbl leaf\nudf #0", 4096 + 16 + 48),
        ("mov x12, #6016\nsub sp, sp, x12\nbl leaf\nadd sp, sp, x12\nret", 6016 + 48),
        ("str x30, [sp, #-16]!\nadrp x1, leaf\nadd x1, x1, :lo12:leaf\nblr x1\nldr x30, [sp], #16\nret", 64),
        ("stp x29, x30, [sp, #-16]!\nmov x29, sp\nsub x9, sp, #64\nand sp, x9, #0xffffffffffffffe0\n"
         "bl leaf\nmov sp, x29\nldp x29, x30, [sp], #16\nret", 16 + 64 + 31 + 48),
        ("str d8, [sp, #-16]!\ntbz w0, #1, 1f\nbl leaf\n1:\nldr d8, [sp], #16\nret", 64),
        ("adr x1, 3f\nldrh w2, [x1, w0, uxtw #1]\nadr x3, 1f\nadd x1, x3, w2, sxth #2\nbr x1\n1:\nret\n2:\n"
         "b leaf\n3:\n.hword 0, 1", 48),
        ("b leaf", 48),
    ],
)  # fmt: skip
def test_a64_stacks_are_exact(tmp_path: Path, body: str, expected: int) -> None:
    text = A64_LEAF + f".global _start\n.type _start, %function\n_start:\n{body}\n.size _start, . - _start\n"
    report = stack_usage(build(tmp_path, "cortex-a76", text, "s"), load_core("cortex-a76"))
    assert (report.program, report.exception) == (expected, 0)


RECURSION = """
volatile int n;
__attribute__((noinline)) int odd(int k);
__attribute__((noinline)) int even(int k) { volatile int x[4]; x[0] = k; return k ? odd(k - 1) + x[0] : 1; }
__attribute__((noinline)) int odd(int k) { volatile int x[4]; x[0] = k; return k ? even(k - 1) + x[0] : 0; }
void _start(void) { n = even(n); for (;;) { } }
"""

INDIRECT = """
int (*volatile f)(int); volatile int n;
__attribute__((noinline)) int call(int k) { return f(k) + 1; }
void _start(void) { n = call(n); for (;;) { } }
"""

ALLOCA = """
volatile int n; volatile char *volatile p;
__attribute__((noinline)) void grow(int k) { volatile char b[k]; p = b; b[0] = 1; }
void _start(void) { grow(n); for (;;) { } }
"""


@pytest.mark.parametrize("core", sorted(CORES))
@pytest.mark.parametrize(
    ("text", "message", "names"),
    [
        (RECURSION, "recursion has no stack bound", ("even", "odd")),
        (INDIRECT, "not known before it runs", ("call",)),
        (ALLOCA, "not known before it runs", ("grow",)),
    ],
)
def test_unbounded_programs_are_refused_by_name(
    tmp_path: Path, core: str, text: str, message: str, names: tuple[str, ...]
) -> None:
    elf = build(tmp_path, core, text)
    with pytest.raises(ToolchainError, match=message) as e:
        stack_usage(elf, load_core(core))
    for n in names:
        assert n in str(e.value)


def test_a_loop_that_pushes_is_refused(tmp_path: Path) -> None:
    elf = build(tmp_path, "cortex-m0plus", thumb("_start", "1: push {r0}\nb 1b"), "s")
    with pytest.raises(ToolchainError, match="each time round"):
        stack_usage(elf, load_core("cortex-m0plus"))


def test_handlers_in_the_vector_table_count(tmp_path: Path) -> None:
    text = (
        LEAF
        + thumb("handler", "push {r4-r7, lr}\nsub sp, #100\nadd sp, #100\npop {r4-r7, pc}")
        + thumb("_start", "push {r4, lr}\nbl leaf\npop {r4, pc}")
        + '.section .vectors, "aR", %progbits\n.global eb_vectors\n.type eb_vectors, %object\neb_vectors:\n'
        + ".word 0x20001000\n.word _start\n.word handler\n.word 0\n.size eb_vectors, . - eb_vectors\n"
    )
    report = stack_usage(build(tmp_path, "cortex-m0plus", text, "s"), load_core("cortex-m0plus"))
    assert (report.program, report.exception) == (48, EXCEPTION_FRAME + 120)


PROGRAM = """
#include <stdint.h>
volatile uint8_t sink;
__attribute__((noipa)) int big(int n) { volatile char b[600]; for (int i = 0; i < n; i++) b[i] = i; return b[n / 2]; }
__attribute__((noipa)) int huge(int n) { volatile char b[6000]; for (int i = 0; i < n; i++) b[i] = i; return b[n / 2] + big(n); }
__attribute__((noipa)) int pick(int n) {
    switch (n) { case 0: return big(1); case 1: return 7 * big(3); case 2: sink = 1; return 5;
    case 3: return huge(3); case 4: sink = 2; return big(9); case 5: return 77; case 6: sink = 4; break;
    case 7: return big(n) + 3; }
    return 9;
}
__attribute__((noipa)) float divide(float a, float b) { return a / b + a; }
void _start(void) { sink = pick(sink) + (int)divide(sink, 3.0f); for (;;) { } }
"""


@pytest.mark.parametrize(
    ("core", "gcc", "flags"),
    [
        ("cortex-m0plus", "arm-none-eabi-gcc", ["-mcpu=cortex-m0plus", "-mthumb"]),
        ("cortex-m4f", "arm-none-eabi-gcc", ["-mcpu=cortex-m4", "-mthumb"]),
        ("cortex-a76", "aarch64-linux-gnu-gcc", ["-mcpu=cortex-a76"]),
    ],
)
@pytest.mark.parametrize("level", ["-Os", "-O2", "-O3"])
def test_frames_agree_with_gcc(tmp_path: Path, core: str, gcc: str, flags: list[str], level: str) -> None:
    if shutil.which(gcc) is None:
        pytest.skip(f"{gcc} is not installed: its own stack figures cannot be compared")
    (tmp_path / "p.c").write_text(PROGRAM)
    subprocess.run(
        [
            *(gcc, *flags, level, "-ffreestanding", "-fno-stack-protector", "-fstack-usage", "-nostdlib"),
            *("-static", "-Wl,-e,_start", "p.c", "-lgcc", "-o", "p.elf"),
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    report = stack_usage(tmp_path / "p.elf", load_core(core))
    (su,) = tmp_path.glob("*.su")
    said = {m.group(1): int(m.group(2)) for m in re.finditer(r":(\w+)\t(\d+)\tstatic", su.read_text())}
    said.pop("_start")  # it never returns: gcc leaves out what a caller would want back
    assert said
    for name, size in said.items():
        assert report.frames[name] == size, name
    assert report.program >= said["huge"] + said["big"]
    assert report.program <= said["huge"] + said["big"] + 64


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="build it first"):
        stack_usage(tmp_path / "none.elf", load_core("cortex-m0plus"))
    (tmp_path / "x.elf").write_bytes(b"not an image")
    with pytest.raises(ToolchainError, match="not an ELF image"):
        stack_usage(tmp_path / "x.elf", load_core("cortex-m0plus"))
