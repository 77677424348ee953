"""Conv, Gemm and MatMul to conv2d, dense and dense_groups, with weights in the strongest form the values allow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from edgebit.importers._onnx_context import Act, Context, Dyn, Value, converts
from edgebit.importers._onnx_fold_shape import optional
from edgebit.importers._onnx_groups import find_groups
from edgebit.importers._onnx_patterns import NO_EPS, per_image, per_row
from edgebit.importers._onnx_read import SourceNode
from edgebit.importers._onnx_tensor import Const
from edgebit.importers._onnx_ternary import find_ternary, from_levels
from edgebit.importers._onnx_window import conv_window
from edgebit.ir.graph import Affine, Array, F32Array, GroupTernaryWeights, Int8Weights, TernaryWeights
from edgebit.ir.graph import Const as IrConst

Arrange = Callable[[Array], Array]


def weights_of(ctx: Context, c: Const, arrange: Arrange, alpha: float = 1.0) -> IrConst:
    """A weight constant in canonical order, output channel first, as ternary, int8 or float.

    arrange moves the source's elements into that order; alpha multiplies the weights. Matrices may have ternary
    weights with a scale for each group of inputs.
    """
    if c.array.dtype.kind != "f":
        ctx.fail(f"weights of type {c.array.dtype} are not supported; add a DequantizeLinear")
    w = np.ascontiguousarray(arrange(c.array).astype(np.float32) * np.float32(alpha))
    if not np.isfinite(w).all():
        ctx.fail("its weights are not finite (NaN or infinity)")
    if c.levels is not None:
        stored = _stored(c, arrange, alpha)
        if stored is not None:
            return stored
        if w.ndim == 2 and c.levels.q.size and np.abs(c.levels.q.astype(np.int16)).max() == 1:
            blocks = find_groups(w, stored=True)
            if blocks is not None:
                return blocks
    found = find_ternary(w.reshape(len(w), -1), c.half)
    if found is not None:
        return TernaryWeights(found[0].reshape(w.shape), found[1])
    groups = find_groups(w, c.half) if w.ndim == 2 else None
    return w if groups is None else groups


def _stored(c: Const, arrange: Arrange, alpha: float) -> TernaryWeights | Int8Weights | None:
    """Weights from a dequantised constant, when its scale is per output channel."""
    assert c.levels is not None
    q = np.ascontiguousarray(arrange(c.levels.q))
    scale = arrange(np.broadcast_to(c.levels.scale, c.levels.q.shape)).reshape(len(q), -1)
    if not np.array_equal(scale, np.broadcast_to(scale[:, :1], scale.shape)):
        return None
    made = from_levels(q.reshape(len(q), -1), scale[:, 0] * np.float32(alpha))
    if isinstance(made, TernaryWeights):
        return TernaryWeights(made.trits.reshape(q.shape), made.scale)
    if isinstance(made, Int8Weights):
        return Int8Weights(made.q.reshape(q.shape), made.scale)
    return None


def _add_weights(ctx: Context, v: Value | None, key: str, arrange: Arrange, alpha: float = 1.0) -> str:
    """The name of the graph's constant for a weight, made once for all nodes that use it the same way."""
    c = ctx.const(v, "its weight")
    cache = (id(c), key, alpha)
    if cache not in ctx.cache:
        node = ctx.node
        stem = c.name or (node.name + ".weight" if node else "weight")
        ctx.cache[cache] = (ctx.add_const(stem, weights_of(ctx, c, arrange, alpha)), c)
    name: str = ctx.cache[cache][0]
    return name


def bias_of(ctx: Context, v: Value | None, channels: int, factor: float = 1.0) -> F32Array | None:
    """A bias as one float per output channel; None when absent."""
    if v is None:
        return None
    c = ctx.const(v, "its bias")
    shape = c.shape
    if c.array.size not in (1, channels) or (shape and c.array.size != 1 and shape[-1] != channels):
        ctx.fail(f"its bias of shape {list(shape)} does not hold one value per output channel ({channels})")
    b = (c.array.astype(np.float32) * np.float32(factor)).reshape(-1)
    if not np.isfinite(b).all():
        ctx.fail("its bias is not finite (NaN or infinity)")
    return np.ascontiguousarray(np.broadcast_to(b, (channels,)))


def _epilogue(ctx: Context, weight: str, bias: F32Array | None) -> Affine:
    w = ctx.graph.consts[weight]
    if isinstance(w, GroupTernaryWeights) or not isinstance(w, (TernaryWeights, Int8Weights)):
        return Affine(bias=bias)
    return Affine(scale=w.scale.copy(), bias=bias)


