"""Arrays between the layout of the model file and the canonical layout of a graph's inputs and outputs."""

from __future__ import annotations

import numpy as np

from edgebit.errors import UsageError
from edgebit.ir.graph import Array, Tensor


def to_canonical(tensor: Tensor, source: Array) -> Array:
    """An array in the source layout of `tensor`, as the canonical array."""
    shape = tensor.source_shape or tensor.shape
    a = np.asarray(source)
    if a.shape != shape:
        raise UsageError(f"{tensor.name!r} takes an array of shape {shape}, got {a.shape}")
    if tensor.source_perm is not None:
        a = a.transpose(tensor.source_perm)
    return np.ascontiguousarray(a.reshape(tensor.shape), dtype=tensor.dtype.numpy)


def to_source(tensor: Tensor, canonical: Array) -> Array:
    """A canonical array of `tensor`, as the array the source model would have given."""
    a = np.asarray(canonical).reshape(tensor.shape)
    if tensor.source_shape is None:
        return a
    perm = tensor.source_perm or tuple(range(len(tensor.source_shape)))
    moved = a.reshape([tensor.source_shape[p] for p in perm])
    return np.ascontiguousarray(moved.transpose(np.argsort(perm)))
