"""max_pool2d: the largest value under a sliding window."""

from __future__ import annotations

import numpy as np

from edgebit.ir.graph import Array, Const, DType, Graph, Node, Tensor
from edgebit.ops.base import KernelChoice, Lowered, Op, Sample
from edgebit.ops.pool import random_window, window_of
from edgebit.ops.support import array, call, output, random_f32, random_quant, random_s8, sample


class MaxPool2dOp(Op):
    """m = first valid tap, then `v > m ? v : m` in order of (kh, kw); padding never wins.

    x (N, H, W, C) f32 or s8 -> (N, OH, OW, C) of the same type and quantisation.
    attrs kernel (2,), strides (2,), pads (top, left, bottom, right), dilations (2,).
    """

    name = "max_pool2d"

    def infer(self, node: Node, graph: Graph) -> list[Tensor]:
        x, g = window_of(node, graph)
        return [output(node, g.shape, x.dtype, x.quant)]

    def run(self, node: Node, graph: Graph, args: list[Array | Const | None]) -> list[Array]:
        _, g = window_of(node, graph)
        y = np.zeros(g.shape, array(args[0]).dtype)
        seen = np.zeros(g.out, bool)
        for (rows, cols), v in g.taps(array(args[0])):
            m = y[:, rows, cols]
            new = ~seen[rows, cols][None, :, :, None]
            y[:, rows, cols] = np.where(new | (v > m), v, m)
            seen[rows, cols] = True
        return [y]

    def families(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (f"max_pool2d_{graph.tensors[node.inputs[0]].dtype.value}",)

    def lower(self, node: Node, graph: Graph, choice: KernelChoice | None) -> Lowered:
        _, g = window_of(node, graph)
        return call(self.families(node, graph)[0], choice, {"window": g.c_shape()})

    def overlap(self, node: Node, graph: Graph) -> list[int | None]:
        x, g = window_of(node, graph)
        return [g.overlap(x.dtype.bytes)]

    def work(self, node: Node, graph: Graph) -> dict[str, float]:
        x, g = window_of(node, graph)
        n = float(graph.tensors[node.outputs[0]].elements * g.count)
        return {"element": n, **({"flop": n} if x.dtype is DType.F32 else {})} | g.work() | g.steps()

    def kernel_work(self, node: Node, graph: Graph, choice: KernelChoice) -> dict[str, float] | None:
        """What kernels written for an instruction set do, which take four channels at once, or sixteen."""
        x, g = window_of(node, graph)
        if x.dtype is DType.F32 or choice.stem.endswith("__ref"):
            return None
        return g.sixteen_work() if choice.stem.endswith("__neon") else g.word_work(pairs=True)

    def samples(self, rng: np.random.Generator) -> Sample | None:
        shape, attrs = random_window(rng, dilate=True)
        if rng.random() < 0.5:
            return sample(self.name, [(random_s8(rng, shape), random_quant(rng))], dict(attrs))
        return sample(self.name, [(random_f32(rng, shape, wild=True, infinite=True), None)], dict(attrs))
