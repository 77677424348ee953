"""C text: identifiers and comments out of untrusted names, exact literals, wrapped lines, tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

from edgebit.ir.graph import DType, Tensor
from edgebit.ops.base import CConst
from edgebit.ops.support import c_float, c_int

WIDTH = 110
CTYPES = {DType.F32: "float", DType.S8: "int8_t", DType.S32: "int32_t"}
_FORMATS = {
    "int8_t": "<i1",
    "uint8_t": "<u1",
    "int16_t": "<i2",
    "uint16_t": "<u2",
    "int32_t": "<i4",
    "uint32_t": "<u4",
    "float": "<f4",
    "eb_requant_entry": "<i4,<i2,<i2",
}

_HEADERS = {
    "app", "app_model", "assert", "board_config", "complex", "ctype", "errno", "features", "fenv", "float", "inttypes",
    "iso646", "limits", "locale", "math", "setjmp", "signal", "stdalign", "stdarg", "stdatomic", "stdbool",
    "stddef", "stdint", "stdio", "stdlib", "stdnoreturn", "string", "tgmath", "threads", "time", "uchar",
    "wchar", "wctype",
}  # fmt: skip
_DEVICE = re.compile(r"con|prn|aux|nul|com\d|lpt\d")


def identifier(name: str, limit: int = 40) -> str:
    """A C identifier of lower-case letters, digits and single underscores that starts with a letter."""
    text = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:limit].strip("_")
    if not text or not text[0].isalpha():
        text = f"m_{text}".rstrip("_")
    return text


def model_prefix(name: str) -> str:
    """The identifier that names a model's files and starts its symbols: not the runtime's own prefix, not a
    name that would hide a header, and not one that Windows keeps for its devices."""
    text = identifier(name)
    taken = text in _HEADERS or text == "eb" or text.startswith("eb_") or _DEVICE.fullmatch(text)
    return f"m_{text}" if taken else text


def comment(text: str, limit: int = 60) -> str:
    """`text` so that it can stand in a // comment: no control characters, no backslash, no comment marks."""
    safe = re.sub(r"[^A-Za-z0-9 _.,:;/()\[\]{}+=<>@#%&~^!|'\"-]", "_", text)
    while "//" in safe or "/*" in safe:
        safe = safe.replace("//", "/").replace("/*", "/")
    return safe if len(safe) <= limit else safe[: limit - 3] + "..."


def shape(t: Tensor) -> str:
    """`s8 (1, 28, 28, 1)`"""
    return f"{t.dtype.value} ({', '.join(str(d) for d in t.shape)})"


def wrap(head: str, items: Sequence[str], tail: str, indent: str = "    ") -> str:
    """`head` + comma-separated items + `tail`, broken between items at WIDTH columns."""
    one = head + ", ".join(items) + tail
    if len(one) <= WIDTH:
        return one
    lines = [head]
    for i, item in enumerate(items):
        piece = item + (", " if i + 1 < len(items) else tail)
        if len(lines[-1]) + len(piece.rstrip()) > WIDTH and lines[-1].strip():
            lines[-1] = lines[-1].rstrip()
            lines.append(indent + piece)
        else:
            lines[-1] += piece
    return "\n".join(lines)


def rows(items: Iterable[str], indent: str = "    ") -> str:
    """Items separated by commas, as many a line as fit."""
    lines: list[str] = []
    line = indent
    for item in items:
        if len(line) + len(item) + 1 > WIDTH:
            lines.append(line.rstrip())
            line = indent
        line += item + ", "
    lines.append(line.rstrip())
    return "\n".join(lines)


def values(const: CConst) -> list[str]:
    """The elements of a constant array as exact C expressions."""
    data = np.frombuffer(const.raw, _FORMATS[const.ctype])
    if const.ctype == "eb_requant_entry":
        return [f"{{{c_int(a)}, {m}, {s}}}" for a, m, s in data.tolist()]
    if const.ctype == "float":
        return [_float(v) for v in data.tolist()]
    if const.ctype == "int32_t":
        return [c_int(v) for v in data.tolist()]
    if const.ctype == "uint32_t":
        return [f"{v}u" for v in data.tolist()]
    return [str(v) for v in data.tolist()]


def count(const: CConst) -> int:
    """How many elements a constant array has."""
    return len(const.raw) // np.dtype(_FORMATS[const.ctype]).itemsize


def _float(v: float) -> str:
    if np.isnan(v):
        raise ValueError("a constant array holds NaN")
    return c_float(v)


def banner(lines: Iterable[str]) -> str:
    """The SPDX line, then a comment."""
    return "\n".join(["// SPDX-License-Identifier: Apache-2.0", *(f"// {line}".rstrip() for line in lines)])
