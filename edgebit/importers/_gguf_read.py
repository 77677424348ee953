"""GGUF files: metadata and a table of tensors that are mapped when asked for.

The gguf package refuses a whole file over one tensor type it does not know, which is every file of I2_S, Q2_0,
PQ2_0 or PTQ1_0 tensors, and takes TL2 for MXFP4. Counts, lengths, offsets and alignments are checked against the
size of the file before anything is read by them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np

from edgebit.errors import ModelError
from edgebit.importers._blob import file_size, map_array
from edgebit.importers._gguf_types import TYPES, TensorType, q2_types
from edgebit.importers.base import printable
from edgebit.ir.graph import Array

Value: TypeAlias = int | float | bool | bytes | Array | list[bytes]
"""A metadata value; strings stay bytes, arrays of strings are lists, other arrays are NumPy's."""

SCALARS = {
    0: "<u1",
    1: "<i1",
    2: "<u2",
    3: "<i2",
    4: "<u4",
    5: "<i4",
    6: "<f4",
    7: "|b1",
    10: "<u8",
    11: "<i8",
    12: "<f8",
}
STRING, ARRAY = 8, 9
MAX_TENSORS = MAX_KEYS = 1 << 16
MAX_NAME = 256
MAX_STRING = 1 << 22
MAX_ARRAY = 1 << 21
MAX_METADATA = 1 << 27
MAX_ALIGNMENT = 1 << 20


@dataclass(frozen=True)
class GgufTensor:
    """Where a tensor lies: `shape` is rows first, as NumPy has it, `offset` counts from the start of the file."""

    path: Path
    where: str
    type: TensorType
    shape: tuple[int, ...]
    offset: int

    def data(self) -> Array:
        """Its bytes, read-only and mapped."""
        return map_array(self.path, self.offset, "|u1", (self.type.nbytes(self.shape),), self.where)


@dataclass(frozen=True)
class GgufFile:
    """A file's name for messages, its metadata, and its tensors."""

    name: str
    metadata: dict[str, Value]
    tensors: dict[str, GgufTensor]


@dataclass(frozen=True)
class _Info:
    name: str
    where: str
    dims: tuple[int, ...]
    type_id: int
    offset: int


class _Cursor:
    """Reads from the front of a file, never past its end and never more than a header may take."""

    def __init__(self, f: IO[bytes], size: int, name: str) -> None:
        self.f, self.size, self.name, self.at = f, size, name, 0

    def take(self, count: int, what: str) -> bytes:
        if count > self.size - self.at:
            raise ModelError(f"{self.name}: {what} runs past the end of the file; is it complete?")
        if self.at + count > MAX_METADATA:
            raise ModelError(f"{self.name}: more than {MAX_METADATA >> 20} MiB of metadata")
        raw = self.f.read(count)
        if len(raw) != count:
            raise ModelError(f"{self.name}: {what} cannot be read; is the file complete?")
        self.at += count
        return raw

    def number(self, kind: str, what: str) -> int:
        return int(struct.unpack("<" + kind, self.take(struct.calcsize("<" + kind), what))[0])

    def string(self, limit: int, what: str) -> bytes:
        length = self.number("Q", what)
        if length > limit:
            raise ModelError(f"{self.name}: {what} is {length} bytes long; the limit is {limit}")
        return self.take(length, what)


def read_gguf(path: Path) -> GgufFile:
    """Read the header of the file at `path`; tensors stay on disk. Raises ModelError."""
    name = printable(path.name)
    size = file_size(path, name)
    try:
        with path.open("rb") as f:
            c = _Cursor(f, size, name)
            tensors, keys = _head(c)
            metadata: dict[str, Value] = {}
            for i in range(keys):
                key = _name(c, f"the name of key {i}")
                if key in metadata:
                    raise ModelError(f"{name}: the key {printable(key)} occurs twice")
                metadata[key] = _value(c, f"the key {printable(key)}")
            infos = [_info(c, i) for i in range(tensors)]
    except OSError as e:
        raise ModelError(f"{name}: cannot be read: {e.strerror or type(e).__name__}") from e
    return GgufFile(name, metadata, _tensors(path, name, infos, metadata, c.at, size))


