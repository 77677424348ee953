"""ONNX tensors to NumPy, without trusting a length: data is measured before anything is allocated."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from edgebit.errors import ModelError
from edgebit.importers.base import printable
from edgebit.ir.graph import Array

# Element types of onnx.TensorProto.DataType.
FLOAT, UINT8, INT8, UINT16, INT16, INT32, INT64 = 1, 2, 3, 4, 5, 6, 7
STRING, BOOL, FLOAT16, DOUBLE, UINT32, UINT64, BFLOAT16 = 8, 9, 10, 11, 12, 13, 16
UINT4, INT4, UINT2, INT2 = 21, 22, 25, 26

TYPE_NAMES = {
    1: "FLOAT", 2: "UINT8", 3: "INT8", 4: "UINT16", 5: "INT16", 6: "INT32", 7: "INT64", 8: "STRING", 9: "BOOL",
    10: "FLOAT16", 11: "DOUBLE", 12: "UINT32", 13: "UINT64", 14: "COMPLEX64", 15: "COMPLEX128", 16: "BFLOAT16",
    17: "FLOAT8E4M3FN", 18: "FLOAT8E4M3FNUZ", 19: "FLOAT8E5M2", 20: "FLOAT8E5M2FNUZ", 21: "UINT4", 22: "INT4",
    23: "FLOAT4E2M1", 24: "FLOAT8E8M0", 25: "UINT2", 26: "INT2",
}  # fmt: skip

# How one element is stored: NumPy type and bits. Types of less than 8 bits are packed, first element lowest.
STORED: dict[int, tuple[str, int]] = {
    FLOAT: ("<f4", 32), UINT8: ("|u1", 8), INT8: ("|i1", 8), UINT16: ("<u2", 16), INT16: ("<i2", 16),
    INT32: ("<i4", 32), INT64: ("<i8", 64), BOOL: ("|b1", 8), FLOAT16: ("<f2", 16), DOUBLE: ("<f8", 64),
    UINT32: ("<u4", 32), UINT64: ("<u8", 64), BFLOAT16: ("<u2", 16),
    UINT4: ("|u1", 4), INT4: ("|i1", 4), UINT2: ("|u1", 2), INT2: ("|i1", 2),
}  # fmt: skip

# Inclusive ranges of the integer types that QuantizeLinear may produce.
RANGES = {
    UINT8: (0, 255), INT8: (-128, 127), UINT16: (0, 65535), INT16: (-32768, 32767),
    INT32: (-(2**31), 2**31 - 1), UINT4: (0, 15), INT4: (-8, 7), UINT2: (0, 3), INT2: (-2, 1),
}  # fmt: skip

MAX_ELEMENTS = 1 << 28
MAX_RANK = 8


@dataclass(frozen=True)
class Levels:
    """A dequantised constant before its multiplication: value = q * scale, scale of q's rank, broadcasting."""

    q: Array
    scale: Array


@dataclass(frozen=True)
class Const:
    """A constant of the source model.

    elem is its ONNX type (types of less than 8 bits are held in int8/uint8, BFLOAT16 in float32); half tells
    that it descends from a FLOAT16 tensor, so its values carry that type's rounding; levels are kept while
    the constant is a dequantised one; name is the initialiser it came from, for naming what is made of it.
    """

    array: Array
    elem: int
    half: bool = False
    levels: Levels | None = None
    name: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)


ELEM_OF = {
    np.dtype(STORED[e][0]): e
    for e in (FLOAT, UINT8, INT8, UINT16, INT16, INT32, INT64, BOOL, FLOAT16, DOUBLE, UINT32, UINT64)
}


def const_of(array: Array, *, half: bool = False, name: str = "") -> Const:
    """A constant made by folding; the element type follows from the array."""
    return Const(array, ELEM_OF[array.dtype], half, None, name)


def type_name(elem: int) -> str:
    return TYPE_NAMES.get(elem, f"type {elem}")


def unpack_bits(raw: Array, count: int, bits: int, signed: bool) -> Array:
    """`count` values of 2 or 4 bits from bytes, lowest bits first; signed ones are two's complement."""
    per = 8 // bits
    mask = (1 << bits) - 1
    out = np.empty((raw.size, per), np.uint8)
    for i in range(per):
        out[:, i] = (raw >> (bits * i)) & mask
    flat = out.reshape(-1)[:count]
    if not signed:
        return flat
    sign = 1 << (bits - 1)
    return ((flat ^ sign).astype(np.int16) - sign).astype(np.int8)