def _quantised(ctx: Context, d: Dyn, x: Act, weight: str, per: str) -> list[Act | str]:
    """The inputs [x, w, d] of a linear node over a dynamically quantised activation."""
    if not isinstance(ctx.graph.consts[weight], (TernaryWeights, Int8Weights)):
        ctx.fail(
            "its activations are quantised to int8, but its weights are neither ternary nor int8; "
            "quantise the weights too, or remove the activation quantisation of this layer"
        )
    attrs: dict[str, Any] = {
        "per": per,
        "form": d.form,
        "eps": max(d.eps, NO_EPS),
        "qmin": d.qmin,
        "qmax": d.qmax,
    }
    key = ("dynamic_quantize", x.name, *attrs.values())
    if key not in ctx.cache:
        ctx.cache[key] = ctx.emit("dynamic_quantize", [x], attrs, note="quantize", outputs=2)
    xq, scale = ctx.cache[key]
    return [xq, weight, scale]


def product(ctx: Context, v: Value | None, weight: str, bias: F32Array | None) -> Value:
    """v (..., K) times weights (N, K): (..., N). Integers that were not yet divided by their scale give a
    product that waits for that division."""
    if not isinstance(v, Dyn) or v.stage != "round" or not v.rounded or bias is not None:
        return dense(ctx, v, weight, bias)
    y = dense(ctx, replace(v, stage="fake", shape=ctx.graph.tensors[v.x].shape), weight, None, final=False)
    return replace(v, stage="product", shape=ctx.shape(y), product=y.name)


def dense(ctx: Context, v: Value | None, weight: str, bias: F32Array | None, final: bool = True) -> Act:
    """v (..., K) times weights (N, K): (..., N); final: this is the source node's output."""
    n, k = ctx.graph.consts[weight].shape
    source = v
    x = Act(v.x) if isinstance(v, Dyn) and v.stage == "fake" else ctx.floats(v)
    shape = ctx.shape(x)
    if shape[-1:] != (k,):
        ctx.fail(f"multiplies {list(shape)} by weights of {k} inputs")
    rows = prod(shape[:-1])
    inputs: list[Act | str]
    if isinstance(source, Dyn):
        flat = len(shape) == 2
        if not per_row(source, shape) and not (flat and per_image(source, shape)):
            ctx.fail(
                f"its activations are quantised over axes {sorted(source.axes)} of {list(shape)}; "
                "EdgeBit supports one scale per row (the last axis) before a matrix product"
            )
        inputs = _quantised(ctx, source, _rows(ctx, x, rows, k), weight, "row")
    else:
        inputs = [_rows(ctx, x, rows, k), weight]
    out_shape = (*shape[:-1], n)
    attrs = {"epilogue": _epilogue(ctx, weight, bias)}
    op = "dense_groups" if isinstance(ctx.graph.consts[weight], GroupTernaryWeights) else "dense"
    if len(shape) == 2:
        return ctx.one(op, inputs, attrs, final=final)
    y = ctx.one(op, inputs, attrs, final=False)
    return ctx.reshape(y, out_shape, "shape", final=final)


def _rows(ctx: Context, x: Act, rows: int, k: int) -> Act:
    key = ("rows", x.name)
    if key not in ctx.cache:
        ctx.cache[key] = ctx.reshape(x, (rows, k), "matrix")
    made: Act = ctx.cache[key]
    return made


