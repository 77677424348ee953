"""Static decode of an image against its core: no instruction in it may be one the core lacks.

Emulators accept instructions real cores fault on, so the proof is here: every byte range the compiler
marked as code is disassembled, and each instruction is held against the groups the core's definition names
under `forbidden`. A code word that decodes to nothing is an error too. What capstone does not know of Armv8.1-M
is decoded in decode_v81m.py.

Groups follow the Arm architecture reference manuals (Armv6-M DDI 0419, Armv7-M DDI 0403, Armv8-M DDI 0553,
A-profile DDI 0487).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import capstone

from edgebit.core import Core
from edgebit.errors import EdgebitError, ToolchainError
from edgebit.toolchain import decode_v81m, ifunc
from edgebit.toolchain.elf import CodeRange, Function, Image

_V6M_WIDE = {"bl", "msr", "mrs", "dmb", "dsb", "isb", "udf.w"}
_DSP = re.compile(
    r"(smlad|smladx|smlsd|smlsdx|smuad|smuadx|smusd|smusdx|smlald|smlaldx|smlsld|smlsldx"
    r"|smmla|smmlar|smmls|smmlsr|smmul|smmulr|smul[bt][bt]|smla[bt][bt]|smlal[bt][bt]|smulw[bt]|smlaw[bt]"
    r"|umaal|usad8|usada8|sel|ssat16|usat16|pkhbt|pkhtb|[su]xtab|[su]xtah|[su]xtab16|[su]xtb16"
    r"|qadd|qsub|qdadd|qdsub|(s|q|sh|u|uq|uh)(add8|add16|sub8|sub16|asx|sax))"
    r"(\.w)?$"
)
_V8M = re.compile(
    r"(tt|ttt|tta|ttat|sg|bxns|blxns|lda|ldab|ldah|stl|stlb|stlh|ldaex|ldaexb|ldaexh|stlex|stlexb|stlexh"
    r"|vlldm|vlstm|vscclrm|clrm|csel|csinc|csinv|csneg|cset|csetm|cinc|cinv|cneg|dls|wls|le|bf|bfl|bfx|bfcsel)"
    r"(\.w)?$"
)
_LSE = re.compile(r"(cas|casp|swp|(ld|st)(add|clr|eor|set|smax|smin|umax|umin))(a|l|al)?(b|h)?$")
_CONDITION = re.compile(r"(eq|ne|hs|lo|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)$")

Test = Callable[[str, str, int], bool]
"""Whether an instruction (mnemonic, operands, size in bytes) belongs to a group."""


def _name(pattern: re.Pattern[str]) -> Test:
    """A test of the mnemonic, with or without the condition an IT block adds to it."""

    def test(m: str, ops: str, size: int) -> bool:
        return bool(pattern.match(m) or pattern.match(_CONDITION.sub("", m.removesuffix(".w"))))

    return test


GROUPS: Mapping[str, Test] = {
    # Thumb-2: every 32-bit encoding but those Armv6-M has (A5.3 of DDI 0419)
    "thumb2": lambda m, ops, size: size == 4 and m not in _V6M_WIDE,
    "cbz": lambda m, ops, size: m in ("cbz", "cbnz"),
    "it": lambda m, ops, size: re.match(r"it[te]{0,3}$", m) is not None,
    "divide": _name(re.compile(r"[su]div(\.w)?$")),
    "dsp": _name(_DSP),
    # any floating-point or vector register instruction
    "fp": lambda m, ops, size: m.startswith("v"),
    "fp64": lambda m, ops, size: m.startswith("v") and ".f64" in m,
    # added to the FPU by Armv8: fpv5
    "fparmv8": lambda m, ops, size: re.match(r"v(sel|rint|maxnm|minnm|cvt[anpm]\.)", m) is not None,
    "armv8m": _name(_V8M),
    # Helium shares this encoding space, so a decoder that does not know it may show it as one of these
    "coprocessor": _name(re.compile(r"(cdp|mcr|mrc|mcrr|mrrc|ldc|stc)2?l?$")),
    "mve": lambda m, ops, size: m.startswith("v") and re.search(r"\bq[0-7]\b", ops) is not None,
    # binary32 arithmetic in NEON registers, which flushes denormals to zero on 32-bit cores
    "neon_float": lambda m, ops, size: (
        re.match(r"v(?!mov|dup)\w+\.(f32|f16)(\.[su]32)?$", m) is not None
        and re.match(r"[dq]\d", ops) is not None
    ),
    "mve_float": lambda m, ops, size: m == "helium.float",
    "dotprod": lambda m, ops, size: m in ("sdot", "udot"),
    "i8mm": lambda m, ops, size: m in ("smmla", "ummla", "usmmla", "usdot", "sudot"),
    "bf16": lambda m, ops, size: re.match(r"bf(dot|mmla|mlal|cvt)", m) is not None,
    "sve": lambda m, ops, size: re.search(r"\b(z([12]?\d|3[01])|p(\d|1[0-5]))\b[./]?", ops) is not None,
    "lse": _name(_LSE),
}
"""Instruction groups by the name that a core's `forbidden` list uses."""


