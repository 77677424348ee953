"""Input vectors: read from .npz files, made up when there are none, moved to the canonical layout."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from edgebit.bench.npz import MAX_BYTES, read_npz
from edgebit.errors import ModelError, UsageError
from edgebit.importers.base import printable
from edgebit.ir import DType, Graph, Tensor
from edgebit.ir.graph import Array
from edgebit.passes.source_layout import to_canonical

Vector = dict[str, Array]
MAX_VECTORS = 100_000
MAX_MADE_UP = 1000


def source_shape(t: Tensor) -> tuple[int, ...]:
    """The shape the model file declares for a graph input or output."""
    return t.source_shape or t.shape


def canonical_vector(graph: Graph, source: Vector) -> Vector:
    return {i: to_canonical(graph.tensors[i], source[i]) for i in graph.inputs}


def random_vectors(graph: Graph, count: int) -> list[Vector]:
    """`count` made-up inputs in source layout, the same for the same input shapes on every machine."""
    if count > MAX_MADE_UP:
        raise UsageError(
            f"--limit {count}: at most {MAX_MADE_UP} vectors are made up; give your own with --vectors"
        )
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
    arrays = read_npz(path)
    columns: dict[str, Array] = {}
    for i in graph.inputs:
        t = graph.tensors[i]
        key = i if i in arrays else _only_fitting(arrays, t) if len(graph.inputs) == 1 else None
        if key is None:
            raise ModelError(
                f"{path}: no array for input {i!r} of shape {source_shape(t)}; it holds "
                + (
                    ", ".join(f"{printable(k, 40)} {a.shape}" for k, a in [*arrays.items()][:8])
                    or "no arrays of numbers"
                )
            )
        columns[i] = _rows(path, key, arrays[key], t, limit)
    counts = {len(c) for c in columns.values()}
    if len(counts) != 1:
        raise ModelError(f"{path}: its inputs have different numbers of vectors ({sorted(counts)})")
    n = counts.pop()
    if n == 0:
        raise ModelError(f"{path}: holds no vectors")
    if n > MAX_VECTORS or n * sum(graph.tensors[i].nbytes for i in graph.inputs) > MAX_BYTES // 4:
        raise ModelError(f"{path}: {n} vectors of this size are too many; take fewer of them")
    y = arrays.get("y")
    labels = y[:n] if y is not None and y.ndim == 1 and len(y) >= n and y.dtype.kind in "iu" else None
    return [{i: c[k] for i, c in columns.items()} for k in range(n)], labels


def _only_fitting(arrays: dict[str, Array], t: Tensor) -> str | None:
    shape = source_shape(t)
    fits = [k for k, a in arrays.items() if a.shape == shape or (a.ndim and prod(a.shape[1:]) == prod(shape))]
    return fits[0] if len(fits) == 1 else None


def _rows(path: Path, key: str, a: Array, t: Tensor, limit: int | None) -> Array:
    """The first `limit` vectors in array `key`, as (vectors, *source shape)."""
    shape = source_shape(t)
    if a.shape == shape:
        a = a[None]
    if a.ndim == 0 or prod(a.shape[1:]) != prod(shape):
        raise ModelError(
            f"{path}: array {key!r} has shape {a.shape}; input {t.name!r} takes {shape} per vector"
        )
    rows: Any = a[:limit].reshape((-1, *shape))
    if t.dtype is DType.F32:
        with np.errstate(over="ignore"):
            floats: Array = np.asarray(rows, dtype=np.float32)
        if not np.isfinite(floats).all():
            raise ModelError(f"{path}: array {key!r} must hold finite numbers within the range of float32")
        return floats
    info = np.iinfo(t.dtype.numpy)
    if a.dtype.kind not in "iu" or (len(rows) and (rows.min() < info.min or rows.max() > info.max)):
        raise ModelError(f"{path}: array {key!r} must hold integers that fit {t.dtype.value}")
    return np.asarray(rows, dtype=t.dtype.numpy)