@converts("Gemm")
def _gemm(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    a, b, c = ins[0], ins[1], optional(ins, 2)
    alpha, beta = float(node.attrs.get("alpha", 1.0)), float(node.attrs.get("beta", 1.0))
    w = ctx.const(b, "its second matrix")
    if w.array.ndim != 2:
        ctx.fail(f"weights of shape {list(w.shape)}")
    if node.attrs.get("transA", 0):
        a = ctx.transpose(ctx.floats(a), (1, 0), "t")
    if a is not None and len(ctx.shape(a)) != 2:
        ctx.fail(f"its first matrix has rank {len(ctx.shape(a))}")
    swap = not node.attrs.get("transB", 0)
    weight = _add_weights(ctx, b, f"dense{swap}", (lambda t: t.T) if swap else (lambda t: t), alpha)
    return [product(ctx, a, weight, bias_of(ctx, c, ctx.graph.consts[weight].shape[0], beta))]


@converts("MatMul")
def _matmul(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    a, b = ins[0], ins[1]
    if isinstance(a, Const):
        if a.array.ndim != 2 or b is None or len(ctx.shape(b)) != 2:
            ctx.fail("a constant first matrix is supported for two matrices only")
        x = ctx.transpose(ctx.floats(b), (1, 0), "t")
        y = dense(ctx, x, _add_weights(ctx, a, "denseFalse", lambda t: t), None, final=False)
        return [ctx.transpose(y, (1, 0), "back", final=True)]
    if not isinstance(b, Const):
        ctx.fail("multiplies two activations; EdgeBit supports products with constant weights")
    shape = b.shape
    if len(shape) < 2 or prod(shape[:-2]) != 1:
        ctx.fail(f"weights of shape {list(shape)}; a matrix (inputs, outputs) is expected")
    weight = _add_weights(ctx, b, "denseTrue", lambda t: t.reshape(t.shape[-2:]).T)
    if a is not None and len(ctx.shape(a)) < max(2, len(shape)):
        ctx.fail(f"multiplies a tensor of rank {len(ctx.shape(a))} by weights of rank {len(shape)}")
    return [product(ctx, a, weight, None)]


@converts("Conv")
def _conv(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    v = ins[0]
    x = Act(v.x) if isinstance(v, Dyn) and v.stage == "fake" else ctx.floats(v)
    shape = ctx.shape(x)
    w = ctx.const(optional(ins, 1), "its weight")
    if len(shape) not in (3, 4) or w.array.ndim != len(shape):
        ctx.fail(f"convolves {list(shape)} with {list(w.shape)}; EdgeBit supports 1-D and 2-D convolutions")
    groups = int(node.attrs.get("group", 1))
    oc, ic = w.shape[:2]
    if groups < 1 or ic * groups != shape[1] or oc % groups:
        ctx.fail(f"{groups} groups of {ic} inputs for {shape[1]} channels and {oc} outputs")
    if list(node.attrs.get("kernel_shape", w.shape[2:])) != list(w.shape[2:]):
        ctx.fail(f"kernel_shape {node.attrs['kernel_shape']} contradicts its weights {list(w.shape)}")
    window = conv_window(ctx, node, shape[2:], w.shape[2:])
    weight = _add_weights(ctx, w, f"conv{len(shape)}", _conv_order)
    if isinstance(v, Dyn) and not per_image(v, shape):
        ctx.fail(
            f"its activations are quantised over axes {sorted(v.axes)} of {list(shape)}; "
            "EdgeBit supports one scale per image before a convolution"
        )
    nhwc = to_nhwc(ctx, x)
    inputs: list[Act | str] = [nhwc, weight]
    if isinstance(v, Dyn):
        inputs = _quantised(ctx, v, nhwc, weight, "image")
    attrs = {
        "epilogue": _epilogue(ctx, weight, bias_of(ctx, optional(ins, 2), oc)),
        "strides": window.strides,
        "pads": window.pads,
        "dilations": window.dilations,
        "groups": groups,
    }
    y = ctx.one("conv2d", inputs, attrs, final=False)
    return [from_nhwc(ctx, y, len(shape))]


def _conv_order(w: Array) -> Array:
    """(OC, IC, KH, KW) or (OC, IC, K) to (OC, KH, KW, IC)."""
    w = w[:, :, None, :] if w.ndim == 3 else w
    return w.transpose(0, 2, 3, 1)


def to_nhwc(ctx: Context, x: Act) -> Act:
    """(N, C, H, W) or (N, C, L) to channels-last (N, H, W, C) or (N, 1, L, C); once per tensor."""
    key = ("nhwc", x.name)
    if key not in ctx.cache:
        shape = ctx.shape(x)
        if len(shape) == 4:
            ctx.cache[key] = ctx.transpose(x, (0, 2, 3, 1), "nhwc")
        else:
            y = ctx.transpose(x, (0, 2, 1), "nlc")
            ctx.cache[key] = ctx.reshape(y, (shape[0], 1, shape[2], shape[1]), "nhwc")
    made: Act = ctx.cache[key]
    return made


def from_nhwc(ctx: Context, y: Act, rank: int) -> Act:
    """Channels-last back to (N, C, H, W) or, for rank 3, (N, C, L), as the source node's output."""
    n, h, w, c = ctx.shape(y)
    if rank == 4:
        return ctx.transpose(y, (0, 3, 1, 2), "nchw", final=True)
    return ctx.transpose(ctx.reshape(y, (n, h * w, c), "nlc.out"), (0, 2, 1), "ncl", final=True)
