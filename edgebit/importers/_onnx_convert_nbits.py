"""com.microsoft.MatMulNBits: onnxruntime's product with weights of 2, 4 or 8 bits, a scale for each block of inputs.

A weight is (code - zero point) * scale. Blocks whose weights are 0 and plus or minus one magnitude are ternary;
EdgeBit has no kernel for others, and refuses them.

accuracy_level is how coarse onnxruntime's inner computation may be, not what the model means: at 4 it may round
activations to int8 in each block, and does for some block sizes, zero points and processors only. So activations
stay float here, which every level allows; `--activations int8-dynamic` rounds them by choice.
"""

from __future__ import annotations

import numpy as np

from edgebit.importers._onnx_context import Context, Value, converts
from edgebit.importers._onnx_convert_linear import bias_of, product
from edgebit.importers._onnx_fold_shape import optional
from edgebit.importers._onnx_groups import MOST, group_weights
from edgebit.importers._onnx_read import SourceNode
from edgebit.importers._onnx_tensor import (
    FLOAT,
    FLOAT16,
    INT32,
    MAX_ELEMENTS,
    UINT8,
    Const,
    type_name,
    unpack_bits,
)
from edgebit.ir.graph import Array, F32Array, TernaryWeights

BITS = (2, 4, 8)


@converts("com.microsoft.MatMulNBits")
def _matmul_nbits(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    weight = _weight(ctx, node, ins)
    outs = ctx.graph.consts[weight].shape[0]
    bias = optional(ins, 5)
    if bias is not None and ctx.shape(bias) != (outs,):
        ctx.fail(f"its bias has shape {list(ctx.shape(bias))}, where [{outs}] is expected")
    return [product(ctx, ins[0], weight, bias_of(ctx, bias, outs))]


def _weight(ctx: Context, node: SourceNode, ins: list[Value | None]) -> str:
    """The name of the graph's constant for the node's weights, made once for nodes that share them."""
    k, n, bits, block = _sizes(ctx, node)
    blocks = -(-k // block)
    b, s = ctx.const(ins[1], "its weight B"), ctx.const(optional(ins, 2), "its input scales")
    z, order = optional(ins, 3), optional(ins, 4)
    zero = None if z is None else ctx.const(z, "its input zero_points")
    if order is not None:
        _check_order(ctx, ctx.const(order, "its input g_idx"), k, block)
    _check_input(ctx, b, "weight B", (UINT8,), (n, blocks, block * bits // 8))
    _check_input(ctx, s, "input scales", (FLOAT, FLOAT16), (n, blocks), (n * blocks,))
    if zero is not None and zero.elem == UINT8:
        wide = (blocks * bits + 7) // 8
        _check_input(ctx, zero, "input zero_points", (UINT8,), (n, wide), (n * wide,))
    elif zero is not None:
        _check_input(ctx, zero, "input zero_points", (s.elem,), (n, blocks), (n * blocks,))
    key = ("nbits", id(b), id(s), id(zero), bits, block, k)
    if key not in ctx.cache:
        made = _ternary(ctx, b, s.array.reshape(n, blocks).astype(np.float32), zero, bits, block, k)
        ctx.cache[key] = (ctx.add_const(b.name or f"{node.name}.weight", made), b, s, zero)
    name: str = ctx.cache[key][0]
    return name


def _sizes(ctx: Context, node: SourceNode) -> tuple[int, int, int, int]:
    """K, N, bits and block_size, checked."""
    found: list[int] = []
    for key, default in (("K", None), ("N", None), ("bits", 4), ("block_size", None)):
        v = node.attrs.get(key, default)
        if not isinstance(v, int):
            ctx.fail(f"its attribute {key} is {'missing' if v is None else 'not an integer'}")
        found.append(v)
    k, n, bits, block = found
    if bits not in BITS:
        ctx.fail(f"has weights of {bits} bits; onnxruntime and EdgeBit know 2, 4 and 8")
    if not 16 <= block <= MOST or block & (block - 1):
        ctx.fail(f"has blocks of {block}; a power of two from 16 to {MOST} is expected")
    if k < 1 or n < 1 or n * -(-k // block) * block > MAX_ELEMENTS:
        ctx.fail(f"multiplies by a matrix of {n} x {k}, which is not supported")
    if node.attrs.get("weight_prepacked", 0):
        ctx.fail("its weights are packed for one processor (weight_prepacked); export them as they are")
    if node.attrs.get("accuracy_level", 0) not in range(5):
        ctx.fail(f"has the accuracy_level {node.attrs['accuracy_level']}; 0 to 4 are known")
    return k, n, bits, block


def _check_input(
    ctx: Context,
    c: Const,
    what: str,
    elems: tuple[int, ...],
    shape: tuple[int, ...],
    *others: tuple[int, ...],
) -> None:
    if c.elem not in elems:
        want = " or ".join(type_name(e) for e in elems)
        ctx.fail(f"its {what} is {type_name(c.elem)}, where {want} is expected")
    if c.shape not in (shape, *others):
        ctx.fail(f"its {what} has shape {list(c.shape)}, where its attributes ask for {list(shape)}")


def _check_order(ctx: Context, c: Const, k: int, block: int) -> None:
    """Refuse inputs that are spread over blocks in another order than their own."""
    plain = np.arange(-(-k // block) * block) // block
    if c.elem != INT32 or c.shape not in ((k,), plain.shape) or (c.array[:k] != plain[:k]).any():
        ctx.fail(
            "its inputs are put into blocks by g_idx, which is not supported; "
            "quantise without activation order (act_order or desc_act off)"
        )


def _ternary(
    ctx: Context, b: Const, scale: F32Array, zero: Const | None, bits: int, block: int, k: int
) -> TernaryWeights:
    """The weights (N, K) of packed codes, which must be ternary in every block. scale: (N, blocks)."""
    n, blocks = scale.shape
    if not (np.isfinite(scale).all() and (zero is None or np.isfinite(zero.array.astype(np.float32)).all())):
        ctx.fail("its scales or zero points are not finite (NaN or infinity)")
    codes = unpack_bits(b.array.reshape(-1), b.array.size * 8 // bits, bits, False).reshape(n, blocks, block)
    levels = codes.astype(np.int16) - (1 << (bits - 1)) if zero is None else codes - _zeros(zero, bits, scale)
    levels.reshape(n, -1)[:, k:] = 0
    mag = np.abs(levels).astype(np.float32)
    top = mag.max(axis=2)
    mag[mag == 0] = np.inf
    low = mag.min(axis=2)
    bad = np.argwhere((top > 0) & (top != low))
    if len(bad):
        _refuse(ctx, levels, int(bad[0][0]), int(bad[0][1]), block, len(bad))
    with np.errstate(over="ignore", under="ignore"):
        each = top * np.abs(scale)
    if not np.isfinite(each).all():
        ctx.fail("its weights are not finite (they overflow binary32)")
    trits = np.sign(levels).astype(np.int8) * (np.sign(scale) * (each > 0)).astype(np.int8)[:, :, None]
    flat = np.ascontiguousarray(trits.reshape(n, -1)[:, :k])
    made = group_weights(flat, each, np.where(each > 0, each, np.float32(np.inf)), block)
    assert made is not None  # each block has one scale
    return made


def _zeros(zero: Const, bits: int, scale: F32Array) -> Array:
    """Zero points (N, blocks, 1): as int16 out of packed codes, or as they are, in binary32."""
    n, blocks = scale.shape
    if zero.elem != UINT8:
        z = zero.array.astype(np.float32)
        return np.asarray(z.reshape(n, blocks, 1))
    packed = unpack_bits(zero.array.reshape(-1), zero.array.size * 8 // bits, bits, False)
    return np.asarray(packed.reshape(n, -1)[:, :blocks, None].astype(np.int16))


def _refuse(ctx: Context, levels: Array, row: int, at: int, block: int, count: int) -> None:
    found = np.unique(levels[row, at])
    shown = ", ".join(f"{v:g}" for v in found[:6].tolist()) + (" ..." if len(found) > 6 else "")
    ctx.fail(
        f"its weights are not ternary: in {count} of its blocks, the first one inputs {at * block} to "
        f"{(at + 1) * block - 1} of output {row}, codes minus zero point are {shown}, where 0 and plus or minus one "
        "number are expected; EdgeBit takes ternary weights from this operator, others as float or "
        "DequantizeLinear (QDQ)"
    )
