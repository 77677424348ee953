"""Evaluates ONNX nodes whose inputs are all constants, with NumPy.

This is what turns a weight's fake quantisation (float master, absmean, round, clip, straight-through
add and subtract) into the ternary values it stands for, whichever exporter wrote it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from edgebit.errors import ModelError
from edgebit.importers._onnx_tensor import (
    BFLOAT16,
    FLOAT16,
    INT8,
    RANGES,
    STORED,
    UINT8,
    Const,
    Levels,
    const_of,
    type_name,
    widen_bfloat16,
)
from edgebit.ir.graph import Array

MAX_FOLDED = 1 << 26

Inputs = Sequence[Const | None]
Attrs = dict[str, Any]
Fold = Callable[[Inputs, Attrs, int], Const | list[Const]]

_FOLDS: dict[str, Fold] = {}


def foldable(op: str) -> bool:
    """Can this operator be evaluated on constants?"""
    return op in _FOLDS


def fold(op: str, ins: Inputs, attrs: Attrs, opset: int) -> list[Const]:
    """The outputs of `op` on constants. Raises ModelError or the error NumPy has with malformed inputs."""
    with np.errstate(all="ignore"):
        made = _FOLDS[op](ins, attrs, opset)
    return made if isinstance(made, list) else [made]


def _folds(*ops: str) -> Callable[[Fold], Fold]:
    def register(f: Fold) -> Fold:
        for op in ops:
            _FOLDS[op] = f
        return f

    return register


def _limit(shape: Sequence[int]) -> tuple[int, ...]:
    if any(d < 0 for d in shape) or prod(shape) > MAX_FOLDED:
        raise ModelError(f"a constant of shape {list(shape)} is too large or malformed")
    return tuple(int(d) for d in shape)


def _half(ins: Inputs) -> bool:
    return any(c is not None and c.half for c in ins)


def _need(ins: Inputs, i: int) -> Const:
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


# ---- values -------------------------------------------------------------------------------------------------


@_folds("Constant")
def _constant(ins: Inputs, attrs: Attrs, opset: int) -> Const:
    for key in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if key in attrs:
            v = attrs[key]
            if isinstance(v, Const):
                return v
            return const_of(np.asarray(v, np.float32 if "float" in key else np.int64))
    raise ModelError("a constant without a numeric value")


@_folds("ConstantOfShape")
def _constant_of_shape(ins: Inputs, attrs: Attrs, opset: int) -> Const:
    v = attrs.get("value")
    fill = v.array.reshape(-1)[0] if isinstance(v, Const) else np.float32(0)
    return const_of(np.full(_limit(ints_of(_need(ins, 0))), fill))


@_folds("Range")
def _range(ins: Inputs, attrs: Attrs, opset: int) -> Const:
    dtype = _need(ins, 0).array.dtype
    lo, hi, step = (_need(ins, i).array.reshape(()).item() for i in range(3))
    if step == 0:
        raise ModelError("a range with step 0")
    _limit([max(0, int(np.ceil((hi - lo) / step)))])
    return const_of(np.arange(lo, hi, step).astype(dtype))


@_folds("Identity", "Dropout")
def _same(ins: Inputs, attrs: Attrs, opset: int) -> Const:
    return _need(ins, 0)


def cast(c: Const, to: int) -> Const:
    """The constant converted to ONNX type `to`."""
    if to not in STORED or STORED[to][1] < 8:
        raise ModelError(f"cast to {type_name(to)} is not supported")
    half = c.half or to == FLOAT16
    if to == BFLOAT16:
        bits = c.array.astype(np.float32).view(np.uint32)
        kept = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
        return Const(widen_bfloat16(kept.astype(np.uint16)), to, half)
    if to == c.elem:
        return c
    return Const(c.array.astype(STORED[to][0]), to, half, None, c.name)


@_folds("Cast")
def _cast(ins: Inputs, attrs: Attrs, opset: int) -> Const:
    return cast(_need(ins, 0), int(attrs["to"]))


@_folds("CastLike")
def _cast_like(ins: Inputs, attrs: Attrs, opset: int) -> Const:
    return cast(_need(ins, 0), _need(ins, 1).elem)


# ---- shapes -------------------------------------------------------------------------------------------------


@_folds("Shape")
def _shape(ins: Inputs, attrs: Attrs, opset: int) -> Const:
    return const_of(shape_slice(_need(ins, 0).shape, attrs))


def shape_slice(shape: Sequence[int], attrs: Attrs) -> Array:
    """What Shape gives for a tensor of `shape` (with its start and end attributes)."""
    return np.asarray(list(shape)[attrs.get("start", 0) : attrs.get("end")], np.int64)


@_folds("Size")
def _size(ins: Inputs, attrs: Attrs, opset: int) -> Const:
    return const_of(np.asarray(_need(ins, 0).array.size, np.int64))


def _moved(c: Const, f: Callable[[Array], Array]) -> Const:
    """Apply a move of elements to a constant, and to its levels when their scale moves the same way."""
    levels = None
    if c.levels is not None:
        full = np.broadcast_to(c.levels.scale, c.levels.q.shape)
        levels = Levels(f(c.levels.q), f(full))
    return Const(f(c.array), c.elem, c.half, levels, c.name)


@_folds("Reshape")
def _reshape(ins: Inputs, attrs: Attrs, opset: int) -> Const:
    c = _need(ins, 0)
    shape = resolve_shape(c.shape, ints_of(_need(ins, 1)), bool(attrs.get("allowzero", 0)))
    return _moved(c, lambda a: a.reshape(shape))


@_folds("Flatten")
def _flatten(ins: Inputs, attrs: Attrs, opset: int) -> Const:
    c = _need(ins, 0)
    axis = attrs.get("axis", 1)
    axis = axis + c.array.ndim if axis < 0 else axis
    return _moved(c, lambda a: a.reshape(prod(c.shape[:axis]), prod(c.shape[axis:])))


@_folds("Transpose")
def _transpose(ins: Inputs, attrs: Attrs, opset: int) -> Const:
    perm = attrs.get("perm")
    return _moved(_need(ins, 0), lambda a: a.transpose(perm))


@_folds("Squeeze")
def _squeeze(ins: Inputs, attrs: Attrs, opset: int) -> Const:
    c = _need(ins, 0)
    axes = axes_of(ins, attrs, c.array.ndim)
    return _moved(c, lambda a: a.squeeze(None if axes is None else tuple(axes)))


@_folds("Unsqueeze")
def _unsqueeze(ins: Inputs, attrs: Attrs, opset: int) -> Const:
    c = _need(ins, 0)
    raw = attrs.get("axes") or ints_of(_need(ins, 1))
    axes = axes_of([], {"axes": raw}, c.array.ndim + len(raw)) or []
    return _moved(c, lambda a: a.reshape(unsqueeze_shape(c.shape, axes)))


@_folds("Expand")
def _expand(ins: Inputs, attrs: Attrs, opset: int) -> Const:
    c = _need(ins, 0)
    shape = _limit(np.broadcast_shapes(c.shape, tuple(ints_of(_need(ins, 1)))))
    return _moved(c, lambda a: np.ascontiguousarray(np.broadcast_to(a, shape)))


@_folds("Concat")
def _concat(ins: Inputs, attrs: Attrs, opset: int) -> Const:
    parts = [_need(ins, i).array for i in range(len(ins))]
    return Const(np.concatenate(parts, axis=int(attrs["axis"])), _need(ins, 0).elem, _half(ins))


def slice_bounds(
    shape: Sequence[int], ins: Inputs, attrs: Attrs
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Starts, sizes and steps of a Slice over every axis of a tensor of `shape` (steps may be negative)."""
    if "starts" in attrs:
        starts, ends = attrs["starts"], attrs["ends"]
        axes, steps = attrs.get("axes"), None
    else:
        starts, ends = ints_of(_need(ins, 1)), ints_of(_need(ins, 2))
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