def widen_bfloat16(bits: Array) -> Array:
    """bfloat16 bit patterns (uint16) as float32, exactly."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def read_tensor(t: Any, folder: Path, where: str) -> Const:
    """A TensorProto as a constant. `folder` is where external data may lie; `where` names it in errors."""
    elem = int(t.data_type)
    if elem not in STORED:
        raise ModelError(f"{where}: element type {type_name(elem)} is not supported")
    shape = tuple(int(d) for d in t.dims)
    if len(shape) > MAX_RANK or any(d < 0 for d in shape) or prod(shape) > MAX_ELEMENTS:
        raise ModelError(f"{where}: absurd dimensions {printable(list(shape))}")
    if t.HasField("segment"):
        raise ModelError(f"{where}: stored in segments, which is not supported")
    count = prod(shape)
    dtype, bits = STORED[elem]
    need = (count * bits + 7) // 8
    if t.data_location == 1:
        raw: bytes = _external(t, folder, need, where)
    elif t.HasField("raw_data"):
        raw = t.raw_data
    else:
        return _check(Const(_typed(t, elem, shape, where), elem, elem == FLOAT16, None, t.name), where)
    if len(raw) != need:
        raise ModelError(
            f"{where}: {len(raw)} bytes of data for {type_name(elem)} {list(shape)}, which takes {need}"
        )
    a: Array
    if bits < 8:
        a = unpack_bits(np.frombuffer(raw, np.uint8), count, bits, dtype == "|i1")
    elif elem == BFLOAT16:
        a = widen_bfloat16(np.frombuffer(raw, dtype))
    elif elem == BOOL:
        a = np.frombuffer(raw, np.uint8) != 0
    else:
        a = np.frombuffer(raw, dtype)
    return _check(Const(a.reshape(shape), elem, elem == FLOAT16, None, t.name), where)


def _typed(t: Any, elem: int, shape: tuple[int, ...], where: str) -> Array:
    """Data kept in the typed fields of the message instead of raw bytes."""
    dtype, bits = STORED[elem]
    field, wide = {
        FLOAT: ("float_data", np.float32),
        DOUBLE: ("double_data", np.float64),
        INT64: ("int64_data", np.int64),
        UINT32: ("uint64_data", np.uint64),
        UINT64: ("uint64_data", np.uint64),
    }.get(elem, ("int32_data", np.int32))
    data = getattr(t, field)
    count = prod(shape)
    need = count if bits >= 8 else (count * bits + 7) // 8
    if len(data) != need:
        raise ModelError(
            f"{where}: {len(data)} values of data for {type_name(elem)} {list(shape)}, which takes {need}"
        )
    a = np.asarray(data, dtype=wide)
    if bits < 8:
        return unpack_bits(a.astype(np.uint8), count, bits, dtype == "|i1").reshape(shape)
    if elem == BFLOAT16:
        return widen_bfloat16(a.astype(np.uint16)).reshape(shape)
    if elem == FLOAT16:
        return a.astype(np.uint16).view(np.float16).reshape(shape)
    return a.astype(dtype).reshape(shape)


def _external(t: Any, folder: Path, need: int, where: str) -> bytes:
    entries = {str(e.key): str(e.value) for e in t.external_data}
    location = entries.get("location", "")
    path = _inside(folder, location, where)
    try:
        offset = int(entries.get("offset", "0") or "0")
        length = int(entries.get("length", str(need)))
    except ValueError:
        raise ModelError(f"{where}: external data with an unreadable offset or length") from None
    if length != need:
        raise ModelError(f"{where}: external data of {length} bytes, where the tensor takes {need}")
    try:
        size = path.stat().st_size
        if offset < 0 or offset + need > size:
            raise ModelError(
                f"{where}: external data at bytes {offset} to {offset + need} of {printable(location)}, "
                f"which has {size}; is the file complete?"
            )
        with path.open("rb") as f:
            f.seek(offset)
            return f.read(need)
    except OSError as e:
        raise ModelError(f"{where}: cannot read external data {printable(location)}: {e.strerror}") from e


def _inside(folder: Path, location: str, where: str) -> Path:
    """The path of external data, proven to lie in the model's folder."""
    shown = printable(location)
    parts = PurePosixPath(location)
    absolute = parts.is_absolute() or PureWindowsPath(location).anchor or "\\" in location
    if not location or absolute or ".." in parts.parts or "\0" in location or len(location) > 512:
        raise ModelError(
            f"{where}: external data at {shown!r}: only files in the model's own folder are read"
        )
    try:
        root = folder.resolve(strict=True)
        path = (root / location).resolve(strict=True)
    except (OSError, RuntimeError):
        raise ModelError(
            f"{where}: its data is in the file {shown}, which is missing beside the model"
        ) from None
    if not path.is_relative_to(root) or not path.is_file():
        raise ModelError(f"{where}: external data at {shown!r} leads outside the model's folder")
    return path


def _check(c: Const, where: str) -> Const:
    a = c.array
    if a.dtype.kind == "f" and a.size:
        if np.isnan(a).any():
            raise ModelError(f"{where}: contains NaN")
        if a.size > 1 and not np.isfinite(a).all():
            raise ModelError(f"{where}: contains infinity")
    return c
