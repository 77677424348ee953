"""Model files on disk: JSON that is bounded and unambiguous, and arrays mapped from a checked range of bytes.

Everything here takes untrusted files. What is wrong with one is a ModelError that names it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from edgebit.errors import ModelError
from edgebit.importers._onnx_tensor import widen_bfloat16
from edgebit.importers.base import printable
from edgebit.ir.graph import Array, F32Array

BLOCK_ELEMENTS = 1 << 20
"""How many elements of a large tensor are widened at a time."""


def file_size(path: Path, where: str) -> int:
    """Bytes of a regular file (or of what a link leads to); raises ModelError."""
    try:
        if not path.is_file():
            raise ModelError(f"{where}: not a regular file")
        return path.stat().st_size
    except OSError as e:
        raise ModelError(f"{where}: cannot be read: {e.strerror or type(e).__name__}") from e


def read_bytes(path: Path, limit: int, where: str) -> bytes:
    """A whole file of at most `limit` bytes; raises ModelError."""
    size = file_size(path, where)
    if size > limit:
        raise ModelError(f"{where}: {size} bytes; such a file has at most {limit}")
    try:
        with path.open("rb") as f:
            return f.read(limit)
    except OSError as e:
        raise ModelError(f"{where}: cannot be read: {e.strerror or type(e).__name__}") from e


def parse_json_object(raw: bytes, where: str) -> dict[str, Any]:
    """A JSON object whose keys are all different, at every depth; raises ModelError."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            seen: set[str] = set()
            twice = next(k for k, _ in pairs if k in seen or seen.add(k))  # type: ignore[func-returns-value]
            raise ModelError(f"{where}: the key {printable(twice)!r} occurs twice")
        return found

    def constant(name: str) -> NoReturn:
        raise ModelError(f"{where}: {name} is not a JSON number")

    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=unique, parse_constant=constant)
    except UnicodeDecodeError:
        raise ModelError(f"{where}: not UTF-8 text") from None
    except (ValueError, RecursionError) as e:
        raise ModelError(f"{where}: not valid JSON ({printable(e)}); is the file complete?") from None
    if not isinstance(value, dict):
        raise ModelError(f"{where}: not a JSON object")
    return value


def map_array(path: Path, offset: int, dtype: str, shape: tuple[int, ...], where: str) -> Array:
    """The bytes from `offset` as a read-only array that is mapped, not read. The range was checked before.

    Its pages leave memory when the array does.
    """
    if not prod(shape):
        return np.empty(shape, dtype)
    try:
        mapped = np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape)
    except (OSError, ValueError, OverflowError) as e:
        raise ModelError(f"{where}: its data cannot be read ({printable(e)}); is the file complete?") from e
    return mapped.view(np.ndarray)


def widen(data: Array, dtype: str, where: str) -> F32Array:
    """Float data ("f32", "f16", or "bf16" as uint16 bits) as binary32, exactly; refuses NaN and infinity."""
    wide = widen_bfloat16(data) if dtype == "bf16" else data.astype(np.float32)
    if not np.isfinite(wide).all():
        raise ModelError(f"{where}: holds NaN or infinity")
    return wide


def row_blocks(data: Array, dtype: str, where: str) -> Iterator[tuple[slice, F32Array]]:
    """A matrix, widened a few rows at a time: (which rows, their values)."""
    step = max(1, BLOCK_ELEMENTS // max(1, data.shape[1]))
    for first in range(0, data.shape[0], step):
        rows = slice(first, min(first + step, data.shape[0]))
        yield rows, widen(data[rows], dtype, where)


def check_finite(data: Array, dtype: str, where: str) -> None:
    """Refuse a matrix that holds NaN or infinity."""
    for _ in row_blocks(data, dtype, where):
        pass
