"""Safetensors: one file or the shards of an index, as a table of tensors that are mapped when asked for.

The safetensors package makes no NumPy arrays of bfloat16, and copies what it reads; an embedding of hundreds of
megabytes has to stay where it is. A header of eight bytes and JSON needs no more than this.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, TypeGuard

from edgebit.errors import ModelError
from edgebit.importers._blob import file_size, map_array, parse_json_object, read_bytes
from edgebit.importers.base import printable
from edgebit.ir.graph import Array

DTYPES = {
    "BOOL": "|b1", "U8": "|u1", "I8": "|i1", "U16": "<u2", "I16": "<i2", "F16": "<f2", "BF16": "<u2",
    "U32": "<u4", "I32": "<i4", "F32": "<f4", "U64": "<u8", "I64": "<i8", "F64": "<f8",
}  # fmt: skip
"""Element types and how NumPy holds them (BF16 as its bits)."""
FLOATS = {"F32": "f32", "F16": "f16", "BF16": "bf16"}
"""The float types a decoder keeps, and what `FloatTensor` calls them."""

MAX_HEADER = 8 << 20
MAX_TENSORS = 200_000
MAX_RANK = 8
MAX_NAME = 256
_SHARD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*\.safetensors")


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies: `where` names file and tensor in messages, offset counts from the start of the file."""

    path: Path
    where: str
    dtype: str
    shape: tuple[int, ...]
    offset: int

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * _bytes(self.dtype)

    def data(self) -> Array:
        """The tensor as a read-only mapped array of the type in DTYPES."""
        return map_array(self.path, self.offset, DTYPES[self.dtype], self.shape, self.where)


def open_folder(folder: Path) -> dict[str, Entry]:
    """All tensors of a model folder by name; headers are read and checked, no data is.

    Takes model.safetensors, else the shards of model.safetensors.index.json, else the only .safetensors file there is.
    """
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return read_header(single)
    if index.is_file():
        return _shards(folder, index)
    try:
        found = sorted(p for p in folder.iterdir() if p.suffix == ".safetensors")
    except OSError as e:
        raise ModelError(f"{printable(folder.name)}: cannot be listed: {e.strerror}") from e
    if len(found) == 1:
        return read_header(found[0])
    name = printable(folder.name)
    if found:
        raise ModelError(
            f"{name}: {len(found)} .safetensors files and no model.safetensors.index.json that says which belong "
            "together"
        )
    raise ModelError(
        f"{name}: no .safetensors file; where the weights are .bin or .pt files, load the model with transformers "
        "and save it with save_pretrained, which writes safetensors"
    )


def _shards(folder: Path, index: Path) -> dict[str, Entry]:
    where = printable(index.name)
    table = parse_json_object(read_bytes(index, MAX_HEADER, where), where).get("weight_map")
    if not isinstance(table, dict) or not table:
        raise ModelError(f"{where}: has no weight_map")
    files: dict[str, dict[str, Entry]] = {}
    out: dict[str, Entry] = {}
    for name, file in table.items():
        if not isinstance(file, str) or len(file) > MAX_NAME or not _SHARD.fullmatch(file):
            raise ModelError(
                f"{where}: {printable(name)} is in {printable(file)!r}, which is no file name of a shard"
            )
        if file not in files:
            if not (folder / file).is_file():
                raise ModelError(f"{where}: the file {printable(file)} is missing; is the download complete?")
            files[file] = read_header(folder / file)
        if name not in files[file]:
            raise ModelError(
                f"{where}: {printable(name)} should be in {printable(file)}, which does not hold it"
            )
        out[name] = files[file][name]
    for file, held in files.items():
        extra = next((n for n in held if n not in out), None)
        if extra is not None:
            raise ModelError(f"{where}: does not list {printable(extra)}, which {printable(file)} holds")
    return out


def read_header(path: Path) -> dict[str, Entry]:
    """The tensors of one file. Each byte after the header belongs to exactly one of them, or the file is refused."""
    file = printable(path.name)
    size = file_size(path, file)
    try:
        with path.open("rb") as f:
            head = f.read(8)
            length = int.from_bytes(head, "little")
            if len(head) < 8 or not 2 <= length <= size - 8:
                raise ModelError(
                    f"{file}: its header should take {length} bytes, but the file has {size}; is it complete?"
                )
            if length > MAX_HEADER:
                raise ModelError(f"{file}: a header of {length} bytes; the limit is {MAX_HEADER}")
            raw = f.read(length)
    except OSError as e:
        raise ModelError(f"{file}: cannot be read: {e.strerror or type(e).__name__}") from e
    header = parse_json_object(raw, f"{file}: header")
    header.pop("__metadata__", None)
    if not header or len(header) > MAX_TENSORS:
        raise ModelError(f"{file}: {len(header)} tensors")
    start = 8 + length
    spans: list[tuple[int, int, str]] = []
    out: dict[str, Entry] = {}
    for name, value in header.items():
        where = f"{file}: tensor {printable(name)}"
        if len(name) > MAX_NAME:
            raise ModelError(f"{where}: a name of {len(name)} characters")
        dtype, shape, begin, end = _entry(value, where)
        if end > size - start:
            raise ModelError(
                f"{where}: lies at bytes {begin} to {end} of {size - start} bytes of data; is the file complete?"
            )
        need = prod(shape) * _bytes(dtype)
        if end - begin != need:
            raise ModelError(
                f"{where}: {dtype} {list(shape)} takes {need} bytes, not the {end - begin} it has"
            )
        spans.append((begin, end, where))
        out[name] = Entry(path, where, dtype, shape, start + begin)
    at = 0
    for begin, end, where in sorted(spans):
        if begin != at:
            what = (
                "overlaps the tensor before it"
                if begin < at
                else f"leaves {begin - at} bytes before it unused"
            )
            raise ModelError(f"{where}: {what}")
        at = end
    if at != size - start:
        raise ModelError(f"{file}: {size - start - at} bytes after the last tensor")
    return out


def _entry(value: Any, where: str) -> tuple[str, tuple[int, ...], int, int]:
    """dtype, shape and byte range of a header entry, all of the right type and sign."""
    if not isinstance(value, dict):
        raise ModelError(f"{where}: its header entry is not an object")
    dtype, shape, span = value.get("dtype"), value.get("shape"), value.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ModelError(f"{where}: element type {printable(dtype)} is not supported")
    if not _naturals(shape) or len(shape) > MAX_RANK:
        raise ModelError(f"{where}: absurd shape {printable(shape)}")
    if not _naturals(span) or len(span) != 2 or span[0] > span[1]:
        raise ModelError(f"{where}: absurd data_offsets {printable(span)}")
    return dtype, tuple(shape), span[0], span[1]


def _naturals(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(v) is int and 0 <= v < 1 << 62 for v in value)


def _bytes(dtype: str) -> int:
    return int(DTYPES[dtype][2:])
