"""Shapes and axes as ONNX writes them, and the evaluation of nodes that only move elements of constants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from edgebit.errors import ModelError
from edgebit.importers._onnx_tensor import Const, Levels, const_of
from edgebit.ir.graph import Array

MAX_FOLDED = 1 << 26  # elements of one constant

Inputs = Sequence[Const | None]
Attrs = dict[str, Any]
Fold = Callable[[Inputs, Attrs], Const]

FOLDS: dict[str, Fold] = {}


def folds(*ops: str) -> Callable[[Fold], Fold]:
    """Register the evaluation of ONNX operators on constants."""

    def register(f: Fold) -> Fold:
        for op in ops:
            FOLDS[op] = f
        return f

    return register


def limit(shape: Sequence[int]) -> tuple[int, ...]:
    """`shape`, refused when a constant of it would be too large."""
    if any(d < 0 for d in shape) or prod(shape) > MAX_FOLDED:
        raise ModelError(f"a constant of shape {list(shape)} is too large or malformed")
    return tuple(int(d) for d in shape)


def half_of(ins: Inputs) -> bool:
    """Does any input carry FLOAT16 rounding?"""
    return any(c is not None and c.half for c in ins)


def need(ins: Inputs, i: int) -> Const:
    """Input `i`, which must be there."""
    c = ins[i] if i < len(ins) else None
    if c is None:
        raise ModelError(f"input {i} is missing")
    return c


def optional(ins: Sequence[Any], i: int) -> Any:
    """Input `i`, or None when it is absent."""
    return ins[i] if i < len(ins) else None


def ints_of(c: Const) -> list[int]:
    """A constant that holds axes, a shape or the like."""
    if c.array.dtype.kind not in "iu" or c.array.ndim > 1 or c.array.size > 64:
        raise ModelError(f"expected a short list of integers, not {c.array.dtype} {list(c.shape)}")
    return [int(v) for v in c.array.reshape(-1)]


def axes_of(ins: Inputs, attrs: Attrs, rank: int, position: int = 1) -> list[int] | None:
    """The axes of a node (attribute in old opsets, input in new ones), made positive; None when not given."""
    axes = attrs.get("axes")
    if axes is None:
        c = optional(ins, position)
        axes = None if c is None else ints_of(c)
    if axes is None:
        return None
    if any(not -rank <= a < rank for a in axes):
        raise ModelError(f"axes {axes} for a tensor of rank {rank}")
    out = [a % rank if rank else 0 for a in axes]
    if len(set(out)) != len(out):
        raise ModelError(f"axes {axes} repeat")
    return out


def resolve_shape(shape: Sequence[int], wanted: Sequence[int], allowzero: bool) -> tuple[int, ...]:
    """The shape that Reshape makes of `shape`: 0 copies a dimension, one -1 is computed."""
    out = [shape[i] if w == 0 and not allowzero else w for i, w in enumerate(wanted)]
    if out.count(-1) > 1 or any(d < -1 for d in out):
        raise ModelError(f"cannot reshape to {list(wanted)}")
    if -1 in out:
        rest = prod(d for d in out if d != -1)
        out[out.index(-1)] = prod(shape) // rest if rest else 0
    if prod(out) != prod(shape):
        raise ModelError(f"cannot reshape {list(shape)} to {list(wanted)}")
    return tuple(out)


def unsqueeze_shape(shape: Sequence[int], axes: Sequence[int]) -> tuple[int, ...]:
    out = list(shape)
    for a in sorted(axes):
        out.insert(a, 1)
    return tuple(out)


# ---- shapes -------------------------------------------------------------------------------------------------


@folds("Shape")
def _shape(ins: Inputs, attrs: Attrs) -> Const:
    return const_of(shape_slice(need(ins, 0).shape, attrs))


def shape_slice(shape: Sequence[int], attrs: Attrs) -> Array:
    """What Shape gives for a tensor of `shape` (with its start and end attributes)."""
    return np.asarray(list(shape)[attrs.get("start", 0) : attrs.get("end")], np.int64)


@folds("Size")
def _size(ins: Inputs, attrs: Attrs) -> Const:
    return const_of(np.asarray(need(ins, 0).array.size, np.int64))


def _moved(c: Const, f: Callable[[Array], Array]) -> Const:
    """Apply a move of elements to a constant, and to its levels when their scale moves the same way."""
    levels = None
    if c.levels is not None:
        full = np.broadcast_to(c.levels.scale, c.levels.q.shape)
        levels = Levels(f(c.levels.q), f(full))
    return Const(f(c.array), c.elem, c.half, levels, c.name)


@folds("Reshape")
def _reshape(ins: Inputs, attrs: Attrs) -> Const:
    c = need(ins, 0)
    shape = resolve_shape(c.shape, ints_of(need(ins, 1)), bool(attrs.get("allowzero", 0)))
    return _moved(c, lambda a: a.reshape(shape))


@folds("Flatten")
def _flatten(ins: Inputs, attrs: Attrs) -> Const:
    c = need(ins, 0)
    axis = attrs.get("axis", 1)
    axis = axis + c.array.ndim if axis < 0 else axis
    return _moved(c, lambda a: a.reshape(prod(c.shape[:axis]), prod(c.shape[axis:])))


@folds("Transpose")
def _transpose(ins: Inputs, attrs: Attrs) -> Const:
    perm = attrs.get("perm")
    return _moved(need(ins, 0), lambda a: a.transpose(perm))


@folds("Squeeze")
def _squeeze(ins: Inputs, attrs: Attrs) -> Const:
    c = need(ins, 0)
    axes = axes_of(ins, attrs, c.array.ndim)
    return _moved(c, lambda a: a.squeeze(None if axes is None else tuple(axes)))


@folds("Unsqueeze")
def _unsqueeze(ins: Inputs, attrs: Attrs) -> Const:
    c = need(ins, 0)
    raw = attrs.get("axes") or ints_of(need(ins, 1))
    axes = axes_of([], {"axes": raw}, c.array.ndim + len(raw)) or []
    return _moved(c, lambda a: a.reshape(unsqueeze_shape(c.shape, axes)))


@folds("Expand")
def _expand(ins: Inputs, attrs: Attrs) -> Const:
    c = need(ins, 0)
    shape = limit(np.broadcast_shapes(c.shape, tuple(ints_of(need(ins, 1)))))
    return _moved(c, lambda a: np.array(np.broadcast_to(a, shape)))


@folds("Concat")
def _concat(ins: Inputs, attrs: Attrs) -> Const:
    parts = [need(ins, i).array for i in range(len(ins))]
    return Const(np.concatenate(parts, axis=int(attrs["axis"])), need(ins, 0).elem, half_of(ins))


def slice_bounds(
    shape: Sequence[int], ins: Inputs, attrs: Attrs
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Starts, sizes and steps of a Slice over every axis of a tensor of `shape` (steps may be negative)."""
    if "starts" in attrs:
        starts, ends = attrs["starts"], attrs["ends"]
        axes, steps = attrs.get("axes"), None
    else:
        starts, ends = ints_of(need(ins, 1)), ints_of(need(ins, 2))
        a, s = optional(ins, 3), optional(ins, 4)
        axes, steps = None if a is None else ints_of(a), None if s is None else ints_of(s)
    axes = list(range(len(starts))) if axes is None else axes
    axes = axes_of([], {"axes": axes}, len(shape)) or []
    steps = [1] * len(axes) if steps is None else steps
    out_starts, sizes, out_steps = [0] * len(shape), list(shape), [1] * len(shape)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        r = range(*slice(start, end, step).indices(shape[axis]))
        out_starts[axis], sizes[axis], out_steps[axis] = r.start, len(r), step
    return tuple(out_starts), tuple(sizes), tuple(out_steps)


