"""Weights that are machine code, in generated C."""

from __future__ import annotations

import hashlib

import numpy as np


def code_symbol(raw: bytes) -> str:
    """The name of the array of such weights; the function is called `<symbol>_run`."""
    return f"eb_code_{hashlib.sha256(raw).hexdigest()[:16]}"


def machine_code(symbol: str, raw: bytes) -> str:
    """A function `<symbol>_run`, whose bytes are the array `symbol`.

    Models that hold the same code may be linked together, so both are weak.
    """
    words = [f"0x{w:04x}" for w in np.frombuffer(raw, "<u2").tolist()]
    lines = [".syntax unified", f'.pushsection .text.{symbol},\\"ax\\",%progbits', ".p2align 2", ".thumb"]
    for name, kind in ((f"{symbol}_run", "function"), (symbol, "object")):
        lines += [f".weak {name}", f".hidden {name}", f".type {name},%{kind}"]
    lines += [".thumb_func", f"{symbol}_run:", f"{symbol}:"]
    lines += [f".inst.n {', '.join(words[i : i + 12])}" for i in range(0, len(words), 12)]
    lines += [f".size {symbol}_run, . - {symbol}_run", f".size {symbol}, . - {symbol}", ".popsection"]
    text = "\n".join(f'        "{line}\\n"' for line in lines)
    return f"__asm__(\n{text});\n"


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
