"""Evaluates ONNX nodes whose inputs are all constants, with NumPy.

This is what turns a weight's fake quantisation (float master, absmean, round, clip, straight-through
add and subtract) into the ternary values it stands for, whichever exporter wrote it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgebit.errors import ModelError
from edgebit.importers._onnx_fold_shape import (
    FOLDS,
    Attrs,
    Fold,
    Inputs,
    axes_of,
    folds,
    half_of,
    ints_of,
    limit,
    need,
    optional,
    split,
)
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


def foldable(op: str) -> bool:
    """Can this operator be evaluated on constants?"""
    return op in FOLDS or op == "Split"


def fold(op: str, ins: Inputs, attrs: Attrs, outputs: int = 1) -> list[Const]:
    """The outputs of `op` on constants. Raises ModelError or the error NumPy has with malformed inputs."""
    if op == "Split":
        return split(ins, attrs, outputs)
    with np.errstate(all="ignore"):
        return [FOLDS[op](ins, attrs)]


# ---- values -------------------------------------------------------------------------------------------------


@folds("Constant")
def _constant(ins: Inputs, attrs: Attrs) -> Const:
    for key in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if key in attrs:
            v = attrs[key]
            if isinstance(v, Const):
                return v
            return const_of(np.asarray(v, np.float32 if "float" in key else np.int64))
    raise ModelError("a constant without a numeric value")


@folds("ConstantOfShape")
def _constant_of_shape(ins: Inputs, attrs: Attrs) -> Const:
    v = attrs.get("value")
    fill = v.array.reshape(-1)[0] if isinstance(v, Const) else np.float32(0)
    return const_of(np.full(limit(ints_of(need(ins, 0))), fill))


@folds("Range")
def _range(ins: Inputs, attrs: Attrs) -> Const:
    dtype = need(ins, 0).array.dtype
    lo, hi, step = (need(ins, i).array.reshape(()).item() for i in range(3))
    if step == 0:
        raise ModelError("a range with step 0")
    limit([max(0, int(np.ceil((hi - lo) / step)))])
    return const_of(np.arange(lo, hi, step).astype(dtype))


@folds("Identity", "Dropout")
def _same(ins: Inputs, attrs: Attrs) -> Const:
    return need(ins, 0)


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


@folds("Cast")
def _cast(ins: Inputs, attrs: Attrs) -> Const:
    return cast(need(ins, 0), int(attrs["to"]))


@folds("CastLike")
def _cast_like(ins: Inputs, attrs: Attrs) -> Const:
    return cast(need(ins, 0), need(ins, 1).elem)


def name_of(ins: Inputs) -> str:
    """The name for what is computed from `ins`: of the first of them that is a matrix or larger."""
    return next((c.name for c in ins if c is not None and c.name and c.array.ndim > 1), "")


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

    def run(ins: Inputs, attrs: Attrs) -> Const:
        a = need(ins, 0).array
        for i in range(1, len(ins)):
            b = need(ins, i).array
            limit(np.broadcast_shapes(a.shape, b.shape))
            a = np.asarray(f(a, b))
        return Const(a, const_of(a).elem, half_of(ins), None, name_of(ins))

    return run


def _unary(op: str) -> Fold:
    f = _UNARY[op]

    def run(ins: Inputs, attrs: Attrs) -> Const:
        c = need(ins, 0)
        a = np.asarray(f(c.array))
        return Const(a, const_of(a).elem, c.half, None, name_of(ins))

    return run


for _op in _BINARY:
    FOLDS[_op] = _binary(_op)
for _op in _UNARY:
    FOLDS[_op] = _unary(_op)


@folds("Where")
def _where(ins: Inputs, attrs: Attrs) -> Const:
    test, a, b = (need(ins, i) for i in range(3))
    limit(np.broadcast_shapes(test.shape, a.shape, b.shape))
    return Const(np.where(test.array, a.array, b.array), a.elem, half_of(ins[1:]))


@folds("Clip")
def _clip(ins: Inputs, attrs: Attrs) -> Const:
    c = need(ins, 0)
    a = c.array
    for i, key, f in ((1, "min", np.maximum), (2, "max", np.minimum)):
        bound = optional(ins, i)
        value = attrs.get(key) if bound is None else bound.array.reshape(())
        if value is not None:
            a = f(a, np.asarray(value).astype(a.dtype))
    return Const(np.asarray(a), c.elem, c.half, None, c.name)


def _reduce(f: Callable[..., Array]) -> Fold:
    def run(ins: Inputs, attrs: Attrs) -> Const:
        c = need(ins, 0)
        axes = axes_of(ins, attrs, c.array.ndim)
        if not axes:
            if attrs.get("noop_with_empty_axes", 0):
                return c
            axes = list(range(c.array.ndim))
        a = c.array.astype(np.float64) if c.array.dtype.kind == "f" else c.array
        r = f(a, axis=tuple(axes), keepdims=bool(attrs.get("keepdims", 1)))
        return Const(np.asarray(r).astype(c.array.dtype), c.elem, c.half)

    return run


FOLDS["ReduceMean"] = _reduce(np.mean)
FOLDS["ReduceMax"] = _reduce(np.max)
FOLDS["ReduceMin"] = _reduce(np.min)
FOLDS["ReduceSum"] = _reduce(np.sum)
FOLDS["ReduceProd"] = _reduce(np.prod)


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


@folds("QuantizeLinear")
def _quantize(ins: Inputs, attrs: Attrs) -> Const:
    c, scale, zero = need(ins, 0), need(ins, 1), optional(ins, 2)
    elem = zero.elem if zero is not None else int(attrs.get("output_dtype", 0)) or UINT8
    if elem not in RANGES:
        raise ModelError(f"quantisation to {type_name(elem)} is not supported")
    lo, hi = RANGES[elem]
    q = np.rint(c.array.astype(np.float32) / _spread(scale.array.astype(np.float32), c.shape, attrs))
    z = 0 if zero is None else _spread(zero.array, c.shape, attrs).astype(np.int64)
    q = np.clip(np.nan_to_num(q).astype(np.float64) + z, lo, hi)
    return Const(q.astype(STORED[elem][0]), elem, c.half, None, c.name)


@folds("DequantizeLinear")
def _dequantize(ins: Inputs, attrs: Attrs) -> Const:
    c, scale, zero = need(ins, 0), need(ins, 1), optional(ins, 2)
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
