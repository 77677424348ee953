"""QuantizeLinear and DequantizeLinear on activations: static int8, per tensor."""

from __future__ import annotations

import numpy as np

from edgebit.importers._onnx_context import Act, Context, Value, converts
from edgebit.importers._onnx_fold_shape import optional
from edgebit.importers._onnx_read import SourceNode
from edgebit.importers._onnx_tensor import INT8, UINT8, Const, type_name
from edgebit.ir.graph import DType, Quant


def _params(ctx: Context, node: SourceNode, ins: list[Value | None]) -> tuple[float, int, int | None]:
    """Scale, zero point as the source has it, and the zero point's element type if there is one."""
    scale = ctx.const(optional(ins, 1), "its scale")
    zero = optional(ins, 2)
    if scale.array.size != 1 or (isinstance(zero, Const) and zero.array.size != 1):
        ctx.fail("quantises an activation with a scale per channel; EdgeBit supports one scale per tensor")
    s = float(np.float32(scale.array.reshape(())))
    if not (s > 0 and np.isfinite(s)):
        ctx.fail(f"its scale is {s}; it must be positive")
    if zero is None:
        return s, 0, None
    z = ctx.const(zero, "its zero point")
    return s, int(z.array.reshape(())), z.elem


@converts("QuantizeLinear")
def _quantize(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    x = ctx.floats(ins[0])
    scale, zero, elem = _params(ctx, node, ins)
    elem = elem or int(node.attrs.get("output_dtype", 0)) or UINT8
    if elem not in (INT8, UINT8):
        ctx.fail(f"quantises an activation to {type_name(elem)}; EdgeBit supports INT8 and UINT8")
    unsigned = elem == UINT8
    quant = Quant(scale, zero - (128 if unsigned else 0))
    y = ctx.one("quantize", [x], {"out_quant": quant, "qmin": -128, "qmax": 127})
    return [Act(y.name, unsigned)]


@converts("DequantizeLinear")
def _dequantize(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    x = ctx.act(ins[0])
    t = ctx.tensor(x)
    if t.dtype != DType.S8:
        ctx.fail(f"dequantises an activation of type {t.dtype.value}; EdgeBit supports INT8 and UINT8")
    scale, zero, elem = _params(ctx, node, ins)
    if elem is not None and (elem == UINT8) != x.unsigned:
        ctx.fail(f"its zero point is {type_name(elem)}, unlike its input")
    quant = Quant(scale, zero - (128 if x.unsigned else 0))
    if t.quant is None:
        t.quant = quant
    if t.quant != quant:
        ctx.fail(
            f"dequantises with scale {scale} and zero point {zero} what was quantised with scale "
            f"{t.quant.scale} and zero point {t.quant.zero_point + (128 if x.unsigned else 0)}"
        )
    return [ctx.one("dequantize", [x])]