@cache
def disassembler(arch: str, detail: bool = False) -> Any:
    """A capstone decoder for a core architecture ("armv6-m", "armv8.2-a+dotprod" ...)."""
    if re.match(r"armv8[.\d]*-a", arch):
        cs = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
    else:
        mode = capstone.CS_MODE_THUMB | (0 if arch.startswith("armv7-a") else capstone.CS_MODE_MCLASS)
        if arch.startswith("armv8"):
            mode |= capstone.CS_MODE_V8
        cs = capstone.Cs(capstone.CS_ARCH_ARM, mode)
    cs.detail = detail
    return cs


def _asked_first(image: Image, insn: Any, group: str) -> bool:
    """Whether an atomic instruction is in a function that asks the processor before it."""
    f = image.function_at(insn.address) if group == "lse" else None
    return f is not None and ifunc.looks_first(image, f)


def instructions(
    image: Image, core: Core, span: CodeRange, *, detail: bool = False, passing: Sequence[Function] = ()
) -> Iterator[Any]:
    """Decode a code range in address order, but for some functions; ToolchainError at a word that is no instruction.

    Zero fill between functions is passed over. On cores of Armv8.1-M some are decode_v81m.Wide.
    """
    at = span.start
    for f in passing:
        if span.start <= f.start and f.end <= span.end:
            yield from instructions(image, core, CodeRange(at, f.start, span.kind), detail=detail)
            at = f.end
    span = CodeRange(at, span.end, span.kind)
    if at == span.end:
        return
    wanted = "a64" if image.machine == "aarch64" else "thumb"
    if span.kind != wanted:
        raise ToolchainError(
            f"{image.path.name}: {span.kind} code at 0x{span.start:08x}; {core.title} runs only {wanted}"
        )
    cs = disassembler(core.arch, detail)
    at = span.start
    code = image.read(span.start, span.end - span.start)
    step = 4 if wanted == "a64" else 2
    others = iter(decode_v81m.find(code, span.start) if core.arch.startswith("armv8.1-m") else ())
    other = next(others, None)
    while at < span.end:
        for insn in cs.disasm(code[at - span.start : other.address - span.start if other else None], at):
            yield insn
            at = insn.address + insn.size
        if other is not None and at == other.address:
            yield other
            at += other.size
            other = next(others, None)
            continue
        if at >= span.end:
            return
        word = code[at - span.start : at - span.start + step]
        if any(word) or (image.function_at(at) is not None and span.end - at > 4):
            raise ToolchainError(
                f"{image.path.name}: the word {code[at - span.start : at - span.start + 4].hex()} at "
                f"0x{at:08x} ({where(image, at)}) is no instruction of {core.title} that EdgeBit can decode"
            )
        at += step


def where(image: Image, address: int) -> str:
    """The function that holds an address, with the offset into it."""
    f = image.function_at(address)
    return "no function" if f is None else f"{f.name}+0x{address - f.start:x}"


def check_isa(path: Path, core: Core) -> int:
    """Decode all code of an image; ToolchainError naming address, instruction and function when one of
    them is not in the core. Returns the number of instructions decoded."""
    image = Image(path)
    if core.family == "host":
        return 0
    unknown = [g for g in core.forbidden if g not in GROUPS]
    if unknown:
        raise EdgebitError(f"core {core.name}: unknown instruction groups {unknown}; known: {sorted(GROUPS)}")
    tests = [(g, GROUPS[g]) for g in core.forbidden]
    count = 0
    ways = ifunc.Ways(image, ifunc.variants(image))
    for span in image.code_ranges:
        if span.kind == "data":
            continue
        for insn in instructions(image, core, span, passing=ways.found):
            count += 1
            if ways.found:
                ways.see(insn)
            for group, test in tests:
                if test(insn.mnemonic, insn.op_str, insn.size) and not _asked_first(image, insn, group):
                    raise ToolchainError(
                        f"{path.name}: {core.title} lacks `{insn.mnemonic} {insn.op_str}` at "
                        f"0x{insn.address:08x} in {where(image, insn.address)} (group {group}); "
                        "the compiler was given the wrong core, or a library was built for another one",
                        details={
                            "address": insn.address,
                            "instruction": f"{insn.mnemonic} {insn.op_str}".strip(),
                            "function": where(image, insn.address),
                            "group": group,
                        },
                    )
    if count == 0:
        raise ToolchainError(f"{path.name} holds no code")
    return count
