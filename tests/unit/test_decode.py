"""The static decode: an image must hold no instruction its core lacks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgebit.core import list_cores, load_core
from edgebit.errors import ToolchainError
from edgebit.resources import cache_dir
from edgebit.toolchain.decode import GROUPS, check_isa
from edgebit.toolchain.elf import Image

ARM_HEAD = ".syntax unified\n.thumb\n.text\n.global _start\n.type _start, %function\n.thumb_func\n_start:\n"
A64_HEAD = ".text\n.global _start\n.type _start, %function\n_start:\n"


def assemble(folder: Path, target: str, mcpu: str, text: str) -> Path:
    """Assemble and link a program without a library, with the assembler the `ziglang` wheel holds."""
    source, elf = folder / "p.s", folder / "p.elf"
    source.write_text(text)
    cache = str(cache_dir() / "zig")
    subprocess.run(
        [
            *(sys.executable, "-m", "ziglang", "cc", "-target", target, f"-mcpu={mcpu}"),
            *("-nostdlib", "-static", "-Wl,-e,_start", str(source), "-o", str(elf)),
        ],
        check=True,
        capture_output=True,
        env={**os.environ, "ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache},
    )
    return elf


def thumb(folder: Path, body: str, *, mcpu: str = "cortex_m7+fp_armv8d16") -> Path:
    return assemble(
        folder,
        "thumb-freestanding-eabihf",
        mcpu,
        ARM_HEAD + body + "\nbx lr\n.size _start, . - _start\n",
    )


def a64(folder: Path, body: str, *, extension: str = "") -> Path:
    head = f".arch armv8.6-a{extension}\n" + A64_HEAD
    return assemble(
        folder, "aarch64-linux-none", "generic", head + body + "\nret\n.size _start, . - _start\n"
    )


@pytest.mark.parametrize(
    ("core", "body", "word", "group"),
    [
        ("cortex-m0plus", "cbz r0, 1f\nnop\n1:", "cbz", "cbz"),
        ("cortex-m0plus", "it eq\nmoveq r0, r1", "it", "it"),
        ("cortex-m0plus", "udiv r0, r0, r1", "udiv", "thumb2"),
        ("cortex-m0plus", "smlad r0, r1, r2, r3", "smlad", "thumb2"),
        ("cortex-m0plus", "ldr.w r0, [r1, #4]", "ldr.w", "thumb2"),
        ("cortex-m0plus", "b.w _start", "b.w", "thumb2"),
        ("cortex-m0plus", "vadd.f32 s0, s1, s2", "vadd.f32", "thumb2"),
        ("cortex-m3", "smlad r0, r1, r2, r3", "smlad", "dsp"),
        ("cortex-m3", "sxtah r0, r1, r2", "sxtah", "dsp"),
        ("cortex-m3", "vadd.f32 s0, s1, s2", "vadd.f32", "fp"),
        ("cortex-m4f", "vadd.f64 d0, d1, d2", "vadd.f64", "fp64"),
        ("cortex-m4f", "vsel" + "ge.f32 s0, s1, s2", "vselge.f32", "fparmv8"),
        ("cortex-m4f", "vrintz.f32 s0, s1", "vrintz.f32", "fparmv8"),
        ("cortex-m4f", "mcr p15, #0, r0, c1, c0", "mcr", "coprocessor"),
        ("cortex-m33", "vmul.f64 d0, d1, d2", "vmul.f64", "fp64"),
    ],
)
def test_a_foreign_instruction_is_refused(
    tmp_path: Path, core: str, body: str, word: str, group: str
) -> None:
    elf = thumb(tmp_path, body)
    with pytest.raises(ToolchainError) as e:
        check_isa(elf, load_core(core))
    assert e.value.details["instruction"].split()[0] == word
    assert e.value.details["group"] == group
    assert e.value.details["function"].startswith("_start+0x")
    assert "_start" in str(e.value)


@pytest.mark.parametrize(
    ("core", "body"),
    [
        (
            "cortex-m0plus",
            "dmb\ndsb\nisb\nmrs r0, primask\nmsr primask, r0\nbl _start\nmuls r0, r1\nrev r0, r1",
        ),
        (
            "cortex-m4f",
            "smlad r0, r1, r2, r3\nudiv r0, r0, r1\nvadd.f32 s0, s1, s2\nvldr d0, [r0]\ncbz r0, 1f\n1:",
        ),
        ("cortex-m3", "mla r0, r1, r2, r3\nudiv r0, r0, r1\nssat r0, #8, r1\nsxtb.w r8, r6, ror #8"),
        ("cortex-m7", "vadd.f64 d0, d1, d2\nvrintz.f32 s0, s1\nvselge.f32 s0, s1, s2"),
        ("cortex-m33", "smlad r0, r1, r2, r3\nvrintz.f32 s0, s1"),
    ],
)
def test_native_instructions_pass(tmp_path: Path, core: str, body: str) -> None:
    elf = thumb(tmp_path, body)
    assert check_isa(elf, load_core(core)) > body.count("\n")


def test_floats_in_32_bit_neon_are_refused(tmp_path: Path) -> None:
    """They flush denormals to zero, comparisons included; integers and the scalar unit are fine."""
    core = load_core("cortex-a7")
    for text in (
        "vadd.f32 q0, q1, q2",
        "vcgt.f32 d0, d1, d2",
        "vcvt.f32.s32 q0, q1",
        "vmla.f32 q0, q1, d0[0]",
    ):
        with pytest.raises(ToolchainError, match="neon_float"):
            check_isa(thumb(tmp_path, text, mcpu="cortex_a7"), core)
    fine = "vadd.f32 s0, s1, s2\nvcvt.f64.f32 d0, s2\nvadd.f64 d0, d1, d2\nvmlal.s8 q0, d2, d3\nvmov.f32 q0, #1.0"
    assert check_isa(thumb(tmp_path, fine, mcpu="cortex_a7"), core) == 6


def test_armv8m_instructions_are_refused_on_armv7m(tmp_path: Path) -> None:
    elf = thumb(tmp_path, "lda r0, [r1]", mcpu="cortex_m33")
    with pytest.raises(ToolchainError, match="lda"):
        check_isa(elf, load_core("cortex-m4f"))
    assert check_isa(elf, load_core("cortex-m33")) == 2


def test_helium_is_refused(tmp_path: Path) -> None:
    elf = thumb(tmp_path, "vmladava.s8 r0, q0, q1", mcpu="cortex_m55+mve_fp")
    with pytest.raises(ToolchainError, match="0x"):
        check_isa(elf, load_core("cortex-m33"))


@pytest.mark.parametrize(
    ("body", "extension", "group"),
    [
        ("add z0.s, z1.s, z2.s", "+sve", "sve"),
        ("ld1w {z0.s}, p0/z, [x0]", "+sve", "sve"),
        ("smmla v0.4s, v1.16b, v2.16b", "+i8mm", "i8mm"),
        ("bfdot v0.4s, v1.8h, v2.8h", "+bf16", "bf16"),
    ],
)
def test_extensions_of_newer_64_bit_cores_are_refused(
    tmp_path: Path, body: str, extension: str, group: str
) -> None:
    with pytest.raises(ToolchainError) as e:
        check_isa(a64(tmp_path, body, extension=extension), load_core("cortex-a76"))
    assert e.value.details["group"] == group


def test_the_dot_product_passes_on_a_core_that_has_it(tmp_path: Path) -> None:
    body = "sdot v0.4s, v1.16b, v2.16b\nprfm pldl1keep, [x0]\nldadd w0, w1, [x2]"
    assert check_isa(a64(tmp_path, body), load_core("cortex-a76")) == 4


def test_an_undecodable_word_is_refused_but_data_is_not(tmp_path: Path) -> None:
    bad = thumb(tmp_path, ".inst.w 0xffffffff\nnop\nnop", mcpu="cortex_m4+vfp4d16sp")
    with pytest.raises(ToolchainError, match="is no instruction"):
        check_isa(bad, load_core("cortex-m4f"))
    good = thumb(tmp_path, "b 1f\n.word 0xffffffff\n.word 0xee00ffff\n1:\nnop", mcpu="cortex_m4+vfp4d16sp")
    assert check_isa(good, load_core("cortex-m4f")) == 3
    assert [r.kind for r in Image(good).code_ranges] == ["thumb", "data", "thumb"]


def test_every_group_a_core_names_exists() -> None:
    for name in list_cores():
        assert set(load_core(name).forbidden) <= set(GROUPS)