def _head(c: _Cursor) -> tuple[int, int]:
    """Counts of tensors and keys."""
    if c.take(4, "the magic number") != b"GGUF":
        raise ModelError(f"{c.name}: not a GGUF file")
    version = c.number("I", "the version")
    if version not in (2, 3):
        big = version in (2 << 24, 3 << 24)
        what = "big-endian GGUF" if big else f"GGUF version {version}"
        raise ModelError(
            f"{c.name}: {what} is not supported; convert the model again with a current llama.cpp"
        )
    tensors, keys = c.number("Q", "the number of tensors"), c.number("Q", "the number of keys")
    if not 1 <= tensors <= MAX_TENSORS or keys > MAX_KEYS:
        raise ModelError(
            f"{c.name}: {tensors} tensors and {keys} keys are not the counts of a language model"
        )
    return tensors, keys


def _name(c: _Cursor, what: str) -> str:
    raw = c.string(MAX_NAME, what)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise ModelError(f"{c.name}: {what} is not UTF-8 text") from None


def _value(c: _Cursor, what: str) -> Value:
    kind = c.number("I", what)
    if kind == STRING:
        return c.string(MAX_STRING, what)
    if kind in SCALARS:
        dtype = np.dtype(SCALARS[kind])
        value = np.frombuffer(c.take(dtype.itemsize, what), dtype)[0].item()
        assert isinstance(value, int | float | bool)
        return value
    if kind != ARRAY:
        raise ModelError(f"{c.name}: {what} has the unknown type {kind}")
    of, count = c.number("I", what), c.number("Q", what)
    if count > MAX_ARRAY:
        raise ModelError(f"{c.name}: {what} has {count} elements; the limit is {MAX_ARRAY}")
    if of == STRING:
        return [c.string(MAX_STRING, what) for _ in range(count)]
    if of not in SCALARS:
        raise ModelError(f"{c.name}: {what} is an array of the unsupported type {of}")
    dtype = np.dtype(SCALARS[of])
    return np.frombuffer(c.take(count * dtype.itemsize, what), dtype)


def _info(c: _Cursor, index: int) -> _Info:
    name = _name(c, f"the name of tensor {index}")
    where = f"{c.name}: tensor {printable(name)}"
    rank = c.number("I", where)
    if not 1 <= rank <= 4:
        raise ModelError(f"{where}: has {rank} dimensions")
    dims = tuple(c.number("Q", where) for _ in range(rank))
    if any(not 1 <= d < 1 << 40 for d in dims) or prod(dims) >= 1 << 44:
        raise ModelError(f"{where}: absurd dimensions {list(dims)}")
    return _Info(name, where, dims, c.number("I", where), c.number("Q", where))


def _tensors(
    path: Path, name: str, infos: list[_Info], metadata: dict[str, Value], header: int, size: int
) -> dict[str, GgufTensor]:
    alignment = metadata.get("general.alignment", 32)
    if type(alignment) is not int or not 1 <= alignment <= MAX_ALIGNMENT or alignment & (alignment - 1):
        raise ModelError(f"{name}: general.alignment is {printable(alignment)}, which is no alignment")
    start = -(-header // alignment) * alignment
    for i in infos:
        if i.offset % alignment or i.offset > max(0, size - start):
            raise ModelError(f"{i.where}: its data at offset {i.offset} is not in the file, or not aligned")
    order = sorted(infos, key=lambda i: i.offset)
    ends = [i.offset for i in order[1:]] + [max(0, size - start)]
    rooms = {i.name: end - i.offset for i, end in zip(order, ends, strict=True)}
    if len(rooms) != len(infos):
        twice = next(i for k, i in enumerate(infos) if i.name in {j.name for j in infos[:k]})
        raise ModelError(f"{twice.where}: occurs twice")
    types = dict(TYPES)
    shapes = {i.name: tuple(reversed(i.dims)) for i in infos}
    types.update(
        q2_types([(i.where, shapes[i.name], rooms[i.name]) for i in infos if i.type_id == 42], alignment)
    )
    out: dict[str, GgufTensor] = {}
    for i in infos:
        kind = types.get(i.type_id)
        if kind is None:
            raise ModelError(f"{i.where}: has the type {i.type_id}, which EdgeBit does not know")
        if kind.refusal:
            raise ModelError(f"{i.where}: is stored as {kind.name}, {kind.refusal}")
        if i.dims[0] % kind.block:
            raise ModelError(f"{i.where}: rows of {i.dims[0]} do not divide into blocks of {kind.name}")
        if kind.nbytes(shapes[i.name]) > rooms[i.name]:
            raise ModelError(
                f"{i.where}: takes {kind.nbytes(shapes[i.name])} bytes as {kind.name}, but there are {rooms[i.name]} "
                "up to the next tensor or the end of the file; is it complete?"
            )
        out[i.name] = GgufTensor(path, i.where, kind, shapes[i.name], start + i.offset)
    return out
