"""Operators that move elements, and those that do nothing at inference."""

from __future__ import annotations

from math import isfinite, prod
from typing import Any

from edgebit.importers._onnx_context import Act, Context, Value, converts
from edgebit.importers._onnx_fold_shape import (
    axes_of,
    ints_of,
    optional,
    resolve_shape,
    shape_slice,
    slice_bounds,
    split_sizes,
    unsqueeze_shape,
)
from edgebit.importers._onnx_read import SourceNode
from edgebit.importers._onnx_tensor import FLOAT, INT32, INT64, Const, const_of, type_name
from edgebit.ir.graph import DType


def _consts(ins: list[Value | None]) -> list[Const | None]:
    return [v if isinstance(v, Const) else None for v in ins]


@converts("Identity", "Dropout")
def _same(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    training = optional(ins, 2)
    if isinstance(training, Const) and training.array.any():
        ctx.fail("is in training mode; export the model in evaluation mode (model.eval())")
    return [ctx.act(ins[0])]


@converts("Cast", "CastLike")
def _cast(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    x = ctx.act(ins[0])
    dtype = ctx.tensor(x).dtype
    like = optional(ins, 1)
    if isinstance(like, Act):
        same = ctx.tensor(like).dtype == dtype
    else:
        to = like.elem if isinstance(like, Const) else int(node.attrs.get("to", 0))
        allowed = {DType.F32: (FLOAT,), DType.S32: (INT32, INT64)}.get(dtype, ())
        same = to in allowed
    if not same:
        what = "another type" if node.op == "CastLike" else type_name(int(node.attrs.get("to", 0)))
        ctx.fail(f"casts an activation of type {dtype.value} to {what}, which is not supported")
    return [x]


@converts("Shape")
def _shape(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    v = ins[0]
    if v is None:
        ctx.fail("its input is missing")
    return [const_of(shape_slice(ctx.shape(v), node.attrs))]


@converts("Reshape")
def _reshape(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    x = ctx.act(ins[0])
    wanted = ints_of(ctx.const(optional(ins, 1), "the new shape"))
    return [ctx.reshape(x, resolve_shape(ctx.shape(x), wanted, bool(node.attrs.get("allowzero", 0))))]


@converts("Flatten")
def _flatten(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    x = ctx.act(ins[0])
    shape = ctx.shape(x)
    axis = int(node.attrs.get("axis", 1))
    if not -len(shape) <= axis <= len(shape):
        ctx.fail(f"axis {axis} for a tensor of rank {len(shape)}")
    axis = axis + len(shape) if axis < 0 else axis
    return [ctx.reshape(x, (prod(shape[:axis]), prod(shape[axis:])))]


@converts("Squeeze")
def _squeeze(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    x = ctx.act(ins[0])
    shape = ctx.shape(x)
    axes = axes_of(_consts(ins), node.attrs, len(shape))
    axes = [i for i, d in enumerate(shape) if d == 1] if axes is None else axes
    if any(shape[a] != 1 for a in axes):
        ctx.fail(f"squeezes axes {axes} of {list(shape)}")
    return [ctx.reshape(x, [d for i, d in enumerate(shape) if i not in axes])]


@converts("Unsqueeze")
def _unsqueeze(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    x = ctx.act(ins[0])
    shape = ctx.shape(x)
    raw = node.attrs.get("axes") or ints_of(ctx.const(optional(ins, 1), "axes"))
    axes = axes_of([], {"axes": raw}, len(shape) + len(raw)) or []
    return [ctx.reshape(x, unsqueeze_shape(shape, axes))]


@converts("Transpose")
def _transpose(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    x = ctx.act(ins[0])
    rank = len(ctx.shape(x))
    perm = node.attrs.get("perm") or list(range(rank))[::-1]
    if sorted(perm) != list(range(rank)):
        ctx.fail(f"perm {perm[:10]} for a tensor of rank {rank}")
    return [ctx.transpose(x, perm)]


@converts("Expand", "Tile")
def _expand(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    x = ctx.act(ins[0])
    shape = ctx.shape(x)
    wanted = ints_of(ctx.const(optional(ins, 1), "the shape"))
    same = all(w == 1 for w in wanted)
    if node.op == "Expand":
        same = len(wanted) <= len(shape) and all(
            w in (1, d) for w, d in zip(wanted[::-1], shape[::-1], strict=False)
        )
    if not same:
        ctx.fail(f"repeats elements of an activation of shape {list(shape)}, which is not supported")
    return [x]


@converts("Concat")
def _concat(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    parts = [ctx.act(v, f"input {i}") for i, v in enumerate(ins)]
    rank = len(ctx.shape(parts[0]))
    axis = int(node.attrs["axis"])
    if not -rank <= axis < rank:
        ctx.fail(f"axis {axis} for tensors of rank {rank}")
    if len({p.unsigned for p in parts}) != 1 or len({ctx.tensor(p).quant for p in parts}) != 1:
        ctx.fail("concatenates int8 tensors of different scales; requantise them to one first")
    if len(parts) == 1:
        return [parts[0]]
    return [Act(ctx.one("concat", parts, {"axis": axis % rank}).name, parts[0].unsigned)]


@converts("Slice")
def _slice(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    x = ctx.act(ins[0])
    if any(v is not None and not isinstance(v, Const) for v in ins[1:]):
        ctx.fail("slices at positions that are not constant")
    starts, sizes, steps = slice_bounds(ctx.shape(x), _consts(ins), node.attrs)
    if any(s <= 0 for s in steps):
        ctx.fail("slices with a negative step, which is not supported")
    return [_cut(ctx, x, starts, sizes, steps)]


def _cut(
    ctx: Context,
    x: Act,
    starts: tuple[int, ...],
    sizes: tuple[int, ...],
    steps: tuple[int, ...],
    note: str = "",
    final: bool | None = None,
) -> Act:
    if sizes == ctx.shape(x):
        return x
    if not all(sizes):
        ctx.fail(f"slices nothing out of {list(ctx.shape(x))}")
    attrs: dict[str, Any] = {"starts": starts, "sizes": sizes, "steps": steps}
    return Act(ctx.one("slice", [x], attrs, note=note, final=final).name, x.unsigned)


@converts("Split")
def _split(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    x = ctx.act(ins[0])
    shape = ctx.shape(x)
    rank = len(shape)
    axis = int(node.attrs.get("axis", 0))
    if not -rank <= axis < rank:
        ctx.fail(f"axis {axis} for a tensor of rank {rank}")
    axis %= rank
    out: list[Value] = []
    at = 0
    for i, size in enumerate(split_sizes(shape[axis], _consts(ins), node.attrs, len(node.outputs))):
        starts = tuple(at if j == axis else 0 for j in range(rank))
        sizes = tuple(size if j == axis else d for j, d in enumerate(shape))
        out.append(_cut(ctx, x, starts, sizes, (1,) * rank, f"part{i}" if i else "", final=i == 0))
        at += size
    return out


@converts("Gather")
def _gather(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    if isinstance(ins[0], Const):
        ctx.fail("looks up rows of a constant by an activation (an embedding), which is not supported")
    x = ctx.act(ins[0])
    shape = ctx.shape(x)
    axis = int(node.attrs.get("axis", 0)) % len(shape)
    index = ctx.const(optional(ins, 1), "its index")
    picks = [int(i) % shape[axis] for i in index.array.reshape(-1)]
    if index.array.ndim > 1 or picks != list(range(picks[0], picks[0] + len(picks))):
        ctx.fail("gathers elements that are not consecutive, which is not supported")
    starts = tuple(picks[0] if i == axis else 0 for i in range(len(shape)))
    sizes = tuple(len(picks) if i == axis else d for i, d in enumerate(shape))
    if index.array.ndim:
        return [_cut(ctx, x, starts, sizes, (1,) * len(shape))]
    y = _cut(ctx, x, starts, sizes, (1,) * len(shape), final=False)
    return [ctx.reshape(y, [d for i, d in enumerate(shape) if i != axis], "shape", final=True)]


@converts("Pad")
def _pad(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    x = ctx.act(ins[0])
    rank = len(ctx.shape(x))
    mode = node.attrs.get("mode", "constant")
    if mode != "constant":
        ctx.fail(f"pads in mode {mode!r}; EdgeBit supports constant padding")
    given = node.attrs.get("pads")
    pads = list(given) if given is not None else ints_of(ctx.const(optional(ins, 1), "pads"))
    fill = optional(ins, 2)
    value = float(node.attrs.get("value", 0.0)) if fill is None else ctx.scalar(fill, "its value")
    axes = axes_of(_consts(ins), {}, rank, 3)
    axes = list(range(rank)) if axes is None else axes
    if len(pads) != 2 * len(axes) or any(not 0 <= p < 1 << 20 for p in pads) or not isfinite(value):
        ctx.fail(f"pads {pads[:16]} with {value}; EdgeBit supports finite, non-negative padding")
    before, after = [0] * rank, [0] * rank
    for i, axis in enumerate(axes):
        before[axis], after[axis] = pads[i], pads[len(axes) + i]
    if not any(pads):
        return [x]
    whole = ctx.tensor(x).dtype != DType.F32
    fill_value: int | float = round(value) - (128 if x.unsigned else 0) if whole else value
    attrs: dict[str, Any] = {"pads": (*before, *after), "value": fill_value}
    return [Act(ctx.one("pad", [x], attrs).name, x.unsigned)]


@converts("ArgMax")
def _argmax(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    x = ctx.act(ins[0])
    rank = len(ctx.shape(x))
    axis = int(node.attrs.get("axis", 0))
    if node.attrs.get("select_last_index", 0):
        ctx.fail("select_last_index is not supported")
    if not -rank <= axis < rank:
        ctx.fail(f"axis {axis} for a tensor of rank {rank}")
    axis %= rank
    keep = bool(node.attrs.get("keepdims", 1))
    if axis == rank - 1:
        return [ctx.one("argmax", [x], {"keepdims": keep})]
    perm = [i for i in range(rank) if i != axis] + [axis]
    y = ctx.one("argmax", [ctx.transpose(x, perm, "last")], {"keepdims": False}, final=not keep)
    if not keep:
        return [y]
    return [ctx.reshape(y, [1 if i == axis else d for i, d in enumerate(ctx.shape(x))], "shape", final=True)]
