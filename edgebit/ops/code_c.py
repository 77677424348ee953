"""Weights that are machine code, in generated C."""

from __future__ import annotations

import hashlib
from itertools import groupby

import numpy as np

CLAMP_TABLE = "epilogue__clamp"
"""The file with the table of numbers clamped to int8."""


def code_symbol(raw: bytes) -> str:
    """The name of the array of such weights; the function is called `<symbol>_run`."""
    return f"eb_code_{hashlib.sha256(raw).hexdigest()[:16]}"


def machine_code(symbol: str, raw: bytes) -> str:
    """A function `<symbol>_run`, whose bytes are the array `symbol`.

    Models that hold the same code may be linked together, so both are weak.
    """
    words: list[int] = np.frombuffer(raw, "<u2").tolist()
    data = _literals(words)
    lines = [".syntax unified", f'.pushsection .text.{symbol},\\"ax\\",%progbits', ".p2align 2", ".thumb"]
    for name, kind in ((f"{symbol}_run", "function"), (symbol, "object")):
        lines += [f".weak {name}", f".hidden {name}", f".type {name},%{kind}"]
    lines += [".thumb_func", f"{symbol}_run:", f"{symbol}:"]
    for literal, run in groupby(range(len(words)), data.__contains__):
        part = [f"0x{words[k]:04x}" for k in run]
        name = ".hword" if literal else ".inst.n"
        lines += [f"{name} {', '.join(part[i : i + 12])}" for i in range(0, len(part), 12)]
    lines += [f".size {symbol}_run, . - {symbol}_run", f".size {symbol}, . - {symbol}", ".popsection"]
    text = "\n".join(f'        "{line}\\n"' for line in lines)
    return f"__asm__(\n{text});\n"


def _literals(words: list[int]) -> set[int]:
    """The halfwords that are no instructions: words that `ldr.w` loads from behind itself, and what a jump backwards and
    the beq before it leave out, which goes on behind that."""
    data: set[int] = set()
    at = 0
    while at < len(words):
        wide = at not in data and words[at] >> 11 in (0b11101, 0b11110, 0b11111)
        if wide and words[at] == 0xF8DF:
            place = ((2 * at + 4 & ~3) + (words[at + 1] & 0xFFF)) // 2
            data |= {place, place + 1}
        if at not in data and words[at] >> 7 == 0xD0 << 1 and at + 1 < len(words):
            jump = words[at + 1] >> 10
            if jump in (0b111001, 0b111101):  # b, bl and b.w, backwards
                data |= set(range(at + 2 + (jump == 0b111101), at + 2 + (words[at] & 0x7F)))
        at += 1 + wide
    return data


def pass_table(table: bool) -> tuple[str, str, str]:
    """For code that is passed the table of numbers clamped, or not: its declaration, parameter and argument."""
    return (
        ('#include "epilogue/clamp.h"\n', ", const int8_t *clamp", ", eb_clamp()") if table else ("", "", "")
    )


def finish_sums(requant: str) -> str:
    """What calls a kernel of requant_sums as if sums were packed words in blocks; layers share it."""
    return (
        f"EB_INLINE void eb_{requant}_finish(\n"
        "        const eb_requant_params *params, const eb_requant_entry *entries, const uint32_t *acc, int8_t *y,\n"
        "        int32_t rows, int32_t blocks, int32_t step, int32_t apart) {\n"
        "    (void)blocks;\n"
        f"    eb_{requant}(params, entries, (const int32_t *)acc, y, rows, step, apart);\n"
        "}\n"
    )
