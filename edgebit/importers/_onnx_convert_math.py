"""Elementwise operators: arithmetic with constants, clamps, activation functions, batch normalisation."""

from __future__ import annotations

from math import isinf, prod
from typing import Any

import numpy as np

from edgebit.importers._onnx_context import Act, Context, Value, converts
from edgebit.importers._onnx_convert_linear import to_nhwc
from edgebit.importers._onnx_fold_shape import optional
from edgebit.importers._onnx_read import SourceNode
from edgebit.importers._onnx_tensor import Const
from edgebit.ir.graph import Array, DType, Node

_MINUS = np.asarray(-1, np.float32)
_SIXTH = float(np.float32(1 / 6))


@converts("Add", "Sub", "Mul", "Div")
def _arithmetic(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    a, b = ins[0], ins[1]
    if isinstance(a, Const) or isinstance(b, Const):
        return [_with_const(ctx, node.op, a, b)]
    x, y = ctx.floats(a, "input 0"), ctx.floats(b, "input 1")
    if node.op == "Div":
        ctx.fail("divides one activation by another; EdgeBit divides by constants only")
    if node.op == "Mul":
        fused = _gated(ctx, x, y) or _gated(ctx, y, x)
        if fused is not None:
            return [fused]
    if node.op == "Sub":
        y = ctx.one("mul", [y, ctx.add_const(node.name + ".minus", _MINUS)], note="minus")
    return [_two(ctx, "mul" if node.op == "Mul" else "add", x, y)]


def _gated(ctx: Context, x: Act, gate: Act) -> Act | None:
    """x * sigmoid(x) and x * hard_sigmoid(x) as one op."""
    made = _maker(ctx, gate)
    if made is None or made.inputs[0] != x.name:
        return None
    if made.op == "sigmoid":
        return ctx.one("silu", [x])
    if made.op == "hard_sigmoid" and (made.attrs["alpha"], made.attrs["beta"]) == (_SIXTH, 0.5):
        return ctx.one("hard_swish", [x])
    return None


def _maker(ctx: Context, a: Act) -> Node | None:
    return next((n for n in reversed(ctx.graph.nodes) if a.name in n.outputs), None)


def _two(ctx: Context, op: str, x: Act, y: Act) -> Act:
    """x op y for two activations: of one shape, or one of them one value per image and channel."""
    sx, sy = ctx.shape(x), ctx.shape(y)
    if sx == sy:
        return ctx.one(op, [x, y])
    if prod(sx) < prod(sy):
        (x, sx), (y, sy) = (y, sy), (x, sx)
    rank = len(sx)
    if len(sy) == rank >= 3:
        if sy == (sx[0], *(1,) * (rank - 2), sx[-1]):
            return ctx.one(op, [x, y])
        if rank == 4 and sy == (sx[0], sx[1], 1, 1):
            out = ctx.one(op, [to_nhwc(ctx, x), to_nhwc(ctx, y)], final=False)
            return ctx.transpose(out, (0, 3, 1, 2), "nchw", final=True)
    raise ctx.error(f"broadcasts an activation of shape {list(sy)} over {list(sx)}, which is not supported")


def _with_const(ctx: Context, op: str, a: Value | None, b: Value | None) -> Act:
    first = isinstance(a, Const)
    x = ctx.floats(b if first else a)
    c = ctx.const(a if first else b, "the constant")
    v = c.array.astype(np.float32)
    if op == "Div":
        if first:
            ctx.fail("divides a constant by an activation, which is not supported")
        if not v.all():
            ctx.fail("divides by zero")
        with np.errstate(over="ignore"):
            v = np.asarray(1.0 / v.astype(np.float64), np.float32)
    if op == "Sub":
        if first:
            minus = ctx.add_const((ctx.node.name if ctx.node else op) + ".minus", _MINUS)
            x = ctx.one("mul", [x, minus], note="minus")
        else:
            v = np.asarray(-v)
    name = c.name if op in ("Add", "Mul") else ""
    return spread_const(ctx, "mul" if op in ("Mul", "Div") else "add", x, v, name)


def spread_const(ctx: Context, op: str, x: Act, v: Array, name: str = "") -> Act:
    """x op v, v a float constant that broadcasts over x along one run of axes."""
    stem = name or f"{ctx.node.name if ctx.node else op}.{op}"
    shape = ctx.shape(x)
    if v.size == 1:
        if v.ndim > len(shape):
            ctx.fail(f"broadcasts {list(shape)} to rank {v.ndim}, which is not supported")
        return ctx.one(op, [x, ctx.add_const(stem, v.reshape(()))])
    full = (1,) * (len(shape) - v.ndim) + v.shape
    used = [i for i, d in enumerate(full) if d != 1]
    run = range(used[0], used[-1] + 1)
    if len(full) > len(shape) or any(full[i] != shape[i] for i in run):
        ctx.fail(f"broadcasts a constant of shape {list(v.shape)} over {list(shape)}, which is not supported")
    const = ctx.add_const(stem, np.ascontiguousarray(v.reshape(-1)))
    if run[-1] == len(shape) - 1:
        if len(run) == 1:
            return ctx.one(op, [x, const])
        flat = ctx.reshape(x, (prod(shape[: run[0]]), v.size), "flat")
        return ctx.reshape(ctx.one(op, [flat, const], final=False), shape, "shape", final=True)
    if len(shape) == 4 and list(run) == [1]:
        y = ctx.one(op, [to_nhwc(ctx, x), const], final=False)
        return ctx.transpose(y, (0, 3, 1, 2), "nchw", final=True)
    flat = ctx.reshape(x, (prod(shape[: run[0]]), v.size, prod(shape[run[-1] + 1 :])), "flat")
    y = ctx.one(op, [ctx.transpose(flat, (0, 2, 1), "last"), const], final=False)
    y = ctx.transpose(y, (0, 2, 1), "back", final=len(shape) == 3)
    return ctx.reshape(y, shape, "shape", final=True)


@converts("Neg")
def _neg(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    minus = ctx.add_const(node.name + ".minus", _MINUS)
    return [ctx.one("mul", [ctx.floats(ins[0]), minus])]


@converts("Sum")
def _sum(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    if len(ins) != 2:
        ctx.fail(f"sums {len(ins)} tensors; use Add nodes of two")
    return [_two(ctx, "add", ctx.floats(ins[0]), ctx.floats(ins[1]))]


@converts("BatchNormalization")
def _batch_norm(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    if node.attrs.get("training_mode", 0) or any(node.outputs[1:]):
        ctx.fail("is in training mode; export the model in evaluation mode (model.eval())")
    x = ctx.floats(ins[0])
    shape = ctx.shape(x)
    if len(shape) < 2:
        ctx.fail(f"normalises a tensor of shape {list(shape)}")
    names = ("scale", "bias", "mean", "variance")
    params = [
        ctx.const(optional(ins, i + 1), f"its {k}").array.astype(np.float64) for i, k in enumerate(names)
    ]
    if any(p.shape != (shape[1],) for p in params):
        ctx.fail(f"its parameters do not hold one value for each of {shape[1]} channels")
    gamma, beta, mean, var = params
    eps = float(node.attrs.get("epsilon", 1e-5))
    if not (var + eps > 0).all():
        ctx.fail("its variance plus epsilon is not positive")
    scale = gamma / np.sqrt(var + eps)
    bias = beta - mean * scale
    with np.errstate(over="ignore"):
        m = ctx.add_const(node.name + ".scale", scale.astype(np.float32))
        a = ctx.add_const(node.name + ".bias", bias.astype(np.float32))
    if len(shape) == 2:
        return [ctx.one("add", [ctx.one("mul", [x, m], note="scale"), a])]
    if len(shape) == 4:
        y = ctx.one("mul", [to_nhwc(ctx, x), m], note="scale")
        y = ctx.one("add", [y, a], final=False)
        return [ctx.transpose(y, (0, 3, 1, 2), "nchw", final=True)]
    perm = (0, *range(2, len(shape)), 1)
    y = ctx.one("mul", [ctx.transpose(x, perm, "last"), m], note="scale")
    y = ctx.one("add", [y, a], final=False)
    return [ctx.transpose(y, [perm.index(i) for i in range(len(shape))], "back", final=True)]


# ---- clamps -------------------------------------------------------------------------------------------------


def _clip(ctx: Context, x: Act, lo: float | None, hi: float | None) -> Act:
    """A clamp of a float or int8 activation."""
    t = ctx.tensor(x)
    if t.dtype == DType.F32:
        low = -np.inf if lo is None else float(np.float32(lo))
        high = np.inf if hi is None else float(np.float32(hi))
        return ctx.one("clip", [x], {"lo": low, "hi": high})
    return _narrow(ctx, x, lo, hi)


def _narrow(ctx: Context, x: Act, lo: float | None, hi: float | None) -> Act:
    """A clamp of stored integers right after QuantizeLinear: a narrower range of that node."""
    made = _maker(ctx, x)
    if made is None or made.op != "quantize":
        ctx.fail("clips integers that do not come straight from QuantizeLinear, which is not supported")
    shift = 128 if x.unsigned else 0
    qmin, qmax = made.attrs.get("qmin", -128), made.attrs.get("qmax", 127)
    qmin = qmin if lo is None else max(qmin, round(lo) - shift)
    qmax = qmax if hi is None else min(qmax, round(hi) - shift)
    if qmin > qmax:
        ctx.fail(f"clips integers to an empty range ({lo} to {hi})")
    attrs = {**made.attrs, "qmin": qmin, "qmax": qmax}
    return Act(ctx.one("quantize", [made.inputs[0]], attrs).name, x.unsigned)


@converts("Relu")
def _relu(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    return [_clip(ctx, ctx.floats(ins[0]), 0.0, None)]


@converts("Clip")
def _clip_node(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    bounds: list[float | None] = []
    for i, key in ((1, "min"), (2, "max")):
        v = optional(ins, i)
        value = node.attrs.get(key) if v is None else ctx.scalar(v, f"the bound {key}")
        bounds.append(None if value is None or isinf(value) or abs(value) >= 3.4e38 else value)
    lo, hi = bounds
    if lo is not None and hi is not None and lo > hi:
        ctx.fail(f"clips to an empty range ({lo} to {hi})")
    return [_clip(ctx, ctx.act(ins[0]), lo, hi)]


@converts("Min", "Max")
def _min_max(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    acts = [v for v in ins if not isinstance(v, Const)]
    consts = [v for v in ins if isinstance(v, Const)]
    if len(acts) != 1:
        ctx.fail("compares two activations; EdgeBit supports it with constants only")
    bounds = [ctx.scalar(c, "the bound") for c in consts]
    if node.op == "Max":
        return [_clip(ctx, ctx.act(acts[0]), max(bounds, default=None), None)]
    return [_clip(ctx, ctx.act(acts[0]), None, min(bounds, default=None))]


# ---- functions ----------------------------------------------------------------------------------------------

_UNARY = {"HardSwish": "hard_swish", "Sigmoid": "sigmoid", "Tanh": "tanh"}


@converts(*_UNARY)
def _unary(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    return [ctx.one(_UNARY[node.op], [ctx.floats(ins[0])])]


@converts("Swish")
def _swish(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    if node.attrs.get("alpha", 1.0) != 1.0:
        ctx.fail("Swish with another alpha than 1 is not supported")
    return [ctx.one("silu", [ctx.floats(ins[0])])]


@converts("HardSigmoid")
def _hard_sigmoid(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    attrs: dict[str, Any] = {
        "alpha": float(np.float32(node.attrs.get("alpha", 0.2))),
        "beta": float(np.float32(node.attrs.get("beta", 0.5))),
    }
    return [ctx.one("hard_sigmoid", [ctx.floats(ins[0])], attrs)]


@converts("LeakyRelu")
def _leaky_relu(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    alpha = float(np.float32(node.attrs.get("alpha", 0.01)))
    return [ctx.one("leaky_relu", [ctx.floats(ins[0])], {"alpha": alpha})]


@converts("PRelu")
def _prelu(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    slope = ctx.const(optional(ins, 1), "its slope").array.astype(np.float32)
    if not slope.size or not (slope == slope.flat[0]).all():
        ctx.fail("has different slopes per channel; EdgeBit supports one slope for all")
    return [ctx.one("leaky_relu", [ctx.floats(ins[0])], {"alpha": float(slope.flat[0])})]


@converts("Softmax")
def _softmax(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    x = ctx.floats(ins[0])
    shape = ctx.shape(x)
    rank = len(shape)
    axis = int(node.attrs.get("axis", -1 if ctx.opset >= 13 else 1))
    if not -rank <= axis < max(rank, 1) or not rank:
        ctx.fail(f"axis {axis} for a tensor of rank {rank}")
    axis %= rank
    if ctx.opset < 13:
        if prod(shape[axis:]) == shape[-1]:
            return [ctx.one("softmax", [x])]
        flat = ctx.reshape(x, (prod(shape[:axis]), prod(shape[axis:])), "flat")
        return [ctx.reshape(ctx.one("softmax", [flat], final=False), shape, "shape", final=True)]
    if axis == rank - 1:
        return [ctx.one("softmax", [x])]
    perm = [i for i in range(rank) if i != axis] + [axis]
    y = ctx.one("softmax", [ctx.transpose(x, perm, "last")], final=False)
    return [ctx.transpose(y, [perm.index(i) for i in range(rank)], "back", final=True)]
