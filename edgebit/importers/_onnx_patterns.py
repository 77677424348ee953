"""Dynamic activation quantisation, recognised one operator at a time.

BitNet-style layers quantise each token (or image) by its largest magnitude. Exporters spell this as

    a = Clip(ReduceMax(Abs(x)), eps)        s = Reciprocal(a) * 127   or   127 / a   or   step = a / 127
    q = Clip(Round(x * s), -128, 127)       y = q / s                 (or q * step)
    y = x + (y - x)                         the straight-through estimator, which changes nothing

or divide after the product only: MatMul(q, w) / (s * c), MatMul(q, w) * c / s, with c the weights' scale.

with casts, identities and half clips in between. No single operator of it exists in EdgeBit. Each `_step_*`
function takes the value one operator further (`Dyn.stage`), and MatMul, Gemm and Conv turn the finished
value ("fake") into `dynamic_quantize`; any other consumer is refused.

y = q / step with step = a / 127 is taken as s = 127 / a: the two may round an x that lies within an ulp of
a tie differently, and so may the final q * (1 / s) against q / s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import isinf, prod

import numpy as np

from edgebit.errors import ModelError
from edgebit.importers._onnx_context import Act, Context, Dyn, Value
from edgebit.importers._onnx_fold_shape import axes_of, ints_of, optional, resolve_shape, unsqueeze_shape
from edgebit.importers._onnx_read import SourceNode
from edgebit.importers._onnx_tensor import BFLOAT16, FLOAT, FLOAT16, INT8, INT16, INT32, INT64, Const
from edgebit.ir.graph import DType

NO_EPS = 1e-30  # stands for a missing lower bound of the magnitude: only inputs that are all zero differ

Step = Callable[[Context, SourceNode, "list[Value | None]"], "Dyn | Act | None"]


def match(ctx: Context, node: SourceNode, ins: list[Value | None]) -> Dyn | Act | None:
    """The value of `node` when it is a step of a dynamic quantisation, else None."""
    step = _STEPS.get(node.op)
    if step is None:
        return None
    if node.op == "Abs" or any(isinstance(v, Dyn) for v in ins):
        return step(ctx, node, ins)
    return None


def nonunit(axes: frozenset[int] | range | set[int], shape: tuple[int, ...]) -> set[int]:
    """The axes among `axes` that are longer than one."""
    return {a for a in axes if shape[a] > 1}


def per_row(d: Dyn, shape: tuple[int, ...]) -> bool:
    """Is `d` quantised along exactly the last axis of a tensor of `shape`?"""
    return nonunit(d.axes, shape) == nonunit({len(shape) - 1}, shape)


def per_image(d: Dyn, shape: tuple[int, ...]) -> bool:
    """Is `d` quantised over everything but the first axis?"""
    return nonunit(d.axes, shape) == nonunit(range(1, len(shape)), shape)


def _step_abs(ctx: Context, node: SourceNode, ins: list[Value | None]) -> Dyn | None:
    x = ins[0]
    if isinstance(x, Act) and ctx.tensor(x).dtype == DType.F32:
        return Dyn(x.name, "abs", ctx.shape(x))
    return None


def _step_reduce_max(ctx: Context, node: SourceNode, ins: list[Value | None]) -> Dyn | None:
    v = ins[0]
    if not isinstance(v, Dyn) or v.stage not in ("abs", "max"):
        return None
    folded: list[Const | None] = [i if isinstance(i, Const) else None for i in ins]
    axes = axes_of(folded, node.attrs, len(v.shape))
    if axes is None:
        if node.attrs.get("noop_with_empty_axes", 0):
            return v
        axes = list(range(len(v.shape)))
    keep = bool(node.attrs.get("keepdims", 1))
    x_rank = len(ctx.graph.tensors[v.x].shape)
    if len(v.shape) != x_rank:
        return None
    shape = [1 if i in axes else d for i, d in enumerate(v.shape) if keep or i not in axes]
    return replace(v, stage="max", axes=v.axes | set(axes), shape=tuple(shape))


def _step_clip(ctx: Context, node: SourceNode, ins: list[Value | None]) -> Dyn | None:
    v = ins[0]
    if not isinstance(v, Dyn):
        return None
    lo = _bound(ctx, node, ins, 1, "min")
    hi = _bound(ctx, node, ins, 2, "max")
    return _clip(v, lo, hi)


def _bound(ctx: Context, node: SourceNode, ins: list[Value | None], i: int, key: str) -> float | None:
    v = optional(ins, i)
    value = node.attrs.get(key) if v is None else ctx.scalar(v, f"the bound {key}")
    return None if value is None or isinf(value) or abs(value) >= 3e38 else float(value)


def _step_min_max(ctx: Context, node: SourceNode, ins: list[Value | None]) -> Dyn | None:
    if len(ins) != 2:
        return None
    a, b = ins
    v, c = (a, b) if isinstance(a, Dyn) else (b, a)
    if not isinstance(v, Dyn) or not isinstance(c, Const) or c.array.size != 1:
        return None
    bound = float(c.array.reshape(()))
    return _clip(v, bound, None) if node.op == "Max" else _clip(v, None, bound)


def _clip(v: Dyn, lo: float | None, hi: float | None) -> Dyn | None:
    if v.stage in ("max", "step"):
        if hi is not None:
            return None
        if lo is None:
            return v
        eps = lo if v.stage == "max" else float(np.float32(lo) * np.float32(127))
        return replace(v, eps=max(v.eps, eps)) if eps >= 0 else v
    if v.stage not in ("scaled", "round"):
        return None
    qmin = v.qmin if lo is None else max(v.qmin, int(np.ceil(lo)))
    qmax = v.qmax if hi is None else min(v.qmax, int(np.floor(hi)))
    if qmin > qmax or any(b is not None and b != round(b) for b in (lo, hi)):
        return None
    return replace(v, qmin=qmin, qmax=qmax)


def _step_reciprocal(ctx: Context, node: SourceNode, ins: list[Value | None]) -> Dyn | None:
    v = ins[0]
    return _reciprocal(v) if isinstance(v, Dyn) else None


def _reciprocal(v: Dyn) -> Dyn | None:
    after = {"max": "recip", "scale": "step", "step": "scale", "recip": "max"}.get(v.stage)
    if after is None or v.factor != 1:
        return None
    return replace(v, stage=after)


def _step_mul(ctx: Context, node: SourceNode, ins: list[Value | None]) -> Dyn | Act | None:
    a, b = ins
    if isinstance(b, Dyn) and not isinstance(a, Dyn):
        a, b = b, a
    if not isinstance(a, Dyn):
        return None
    if isinstance(b, Const):
        if a.stage == "recip" and _is(b, 127.0):
            return replace(a, stage="scale", form="recip_mul")
        return a if _is(b, 1.0) else _times(ctx, a, b, False)
    if isinstance(b, Act):
        return _scaled(ctx, b, a, "scale")
    if isinstance(b, Dyn):
        for q, s in ((a, b), (b, a)):
            if q.stage == "round" and s.stage == "step" and _same_scale(q, s):
                return _fake(ctx, q)
            if q.stage == "product" and s.stage == "step":
                return _divided(q, s)
    return None


def _step_div(ctx: Context, node: SourceNode, ins: list[Value | None]) -> Dyn | Act | None:
    a, b = ins
    if isinstance(a, Const) and isinstance(b, Dyn):
        if b.stage == "max" and _is(a, 127.0):
            return replace(b, stage="scale", form="div")
        return _reciprocal(b) if _is(a, 1.0) else None
    if isinstance(a, Dyn) and isinstance(b, Const):
        if a.stage == "max" and _is(b, 127.0):
            return replace(a, stage="step", form="div")
        return a if _is(b, 1.0) else _times(ctx, a, b, True)
    if isinstance(a, Act) and isinstance(b, Dyn):
        return _scaled(ctx, a, b, "step")
    if isinstance(a, Dyn) and isinstance(b, Dyn) and a.stage == "product" and b.stage == "scale":
        d = _divided(a, replace(b, factor=1.0))
        if d is None or b.factor == 1.0:
            return d
        return _multiplied(ctx, d, 1.0 / b.factor)
    if isinstance(a, Dyn) and isinstance(b, Dyn) and a.stage == "round":
        return _fake(ctx, a) if b.stage == "scale" and _same_scale(a, b) else None
    return None


def _scaled(ctx: Context, x: Act, s: Dyn, stage: str) -> Dyn | None:
    """x * s (stage "scale") or x / step (stage "step")."""
    shape = ctx.shape(x)
    kept = tuple(1 if i in s.axes else d for i, d in enumerate(shape))
    padded = (1,) * (len(shape) - len(s.shape)) + s.shape
    if s.stage != stage or s.factor != 1 or x.name != s.x or (padded != kept and prod(s.shape) != 1):
        return None
    return replace(s, stage="scaled", shape=shape)


def _times(ctx: Context, v: Dyn, c: Const, inverse: bool) -> Dyn | None:
    """The scale, or a product not yet divided by it, times (or by) one constant: the scale of the weights."""
    if c.array.size != 1 or c.array.ndim > len(v.shape) or float(c.array.reshape(())) == 0:
        return None
    value = float(c.array.reshape(()))
    value = 1.0 / value if inverse else value
    if v.stage == "scale":
        return replace(v, factor=v.factor * value)
    if v.stage == "product":
        return replace(v, product=_multiplied(ctx, Act(v.product), value).name)
    return None


def _multiplied(ctx: Context, x: Act, value: float) -> Act:
    name = ctx.add_const(f"{ctx.node.name if ctx.node else 'scale'}.scale", np.asarray(value, np.float32))
    return ctx.one("mul", [x, name])


def _divided(product: Dyn, s: Dyn) -> Act | None:
    """The product divided by the scale of its integers."""
    rows = (*product.shape[:-1], 1)
    if not _same_scale(product, s) or (s.shape != rows and prod(s.shape) != 1):
        return None
    return Act(product.product)


def _same_scale(q: Dyn, s: Dyn) -> bool:
    return (q.x, q.axes, q.form, q.eps, q.factor) == (s.x, s.axes, s.form, s.eps, s.factor)


def _fake(ctx: Context, q: Dyn) -> Dyn | None:
    return replace(q, stage="fake", shape=ctx.graph.tensors[q.x].shape) if q.rounded else None


def _step_round(ctx: Context, node: SourceNode, ins: list[Value | None]) -> Dyn | None:
    v = ins[0]
    if isinstance(v, Dyn) and v.stage in ("scaled", "round"):
        return replace(v, stage="round", rounded=True)
    return None


def _step_sub(ctx: Context, node: SourceNode, ins: list[Value | None]) -> Dyn | None:
    a, b = ins
    if not isinstance(a, Dyn):
        return None
    if a.stage == "fake" and isinstance(b, Act) and b.name == a.x:
        return replace(a, stage="diff")
    if a.stage == "round" and isinstance(b, Dyn) and b.stage == "scaled" and _same_scale(a, b):
        return replace(a, stage="rounddiff")
    return None


def _step_add(ctx: Context, node: SourceNode, ins: list[Value | None]) -> Dyn | None:
    a, b = ins
    for diff, other in ((a, b), (b, a)):
        if not isinstance(diff, Dyn):
            continue
        if diff.stage == "diff" and isinstance(other, Act) and other.name == diff.x:
            return replace(diff, stage="fake")
        if diff.stage == "rounddiff" and isinstance(other, Dyn) and other.stage == "scaled":
            return replace(diff, stage="round") if _same_scale(diff, other) else None
    return None


def _step_same(ctx: Context, node: SourceNode, ins: list[Value | None]) -> Dyn | None:
    return ins[0] if isinstance(ins[0], Dyn) else None


def _step_cast(ctx: Context, node: SourceNode, ins: list[Value | None]) -> Dyn | None:
    v, to = ins[0], node.attrs.get("to", FLOAT)
    if not isinstance(v, Dyn):
        return None
    if node.op == "CastLike" or to == FLOAT:
        return v
    whole = (FLOAT16, BFLOAT16, INT8, INT16, INT32, INT64)  # all hold the integers -128..127 exactly
    return v if to in whole and v.stage == "round" and v.rounded else None


def _step_move(ctx: Context, node: SourceNode, ins: list[Value | None]) -> Dyn | None:
    """Reshapes: of the largest magnitude or scale itself, or of the quantised activation (moved before it)."""
    v = ins[0]
    if not isinstance(v, Dyn):
        return None
    if v.stage in ("max", "recip", "scale", "step"):
        shape = _moved_shape(node, v.shape, ins)
        return None if shape is None else replace(v, shape=shape)
    if v.stage != "fake":
        return None
    old = v.shape
    if node.op == "Transpose":
        perm = node.attrs.get("perm") or list(range(len(old)))[::-1]
        x = ctx.transpose(Act(v.x), perm)
        axes = frozenset(i for i, p in enumerate(perm) if p in v.axes)
        return replace(v, x=x.name, axes=axes, shape=ctx.shape(x))
    shape = _moved_shape(node, old, ins)
    if shape is None:
        return None
    if per_image(v, old) and shape[0] == old[0]:
        axes = frozenset(range(1, len(shape)))
    elif per_row(v, old) and shape[-1] == old[-1]:
        axes = frozenset({len(shape) - 1})
    else:
        return None
    x = ctx.reshape(Act(v.x), shape)
    return replace(v, x=x.name, axes=axes, shape=shape)


def _moved_shape(node: SourceNode, shape: tuple[int, ...], ins: list[Value | None]) -> tuple[int, ...] | None:
    folded = [i if isinstance(i, Const) else None for i in ins]
    wanted = optional(folded, 1)
    if node.op == "Reshape" and wanted is not None:
        return resolve_shape(shape, ints_of(wanted), bool(node.attrs.get("allowzero", 0)))
    if node.op == "Flatten":
        axis = node.attrs.get("axis", 1)
        axis = axis + len(shape) if axis < 0 else axis
        return (prod(shape[:axis]), prod(shape[axis:]))
    if node.op == "Unsqueeze":
        raw = node.attrs.get("axes") or (ints_of(wanted) if wanted is not None else [])
        return unsqueeze_shape(shape, axes_of([], {"axes": raw}, len(shape) + len(raw)) or [])
    if node.op == "Squeeze":
        axes = axes_of(folded, node.attrs, len(shape))
        axes = [i for i, d in enumerate(shape) if d == 1] if axes is None else axes
        if any(shape[a] != 1 for a in axes):
            raise ModelError(f"cannot squeeze axes {axes} of {list(shape)}")
        return tuple(d for i, d in enumerate(shape) if i not in axes)
    return None


def _is(c: Const, value: float) -> bool:
    return c.array.size == 1 and float(c.array.reshape(())) == value


_STEPS: dict[str, Step] = {
    "Abs": _step_abs,
    "ReduceMax": _step_reduce_max,
    "Clip": _step_clip,
    "Min": _step_min_max,
    "Max": _step_min_max,
    "Reciprocal": _step_reciprocal,
    "Mul": _step_mul,
    "Div": _step_div,
    "Round": _step_round,
    "Sub": _step_sub,
    "Add": _step_add,
    "Identity": _step_same,
    "Dropout": _step_same,
    "Cast": _step_cast,
    "CastLike": _step_cast,
    "Reshape": _step_move,
    "Flatten": _step_move,
    "Unsqueeze": _step_move,
    "Squeeze": _step_move,
    "Transpose": _step_move,
}