@folds("Slice")
def _slice(ins: Inputs, attrs: Attrs) -> Const:
    c = need(ins, 0)
    bounds = zip(*slice_bounds(c.shape, ins, attrs), strict=True)
    picks = [np.arange(n) * step + start for start, n, step in bounds]
    return _moved(c, lambda a: a[np.ix_(*picks)] if picks else a)


def split_sizes(dim: int, ins: Inputs, attrs: Attrs, outputs: int) -> list[int]:
    """The sizes that Split cuts a dimension into."""
    c = optional(ins, 1)
    sizes = attrs.get("split") if c is None else ints_of(c)
    if sizes is None:
        size = -(-dim // outputs)
        sizes = [min(size, dim - size * i) for i in range(outputs)]
    if sum(sizes) != dim or len(sizes) != outputs or any(s < 0 for s in sizes):
        raise ModelError(f"cannot split {dim} into {sizes}")
    return list(sizes)


def split(ins: Inputs, attrs: Attrs, outputs: int) -> list[Const]:
    """Split on a constant (the one operator with several outputs)."""
    c = need(ins, 0)
    axis = axes_of([], {"axes": [attrs.get("axis", 0)]}, c.array.ndim) or [0]
    ends = np.cumsum(split_sizes(c.shape[axis[0]], ins, attrs, outputs))[:-1]

    def part(i: int) -> Const:
        return _moved(c, lambda a: np.split(a, ends, axis=axis[0])[i])

    return [part(i) for i in range(outputs)]


@folds("Gather")
def _gather(ins: Inputs, attrs: Attrs) -> Const:
    c, index = need(ins, 0), need(ins, 1).array
    axis = int(attrs.get("axis", 0))
    limit([c.array.size // max(1, c.shape[axis]) * index.size])
    return Const(np.take(c.array, index, axis=axis), c.elem, c.half)


@folds("Tile")
def _tile(ins: Inputs, attrs: Attrs) -> Const:
    c, reps = need(ins, 0), ints_of(need(ins, 1))
    limit([d * r for d, r in zip(c.shape, reps, strict=True)])
    return Const(np.tile(c.array, reps), c.elem, c.half)
