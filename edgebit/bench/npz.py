"""Reads .npz files that nobody vouches for: plain arrays only, sizes checked before anything is unpacked."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import IO

import numpy as np

from edgebit.errors import ModelError
from edgebit.ir.graph import Array

MAX_BYTES = 1 << 30
MAX_ARRAYS = 1000
_KINDS = "fiub"


def read_npz(path: Path, wanted: Collection[str] | None = None) -> dict[str, Array]:
    """The arrays of an .npz file by name; those of other types than numbers are passed over unless wanted by name.

    wanted: the names of the only ones to read, None for all. ModelError when the file is missing, is damaged, or
    unpacks to more than MAX_BYTES.
    """
    try:
        with zipfile.ZipFile(path) as z:
            return _members(path, z, wanted)
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file") from None
    except (
        zipfile.BadZipFile, zlib.error, OSError, EOFError, MemoryError, NotImplementedError, RecursionError,
        RuntimeError, SyntaxError, TypeError, ValueError,
    ) as e:  # fmt: skip
        why = getattr(e, "strerror", None) or str(e)[:200] or type(e).__name__
        raise ModelError(
            f"{path}: not a readable .npz file of plain arrays ({why}); write it with numpy.savez(path, x=...)"
        ) from e


def _members(path: Path, z: zipfile.ZipFile, wanted: Collection[str] | None) -> dict[str, Array]:
    infos = z.infolist()
    if len(infos) > MAX_ARRAYS:
        raise ModelError(f"{path}: holds {len(infos)} arrays; the limit is {MAX_ARRAYS}")
    out: dict[str, Array] = {}
    left = MAX_BYTES
    for info in infos:
        name = info.filename.removesuffix(".npy")
        if name == info.filename or (wanted is not None and name not in wanted):
            continue
        with z.open(info) as f:
            shape, fortran, dtype = _header(f)
            if dtype.kind not in _KINDS:
                if wanted is None:
                    continue
                raise ModelError(f"{path}: array {name!r} holds no numbers but {dtype}")
            size = math.prod(shape) * dtype.itemsize
            left -= size
            if left < 0 or len(shape) > 16:
                raise ModelError(
                    f"{path}: array {name!r} of shape {shape} takes the file beyond {MAX_BYTES >> 30} GiB; "
                    "split it or take fewer vectors"
                )
            raw = f.read(size)
            if len(raw) != size or f.read(1):
                raise ModelError(f"{path}: array {name!r} is not {size} bytes long, as its header says")
        a = np.frombuffer(raw, dtype) if size else np.zeros(0, dtype)
        out[name] = a.reshape(shape[::-1]).T if fortran else a.reshape(shape)
    return out


def _header(f: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    version = np.lib.format.read_magic(f)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"array format {version}")
    shape, fortran, dtype = readers[version](f)
    if any(d < 0 for d in shape):
        raise ValueError(f"shape {shape}")
    return shape, fortran, dtype
