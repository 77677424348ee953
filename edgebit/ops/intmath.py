"""Integer parameters of the s8 forms of add, mul, avg_pool2d and lut, from the tensors' quantisation.

Each `make_*` returns the whole attrs of the node's s8 form (out_quant included). Results are within 1 LSB of
the float formula rounded to the output's grid; ratios of scales too large for int32 raise ModelError.
"""

from __future__ import annotations

from collections.abc import Callable
from math import floor, frexp
from typing import Any

import numpy as np

from edgebit.errors import ModelError
from edgebit.ir.graph import Array, F32Array, Quant
from edgebit.ops import floatmath

FloatFn = Callable[[F32Array], Array]


def _round(v: float) -> int:
    """Half up, on values that are exact in binary64."""
    return floor(v + 0.5)


def _half(shift: int) -> int:
    return (1 << shift) >> 1


def _ratio(a: float, b: float) -> float:
    if not (0 < a < float("inf") and 0 < b < float("inf")):
        raise ModelError(f"scales must be positive and finite, they are {a!r} and {b!r}")
    return a / b


def clamp_range(out: Quant, lo: float = float("-inf"), hi: float = float("inf")) -> tuple[int, int]:
    """(qmin, qmax) of a float clamp lo..hi folded into int8 with `out`'s quantisation; relu is lo = 0."""
    if lo > hi:
        raise ModelError(f"a clamp has lo {lo} above hi {hi}")
    ends = np.array([lo, hi], np.float32)
    q = floatmath.quantize(ends, out.scale, out.zero_point)
    return int(q[0]), int(q[1])


def make_add_params(
    a: Quant, b: Quant, out: Quant, lo: float = float("-inf"), hi: float = float("inf")
) -> dict[str, Any]:
    """attrs of the s8 add: clamp((ma * a + mb * b + add) >> shift, qmin, qmax)."""
    ra, rb = _ratio(a.scale, out.scale), _ratio(b.scale, out.scale)
    # The larger multiplier gets 20 bits, and the sum must stay inside int32 for every input.
    for shift in range(min(30, 20 - frexp(max(ra, rb))[1]), -1, -1):
        ma, mb = _round(ra * 2.0**shift), _round(rb * 2.0**shift)
        if max(ma, mb) > 1 << 20:
            continue
        add = (out.zero_point << shift) - ma * a.zero_point - mb * b.zero_point + _half(shift)
        if 128 * (ma + mb) + abs(add) < 2**31:
            qmin, qmax = clamp_range(out, lo, hi)
            return {
                "out_quant": out,
                "ma": ma,
                "mb": mb,
                "add": add,
                "shift": shift,
                "qmin": qmin,
                "qmax": qmax,
            }
    raise ModelError(f"cannot add int8 tensors of scales {a.scale} and {b.scale} into scale {out.scale}")


def make_mul_params(
    a: Quant, b: Quant, out: Quant, lo: float = float("-inf"), hi: float = float("inf")
) -> dict[str, Any]:
    """attrs of the s8 mul: clamp(((a - za) * (b - zb) * m + add) >> shift, qmin, qmax)."""
    ratio = _ratio(a.scale * b.scale, out.scale)
    reach = 1
    for q in (a, b):
        reach *= max(127 - q.zero_point, q.zero_point + 128)
    for shift in range(min(30, 14 - frexp(ratio)[1]), -1, -1):
        m = _round(ratio * 2.0**shift)
        add = (out.zero_point << shift) + _half(shift)
        if m < 1 << 14 and reach * m + abs(add) < 2**31:
            qmin, qmax = clamp_range(out, lo, hi)
            return {
                "out_quant": out,
                "za": a.zero_point,
                "zb": b.zero_point,
                "m": m,
                "add": add,
                "shift": shift,
                "qmin": qmin,
                "qmax": qmax,
            }
    raise ModelError(f"cannot multiply int8 tensors of scales {a.scale} and {b.scale} into {out.scale}")


def make_avg_params(
    x: Quant, out: Quant, max_count: int, lo: float = float("-inf"), hi: float = float("inf")
) -> dict[str, Any]:
    """attrs of the s8 avg_pool2d: clamp(((sum - zp_in * valid) * mul[count - 1] + add) >> shift, qmin, qmax).

    max_count is the kernel's number of elements; mul has that many entries.
    """
    ratio = _ratio(x.scale, out.scale)
    reach = max(127 - x.zero_point, x.zero_point + 128)
    for shift in range(30, -1, -1):
        mul = [_round(ratio * 2.0**shift / c) for c in range(1, max_count + 1)]
        add = (out.zero_point << shift) + _half(shift)
        worst = max(reach * c * m for c, m in enumerate(mul, 1))
        if mul[0] < 2**31 and worst + abs(add) < 2**31:
            qmin, qmax = clamp_range(out, lo, hi)
            return {
                "out_quant": out,
                "mul": np.array(mul, np.int32),
                "add": add,
                "shift": shift,
                "zp_in": x.zero_point,
                "qmin": qmin,
                "qmax": qmax,
            }
    raise ModelError(f"cannot average int8 tensors of scale {x.scale} into scale {out.scale}")


def make_lut(fn: FloatFn, x: Quant, out: Quant) -> dict[str, Any]:
    """attrs of the s8 lut of a float function: quantize(fn(dequantize(q))) for every int8 q.

    fn takes and gives float32 arrays; use those of floatmath so that every machine builds the same table.
    """
    q = np.arange(-128, 128).astype(np.int8)
    y = np.asarray(fn(floatmath.dequantize(q, x.scale, x.zero_point)), np.float32)
    return {"out_quant": out, "table": floatmath.quantize(y, out.scale, out.zero_point)}
