"""avg_pool2d: the mean under a sliding window."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgebit.ir.graph import Array, Const, DType, Graph, Node, Tensor
from edgebit.ops.base import CConst, KernelChoice, Lowered, Op, Sample
from edgebit.ops.intmath import make_avg_params
from edgebit.ops.pool import Window, random_window, window_of
from edgebit.ops.support import (
    INT32_MAX,
    array,
    bad,
    c_int,
    call,
    check_quant,
    flag,
    int8_bounds,
    integer,
    out_quant,
    output,
    random_f32,
    random_quant,
    random_s8,
    sample,
)


class AvgPool2dOp(Op):
    """count = valid taps, or the kernel's size when count_include_pad.

    f32: the valid taps added in order of (kh, kw) from +0.0, then divided by float(count).
    s8: q = clamp(((sum - zp_in * valid) * mul[count - 1] + add) >> shift, qmin, qmax).
    x (N, H, W, C) -> (N, OH, OW, C). attrs kernel (2,), strides (2,), pads (top, left, bottom, right),
    count_include_pad; for s8 also out_quant, mul (int32, one per count from 1), add, shift 0..30, zp_in,
    qmin, qmax.
    """

    name = "avg_pool2d"

    def infer(self, node: Node, graph: Graph) -> list[Tensor]:
        x, g = window_of(node, graph)
        if g.dilations != (1, 1):
            raise bad(node, "dilations are not supported")
        if g.count > 2**23:
            raise bad(node, f"a window of {g.count} elements is larger than 2^23")
        flag(node, "count_include_pad", False)
        if x.dtype is DType.F32:
            return [output(node, g.shape, DType.F32)]
        check_quant(node, x.quant, "the input")
        self._ints(node, g)
        return [output(node, g.shape, DType.S8, out_quant(node))]

    def _divisors(self, node: Node, g: Window) -> Array:
        """The divisor of each output pixel, (out_h, out_w)."""
        valid = g.counts()
        return np.full_like(valid, g.count) if flag(node, "count_include_pad", False) else valid

    def _ints(self, node: Node, g: Window) -> tuple[Array, dict[str, int]]:
        """mul and the scalars, checked so that no int32 step can overflow."""
        mul = node.attrs.get("mul")
        if not isinstance(mul, np.ndarray) or mul.dtype != np.int32 or mul.ndim != 1:
            raise bad(node, "attribute 'mul' must be an int32 array of one dimension")
        divisors = self._divisors(node, g)
        if mul.size < divisors.max():
            raise bad(node, f"attribute 'mul' has {mul.size} elements, counts go up to {divisors.max()}")
        v = {"add": integer(node, "add", -(2**31), 2**31 - 1), "shift": integer(node, "shift", 0, 30)}
        v["zp_in"] = z = integer(node, "zp_in", -128, 127)
        v["qmin"], v["qmax"] = int8_bounds(node)
        reach = g.counts() * max(127 - z, z + 128)
        worst = int((reach * np.abs(mul.astype(np.int64)[divisors - 1])).max()) + abs(v["add"])
        if worst > INT32_MAX:
            raise bad(node, f"the integer parameters could overflow int32 (up to {worst})")
        return mul, v

    def run(self, node: Node, graph: Graph, args: list[Array | Const | None]) -> list[Array]:
        x, g = window_of(node, graph)
        f32 = x.dtype is DType.F32
        total = np.zeros(g.shape, np.float32 if f32 else np.int64)
        with np.errstate(all="ignore"):
            for (rows, cols), v in g.taps(array(args[0])):
                total[:, rows, cols] += v
            divisors = self._divisors(node, g)[None, :, :, None]
            if f32:
                return [total / divisors.astype(np.float32)]
        mul, p = self._ints(node, g)
        centred = total - p["zp_in"] * g.counts()[None, :, :, None]
        q = (centred * mul.astype(np.int64)[divisors - 1] + p["add"]) >> p["shift"]
        return [np.clip(q, p["qmin"], p["qmax"]).astype(np.int8)]

    def families(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (f"avg_pool2d_{graph.tensors[node.inputs[0]].dtype.value}",)

    def lower(self, node: Node, graph: Graph, choice: KernelChoice | None) -> Lowered:
        x, g = window_of(node, graph)
        family = self.families(node, graph)[0]
        # fixed_count 0: divide by the number of valid taps
        fixed = g.count if flag(node, "count_include_pad", False) else 0
        fields = {"window": g.c_shape(), "fixed_count": c_int(fixed)}
        if x.dtype is DType.F32:
            return call(family, choice, fields)
        mul, v = self._ints(node, g)
        divisors = self._divisors(node, g)
        first, last = int(divisors.min()), int(divisors.max())
        fields |= {k: c_int(n) for k, n in v.items()} | {"first_count": c_int(first)}
        table = CConst("mul", "int32_t", mul[first - 1 : last].astype("<i4").tobytes())
        return call(family, choice, fields, consts=(table,))

    def overlap(self, node: Node, graph: Graph) -> list[int | None]:
        x, g = window_of(node, graph)
        return [g.overlap(x.dtype.bytes)]

    def work(self, node: Node, graph: Graph) -> dict[str, float]:
        x, g = window_of(node, graph)
        n = float(graph.tensors[node.outputs[0]].elements)
        taps = n * g.count
        flops = {"flop": taps + n} if x.dtype is DType.F32 else {}
        return {"element": taps + n, **flops} | g.work() | g.steps()

    def kernel_work(self, node: Node, graph: Graph, choice: KernelChoice) -> dict[str, float] | None:
        """What kernels written for an instruction set do, which take four channels at once, or eight in vectors."""
        x, g = window_of(node, graph)
        if choice.stem.endswith("__neon"):
            return g.eight_work()
        return None if x.dtype is DType.F32 or choice.stem.endswith("__ref") else g.word_work(pairs=False)

    def samples(self, rng: np.random.Generator) -> Sample | None:
        shape, window = random_window(rng, dilate=False)
        attrs: dict[str, Any] = {**window, "count_include_pad": bool(rng.random() < 0.5)}
        if rng.random() < 0.5:
            return sample(self.name, [(random_f32(rng, shape, wild=True), None)], attrs)
        q_in, q_out = random_quant(rng), random_quant(rng)
        attrs |= make_avg_params(q_in, q_out, window["kernel"][0] * window["kernel"][1])
        return sample(self.name, [(random_s8(rng, shape), q_in)], attrs)
