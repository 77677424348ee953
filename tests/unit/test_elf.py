"""Reading linked images: sizes, symbols, code ranges, load image."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from edgebit.errors import ToolchainError
from edgebit.resources import cache_dir
from edgebit.toolchain.elf import Image, read_sizes

SOURCE = """
.syntax unified
.thumb
.section .vectors, "aR", %progbits
.global eb_vectors
.type eb_vectors, %object
eb_vectors:
.word 0x20001000
.word _start
.size eb_vectors, . - eb_vectors
.text
.global _start
.type _start, %function
.thumb_func
_start:
ldr r0, =counter
bl helper
b _start
.pool
.size _start, . - _start
.type helper, %function
.thumb_func
helper:
bx lr
.size helper, . - helper
.global twin
.thumb_set twin, helper
.type table, %object
table:
.word 1, 2, 3
.size table, . - table
.data
.global counter
.type counter, %object
counter:
.word 0x11223344, 5
.size counter, . - counter
.bss
.global buffer
.type buffer, %object
buffer:
.space 100
.size buffer, . - buffer
"""

SCRIPT = """
MEMORY { FLASH (rx) : ORIGIN = 0x08000000, LENGTH = 64K
         RAM (rwx) : ORIGIN = 0x20000000, LENGTH = 16K }
SECTIONS {
  .vectors : { KEEP(*(.vectors)) } > FLASH
  .text : { *(.text .text.*) . = ALIGN(4); } > FLASH
  .data : { *(.data .data.*) } > RAM AT > FLASH
  .bss (NOLOAD) : { *(.bss .bss.*) } > RAM
}
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    folder = tmp_path_factory.mktemp("elf")
    (folder / "p.s").write_text(SOURCE)
    (folder / "p.ld").write_text(SCRIPT)
    cache = str(cache_dir() / "zig")
    subprocess.run(
        [
            *(sys.executable, "-m", "ziglang", "cc", "-target", "thumb-freestanding-eabi"),
            *("-mcpu=cortex_m0plus", "-nostdlib", "-static", "-Wl,-e,_start", "-Wl,--no-gc-sections"),
            *("-T", "p.ld", "p.s", "-o", "p.elf"),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
        env={**os.environ, "ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache},
    )
    return Image(folder / "p.elf")


def test_bytes_are_told_apart_by_use(image: Image) -> None:
    sizes = read_sizes(image.path)
    assert sizes == image.sizes()
    assert (sizes.data, sizes.bss) == (8, 100)
    assert sizes.const == 8 + 12  # the vector table, and the named table inside .text
    text = next(s for s in image.sections if s.name == ".text")
    assert sizes.code == text.size - 12
    assert sizes.flash == sizes.code + sizes.const + sizes.data
    assert sizes.ram == 108


def test_functions_have_no_thumb_bit_and_carry_aliases(image: Image) -> None:
    names = {n for f in image.functions for n in f.names}
    assert {"_start", "helper", "twin"} <= names
    start = image.function_at(image.entry)
    assert start is not None
    assert start.name == "_start"
    assert start.start % 2 == 0
    assert image.function_at(start.end - 2) == start
    assert image.function_at(0x20000000) is None
    assert image.symbol("counter").address == 0x20000000
    with pytest.raises(ToolchainError, match="no symbol 'nobody'"):
        image.symbol("nobody")


def test_code_and_literals_are_separate_ranges(image: Image) -> None:
    kinds = [r.kind for r in image.code_ranges]
    assert kinds.count("thumb") == 2
    assert "data" in kinds
    total = sum(r.end - r.start for r in image.code_ranges)
    assert total == next(s for s in image.sections if s.name == ".text").size


def test_the_flat_image_holds_what_is_flashed(image: Image) -> None:
    base, flat = image.flat()
    assert base == 0x08000000
    assert flat[4:8] == (image.entry + 1).to_bytes(4, "little")
    assert bytes.fromhex("4433221105000000") in flat
    assert len(flat) == sum(s.size for s in image.sections if s.stored)
    assert image.read(0x20000000, 4) == bytes.fromhex("44332211")
    with pytest.raises(ToolchainError, match="stores nothing at"):
        image.read(image.symbol("buffer").address, 4)
