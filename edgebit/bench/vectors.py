"""Input vectors: read from .npz files, made up when there are none, moved to the canonical layout."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from edgebit.errors import ModelError
from edgebit.ir import DType, Graph, Tensor
from edgebit.ir.graph import Array
from edgebit.passes.source_layout import to_canonical

Vector = dict[str, Array]


def source_shape(t: Tensor) -> tuple[int, ...]:
    """The shape the model file declares for a graph input or output."""
    return t.source_shape or t.shape


def canonical_vector(graph: Graph, source: Vector) -> Vector:
    return {i: to_canonical(graph.tensors[i], source[i]) for i in graph.inputs}


def random_vectors(graph: Graph, count: int) -> list[Vector]:
    """`count` made-up inputs in source layout, the same for the same input shapes on every machine."""
    out: list[Vector] = []
    for n in range(count):
        rng = np.random.Generator(np.random.PCG64([0xEDB17, n]))
        vector: Vector = {}
        for i in graph.inputs:
            t = graph.tensors[i]
            if t.dtype is DType.F32:
                vector[i] = rng.uniform(-1, 1, source_shape(t)).astype(np.float32)
            else:
                vector[i] = rng.integers(-128, 128, source_shape(t)).astype(t.dtype.numpy)
        out.append(vector)
    return out


def load_vectors(path: Path, graph: Graph, limit: int | None = None) -> tuple[list[Vector], Array | None]:
    """Inputs from an .npz file, in source layout, and the labels if it has any.

    An array is taken for an input when it has the input's name; with one input and no such array, the only
    array of a fitting shape is taken. Its first dimension counts vectors. Labels are an integer array "y".
    """
    arrays = _read_npz(path)
    columns: dict[str, Array] = {}
    for i in graph.inputs:
        t = graph.tensors[i]
        key = i if i in arrays else _only_fitting(arrays, t) if len(graph.inputs) == 1 else None
        if key is None:
            raise ModelError(
                f"{path}: no array for input {i!r} of shape {source_shape(t)}; it holds "
                + (", ".join(f"{k} {a.shape}" for k, a in arrays.items()) or "nothing")
            )
        columns[i] = _rows(path, key, arrays[key], t)
    counts = {len(c) for c in columns.values()}
    if len(counts) != 1:
        raise ModelError(f"{path}: its inputs have different numbers of vectors ({sorted(counts)})")
    n = counts.pop() if limit is None else min(counts.pop(), limit)
    if n == 0:
        raise ModelError(f"{path}: holds no vectors")
    y = arrays.get("y")
    labels = y[:n] if y is not None and y.ndim == 1 and len(y) >= n and y.dtype.kind in "iu" else None
    return [{i: c[k] for i, c in columns.items()} for k in range(n)], labels


def _read_npz(path: Path) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as z:
            if not hasattr(z, "files"):
                raise ModelError(
                    f"{path}: a single array, not an .npz file; save it with numpy.savez(path, x=...)"
                )
            return {k: z[k] for k in z.files}
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file") from None
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError, KeyError, MemoryError) as e:
        raise ModelError(f"{path}: not a readable .npz file of plain arrays ({e})") from e


def _only_fitting(arrays: dict[str, Array], t: Tensor) -> str | None:
    fits = [k for k, a in arrays.items() if a.ndim and a[0].size == int(np.prod(source_shape(t)))]
    return fits[0] if len(fits) == 1 else None


def _rows(path: Path, key: str, a: Array, t: Tensor) -> Array:
    shape = source_shape(t)
    size = int(np.prod(shape))
    if a.shape == shape:
        a = a[None]
    if a.ndim == 0 or a[:1].size != size:
        raise ModelError(
            f"{path}: array {key!r} has shape {a.shape}; input {t.name!r} takes {shape} per vector"
        )
    rows: Any = a.reshape((len(a), *shape))
    if t.dtype is DType.F32:
        if a.dtype.kind not in "fiub" or not np.isfinite(rows).all():
            raise ModelError(f"{path}: array {key!r} must hold finite numbers")
        return np.asarray(rows, dtype=np.float32)
    info = np.iinfo(t.dtype.numpy)
    if a.dtype.kind not in "iu" or rows.min() < info.min or rows.max() > info.max:
        raise ModelError(f"{path}: array {key!r} must hold integers that fit {t.dtype.value}")
    return np.asarray(rows, dtype=t.dtype.numpy)