@_folds("Slice")
def _slice(ins: Inputs, attrs: Attrs, opset: int) -> Const:
    c = _need(ins, 0)
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


@_folds("Gather")
def _gather(ins: Inputs, attrs: Attrs, opset: int) -> Const:
    c, index = _need(ins, 0), _need(ins, 1).array
    axis = int(attrs.get("axis", 0))
    _limit([c.array.size // max(1, c.shape[axis]) * index.size])
    return Const(np.take(c.array, index, axis=axis), c.elem, c.half)


@_folds("Tile")
def _tile(ins: Inputs, attrs: Attrs, opset: int) -> Const:
    c, reps = _need(ins, 0), ints_of(_need(ins, 1))
    _limit([d * r for d, r in zip(c.shape, reps, strict=True)])
    return Const(np.tile(c.array, reps), c.elem, c.half)


# ---- arithmetic ---------------------------------------------------------------------------------------------


def _divide(a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return np.asarray(a / b)
    if not np.all(b):
        raise ModelError("integer division by zero")
    q = np.abs(a) // np.abs(b)
    return np.asarray(np.where((a < 0) != (b < 0), -q, q).astype(a.dtype))


_BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": _divide,
    "Pow": lambda a, b: np.power(a, b).astype(a.dtype),
    "Equal": np.equal,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "And": np.logical_and,
    "Or": np.logical_or,
    "Min": np.minimum,
    "Max": np.maximum,
}

_UNARY: dict[str, Callable[[Array], Array]] = {
    "Abs": np.abs,
    "Neg": np.negative,
    "Sign": np.sign,
    "Sqrt": np.sqrt,
    "Exp": np.exp,
    "Log": np.log,
    "Round": np.rint,
    "Floor": np.floor,
    "Ceil": np.ceil,
    "Not": np.logical_not,
    "Tanh": np.tanh,
    "Relu": lambda a: np.maximum(a, a.dtype.type(0)),
    "Reciprocal": lambda a: a.dtype.type(1) / a,
    "Sigmoid": lambda a: (1 / (1 + np.exp(-a.astype(np.float64)))).astype(a.dtype),
}


def _binary(op: str) -> Fold:
    f = _BINARY[op]

    def run(ins: Inputs, attrs: Attrs, opset: int) -> Const:
        a = _need(ins, 0).array
        for i in range(1, len(ins)):
            b = _need(ins, i).array
            _limit(np.broadcast_shapes(a.shape, b.shape))
            a = np.asarray(f(a, b))
        return Const(a, const_of(a).elem, _half(ins))

    return run


def _unary(op: str) -> Fold:
    f = _UNARY[op]

    def run(ins: Inputs, attrs: Attrs, opset: int) -> Const:
        c = _need(ins, 0)
        a = np.asarray(f(c.array))
        return Const(a, const_of(a).elem, c.half)

    return run


for _op in _BINARY:
    _FOLDS[_op] = _binary(_op)
for _op in _UNARY:
    _FOLDS[_op] = _unary(_op)


@_folds("Where")
def _where(ins: Inputs, attrs: Attrs, opset: int) -> Const:
    test, a, b = (_need(ins, i) for i in range(3))
    _limit(np.broadcast_shapes(test.shape, a.shape, b.shape))
    return Const(np.where(test.array, a.array, b.array), a.elem, _half(ins[1:]))


@_folds("Clip")
def _clip(ins: Inputs, attrs: Attrs, opset: int) -> Const:
    c = _need(ins, 0)
    a = c.array
    for i, key, f in ((1, "min", np.maximum), (2, "max", np.minimum)):
        bound = optional(ins, i)
        value = attrs.get(key) if bound is None else bound.array.reshape(())
        if value is not None:
            a = f(a, np.asarray(value).astype(a.dtype))
    return Const(np.asarray(a), c.elem, c.half)


def _reduce(f: Callable[..., Array]) -> Fold:
    def run(ins: Inputs, attrs: Attrs, opset: int) -> Const:
        c = _need(ins, 0)
        axes = axes_of(ins, attrs, c.array.ndim)
        if not axes:
            if attrs.get("noop_with_empty_axes", 0):
                return c
            axes = list(range(c.array.ndim))
        a = c.array.astype(np.float64) if c.array.dtype.kind == "f" else c.array
        r = f(a, axis=tuple(axes), keepdims=bool(attrs.get("keepdims", 1)))
        return Const(np.asarray(r).astype(c.array.dtype), c.elem, c.half)

    return run


_FOLDS["ReduceMean"] = _reduce(np.mean)
_FOLDS["ReduceMax"] = _reduce(np.max)
_FOLDS["ReduceMin"] = _reduce(np.min)
_FOLDS["ReduceSum"] = _reduce(np.sum)
_FOLDS["ReduceProd"] = _reduce(np.prod)


# ---- quantisation -------------------------------------------------------------------------------------------


def _spread(param: Array, shape: tuple[int, ...], attrs: Attrs) -> Array:
    """A scale or zero point broadcastable to `shape`: per tensor, per axis, or blocked along an axis."""
    if param.size == 1:
        return param.reshape(())
    rank = len(shape)
    axis = int(attrs.get("axis", 1))
    axis = axis + rank if axis < 0 else axis
    block = int(attrs.get("block_size", 0))
    if block > 0:
        if param.shape[axis] != -(-shape[axis] // block):
            raise ModelError(f"block scales of shape {list(param.shape)} for blocks of {block}")
        wide = np.repeat(param, block, axis=axis)
        return np.take(wide, np.arange(shape[axis]), axis=axis)
    if param.shape != (shape[axis],):
        raise ModelError(f"a scale of shape {list(param.shape)} along axis {axis} of {list(shape)}")
    return param.reshape([-1 if i == axis else 1 for i in range(rank)])


@_folds("QuantizeLinear")
def _quantize(ins: Inputs, attrs: Attrs, opset: int) -> Const:
    c, scale, zero = _need(ins, 0), _need(ins, 1), optional(ins, 2)
    elem = zero.elem if zero is not None else int(attrs.get("output_dtype", 0)) or UINT8
    if elem not in RANGES:
        raise ModelError(f"quantisation to {type_name(elem)} is not supported")
    lo, hi = RANGES[elem]
    q = np.rint(c.array.astype(np.float32) / _spread(scale.array.astype(np.float32), c.shape, attrs))
    z = 0 if zero is None else _spread(zero.array, c.shape, attrs).astype(np.int64)
    q = np.clip(np.nan_to_num(q).astype(np.float64) + z, lo, hi)
    return Const(q.astype(STORED[elem][0]), elem, c.half, None, c.name)


@_folds("DequantizeLinear")
def _dequantize(ins: Inputs, attrs: Attrs, opset: int) -> Const:
    c, scale, zero = _need(ins, 0), _need(ins, 1), optional(ins, 2)
    if c.array.dtype.kind not in "iu":
        raise ModelError(f"dequantisation of {type_name(c.elem)} is not supported")
    q = c.array.astype(np.int64)
    if zero is not None:
        q = q - _spread(zero.array, c.shape, attrs).astype(np.int64)
    s = _spread(scale.array, c.shape, attrs)
    levels = None
    if q.size and q.min() >= RANGES[INT8][0] and q.max() <= RANGES[INT8][1]:
        levels = Levels(q.astype(np.int8), s.astype(np.float32))
    value = (q.astype(np.float32) * s.astype(np.float32)).astype(s.dtype)
    return Const(value, scale.elem, scale.half, levels, c.name)
