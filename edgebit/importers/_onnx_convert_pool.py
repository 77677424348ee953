"""Pools and means over axes."""

from __future__ import annotations

from math import prod
from typing import Any

from edgebit.importers._onnx_context import Act, Context, Value, converts
from edgebit.importers._onnx_convert_linear import from_nhwc, to_nhwc
from edgebit.importers._onnx_fold_shape import axes_of, optional
from edgebit.importers._onnx_read import SourceNode
from edgebit.importers._onnx_tensor import Const
from edgebit.importers._onnx_window import conv_window
from edgebit.ir.graph import DType


def _input(ctx: Context, v: Value | None, kind: str) -> Act:
    x = ctx.act(v)
    if kind == "avg" or ctx.tensor(x).dtype != DType.S8:
        x = ctx.floats(x)
    return x


@converts("MaxPool", "AveragePool")
def _pool(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    kind = "max" if node.op == "MaxPool" else "avg"
    x = _input(ctx, ins[0], kind)
    shape = ctx.shape(x)
    if len(shape) not in (3, 4):
        ctx.fail(f"pools a tensor of shape {list(shape)}; EdgeBit supports 1-D and 2-D pools")
    if any(node.outputs[1:]):
        ctx.fail("its second output (Indices) is not supported")
    w = conv_window(ctx, node, shape[2:], node.attrs.get("kernel_shape") or [])
    attrs: dict[str, Any] = {"kernel": w.kernel, "strides": w.strides, "pads": w.pads}
    if kind == "max":
        attrs["dilations"] = w.dilations
    else:
        if w.dilations != (1, 1):
            ctx.fail("average pools with dilations are not supported")
        include = bool(node.attrs.get("count_include_pad", 0))
        if include and any(w.extra):
            ctx.fail("ceil_mode together with count_include_pad is not supported; export with ceil_mode=0")
        attrs["count_include_pad"] = include
    return [_nhwc_op(ctx, x, f"{kind}_pool2d", attrs)]


def _nhwc_op(ctx: Context, x: Act, op: str, attrs: dict[str, Any]) -> Act:
    y = ctx.one(op, [to_nhwc(ctx, x)], attrs, final=False)
    return from_nhwc(ctx, Act(y.name, x.unsigned), len(ctx.shape(x)))


@converts("GlobalAveragePool", "GlobalMaxPool")
def _global_pool(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    kind = "max" if node.op == "GlobalMaxPool" else "avg"
    x = _input(ctx, ins[0], kind)
    rank = len(ctx.shape(x))
    if rank < 3:
        ctx.fail(f"pools a tensor of shape {list(ctx.shape(x))}")
    return [_reduce(ctx, x, list(range(2, rank)), kind, True)]


@converts("ReduceMean", "ReduceMax")
def _reduce_node(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    kind = "max" if node.op == "ReduceMax" else "avg"
    x = _input(ctx, ins[0], kind)
    rank = len(ctx.shape(x))
    if isinstance(optional(ins, 1), Act):
        ctx.fail("its axes are not constant")
    folded = [v if isinstance(v, Const) else None for v in ins]
    axes = axes_of(folded, node.attrs, rank)
    if not axes:
        if node.attrs.get("noop_with_empty_axes", 0):
            return [x]
        axes = list(range(rank))
    return [_reduce(ctx, x, sorted(axes), kind, bool(node.attrs.get("keepdims", 1)))]


def _reduce(ctx: Context, x: Act, axes: list[int], kind: str, keep: bool) -> Act:
    """The mean or maximum over some axes, as a pool whose window is as large as its input."""
    shape = ctx.shape(x)
    rank = len(shape)
    out = tuple(1 if i in axes else d for i, d in enumerate(shape) if keep or i not in axes)
    if rank == 4 and axes == [2, 3]:
        pooled = to_nhwc(ctx, x)
    else:
        if 0 in axes and shape[0] != 1:
            ctx.fail("reduces over the batch, which is not supported")
        front = [] if 0 in axes else [0]
        rest = [i for i in range(rank) if i not in axes and i not in front]
        y = ctx.transpose(x, front + axes + rest, "last")
        n = shape[0] if front else 1
        pooled = ctx.reshape(y, (n, 1, prod(shape[i] for i in axes), prod(shape[i] for i in rest)), "nhwc")
    _, h, w, _ = ctx.shape(pooled)
    attrs: dict[str, Any] = {"kernel": (h, w), "strides": (1, 1), "pads": (0, 0, 0, 0)}
    if kind == "max":
        attrs["dilations"] = (1, 1)
    else:
        attrs["count_include_pad"] = False
    y = Act(ctx.one(f"{kind}_pool2d", [pooled], attrs, final=False).name, x.unsigned)
    if rank == 4 and axes == [2, 3] and keep:
        return from_nhwc(ctx, y, 4)
    # One value per kept element, in order: only the unit axes differ.
    return ctx.reshape(y, out, "shape", final=True)
