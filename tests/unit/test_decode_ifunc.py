"""Code of a static C library that asks the processor first is let pass, and only such code."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_decode import assemble

from edgebit.core import load_core
from edgebit.errors import ToolchainError
from edgebit.toolchain.decode import check_isa

VARIANT = """
.type {name}, %function
{name}:
ptrue p0.b
ret
.size {name}, . - {name}
"""
RESOLVER = """
.global memcpy
.type memcpy, %gnu_indirect_function
memcpy:
adrp x0, __memcpy_sve
add x0, x0, :lo12:__memcpy_sve
ret
.size memcpy, . - memcpy
"""
ATOMIC = """
.type __aarch64_cas4_acq, %function
__aarch64_cas4_acq:
{look}
casa w0, w1, [x2]
ret
1: ret
.size __aarch64_cas4_acq, . - __aarch64_cas4_acq
.bss
.global __aarch64_have_lse_atomics
__aarch64_have_lse_atomics: .zero 1
"""
LOOK = "adrp x16, __aarch64_have_lse_atomics\nldrb w16, [x16, :lo12:__aarch64_have_lse_atomics]\ncbz w16, 1f"


def program(folder: Path, start: str, *more: str) -> Path:
    head = ".arch armv8.6-a+sve\n.text\n.global _start\n.type _start, %function\n_start:\n"
    text = f"{head}{start}\nret\n.size _start, . - _start\n{''.join(more)}"
    return assemble(folder, "aarch64-linux-none", "generic", text)


def test_a_variant_behind_a_resolver_passes(tmp_path: Path) -> None:
    elf = program(tmp_path, "bl memcpy", VARIANT.format(name="__memcpy_sve"), RESOLVER)
    assert check_isa(elf, load_core("cortex-a76")) >= 5


@pytest.mark.parametrize(
    ("start", "more", "why"),
    [
        ("bl __memcpy_sve", "", "without asking"),
        ("adrp x3, __memcpy_sve\nadd x4, x3, :lo12:__memcpy_sve\nblr x4", "", "without asking"),
        (
            "adrp x3, cell\nldr x4, [x3, :lo12:cell]\nblr x4",
            ".data\n.align 3\ncell: .quad __memcpy_sve\n",
            "the pointer at",
        ),
        ("bl __memcpy_sve_too", VARIANT.format(name="__memcpy_sve_too"), "group sve"),
        ("bl work", VARIANT.format(name="work"), "group sve"),
    ],
    ids=["call", "address", "pointer", "other name", "work"],
)
def test_a_variant_that_anyone_reaches_is_refused(tmp_path: Path, start: str, more: str, why: str) -> None:
    elf = program(tmp_path, f"bl memcpy\n{start}", VARIANT.format(name="__memcpy_sve"), RESOLVER, more)
    with pytest.raises(ToolchainError, match=why):
        check_isa(elf, load_core("cortex-a76"))


def test_a_variant_without_a_resolver_is_refused(tmp_path: Path) -> None:
    elf = program(tmp_path, "bl __memcpy_sve", VARIANT.format(name="__memcpy_sve"))
    with pytest.raises(ToolchainError, match="group sve"):
        check_isa(elf, load_core("cortex-a76"))


def test_registers_are_followed_and_not_more(tmp_path: Path) -> None:
    """The page of a register that was written since is not the variant's."""
    start = "bl memcpy\nadrp x3, __memcpy_sve\nmov x3, x1\nadd x4, x3, :lo12:__memcpy_sve"
    elf = program(tmp_path, start, VARIANT.format(name="__memcpy_sve"), RESOLVER)
    assert check_isa(elf, load_core("cortex-a76")) >= 8


@pytest.mark.parametrize(
    ("look", "good"),
    [
        (LOOK, True),
        ("bti c\n" + LOOK, True),
        ("", False),
        (LOOK.replace("cbz w16", "cbz w17"), False),
        (LOOK.replace("ldrb w16, [x16", "ldrb w16, [x15"), False),
        (LOOK.replace("cbz w16, 1f", "nop\nmov w0, w1"), False),
    ],
    ids=["looks", "landing pad", "does not", "at another register", "at another page", "goes nowhere"],
)
def test_an_atomic_helper_must_look_first(tmp_path: Path, look: str, good: bool) -> None:
    elf = program(tmp_path, "bl __aarch64_cas4_acq", ATOMIC.format(look=look))
    core = load_core("cortex-a72")
    if good:
        assert check_isa(elf, core) > 4
    else:
        with pytest.raises(ToolchainError, match="group lse"):
            check_isa(elf, core)
