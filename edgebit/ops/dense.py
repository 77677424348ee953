"""dense: y[m, n] = epilogue(sum over k of x[m, k] * w[n, k]).

inputs: x (M, K) f32 or s8; w constant (N, K) f32, TernaryWeights or Int8Weights; for dynamic int8 also
d f32 (M,), the scale of each row. attrs: epilogue (Requant: s8 out, with out_quant; Affine: f32 out).
The scale that belongs to ternary or int8 weights is in the epilogue. See edgebit/ops/linear.py for the sums.
Layers of several rows may run on kernels of tmatmat_s8, which take some rows at a time, and layers that requantise
on kernels of tpoints_s8, which compute all of it.
"""

from __future__ import annotations

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, Const, DType, Graph, Node, Tensor
from edgebit.layouts.base import round_up
from edgebit.ops.base import KernelChoice, Lowered, Op, Sample
from edgebit.ops.linear import (
    Weights,
    Window,
    check_linear,
    epilogue_steps,
    finish,
    integer_sums,
    is_dynamic,
    lane_sums,
    overlap_distance,
    plain_weights,
    requant_work,
    weights_of,
)
from edgebit.ops.linear_c import assemble, family_of, pack
from edgebit.ops.linear_samples import linear_sample
from edgebit.ops.points_c import (
    POINTS_FAMILY,
    by_pixel,
    lower_points,
    point_families,
    point_work,
    takes_points,
)
from edgebit.ops.support import bad, c_ints, output

TOKENS_FAMILY = "tmatmat_s8"
TOKENS = 4  # rows of one product of that family: EB_DENSE_TOKENS, EB_TMATMAT_TOKENS


class Dense(Op):
    """A fully connected layer over rows."""

    name = "dense"

    def infer(self, node: Node, graph: Graph) -> list[Tensor]:
        w = weights_of(node, graph, 2)
        rows = graph.tensors[node.inputs[0]].shape[:1] if node.inputs[0] in graph.tensors else (0,)
        x, dtype, quant = check_linear(node, graph, w, rows[0] if rows else 0)
        if len(x.shape) != 2 or x.shape[1] != w.values.shape[1]:
            raise bad(node, f"an input of shape {x.shape} does not fit weights of shape {w.values.shape}")
        return [output(node, (x.shape[0], w.outs), dtype, quant)]

    def run(self, node: Node, graph: Graph, args: list[Array | Const | None]) -> list[Array]:
        x = args[0]
        if not isinstance(x, np.ndarray) or args[1] is None:
            raise EdgebitError(f"node {node.name!r} was run without its inputs")
        w = plain_weights(args[1]).values
        d = args[2] if is_dynamic(node) else None
        acc = lane_sums(x, w) if x.dtype == np.float32 else integer_sums(x, w)
        return [finish(node, acc, d[:, None] if isinstance(d, np.ndarray) else None)]

    def families(self, node: Node, graph: Graph) -> tuple[str, ...]:
        x, w = self._parts(node, graph)
        family = family_of(w, x.dtype.value, depthwise=False)
        tokens = (TOKENS_FAMILY,) if family == "tmatvec_s8" and x.shape[0] >= TOKENS else ()
        return (family, *tokens, *point_families(node, w, x.dtype.value, _window(x, w)))

    def takes(self, node: Node, graph: Graph, choice: KernelChoice) -> bool:
        if not _is_points(choice.stem):
            return True
        return by_pixel(choice) and takes_points(choice, _window(*self._parts(node, graph)))

    def lower(self, node: Node, graph: Graph, choice: KernelChoice | None) -> Lowered:
        x, w = self._parts(node, graph)
        rows, cols = x.shape
        if choice is not None and _is_points(choice.stem):
            return lower_points(node, w, _window(x, w), choice)
        families = self.families(node, graph)
        many = choice is not None and choice.stem.startswith(f"{TOKENS_FAMILY}__")
        packed = pack(node, w, TOKENS_FAMILY if many else families[0], choice, [w.values])
        lanes = 16 if x.dtype is DType.S8 else 8
        copy = cols % lanes != 0 and not (rows == 1 and x.dtype is DType.S8)
        together = TOKENS if many else 1
        acc_step = round_up(w.outs, packed.layout.row_multiple)
        copy_at = round_up(4 * acc_step * together, 16)
        kernel_at = copy_at + (round_up(cols, lanes) * x.dtype.bytes * together if copy else 0)
        own = packed.layout.scratch(packed.stem, w.outs, cols)
        fields = c_ints(
            rows=rows,
            cols=cols,
            outs=w.outs,
            copy=int(copy),
            copy_at=copy_at,
            kernel_at=kernel_at,
            acc_step=acc_step,
        )
        driver = "dense_tokens" if many else "dense"
        return assemble(node, packed, driver, fields, kernel_at + round_up(own, 16))

    def overlap(self, node: Node, graph: Graph) -> list[int | None]:
        x, w = self._parts(node, graph)
        out = graph.tensors[node.outputs[0]]
        distance = overlap_distance(_window(x, w), x.dtype.bytes, out.dtype.bytes)
        return [distance, *([None] * (len(node.inputs) - 1))]

    def macs(self, node: Node, graph: Graph) -> int:
        x, w = self._parts(node, graph)
        return x.shape[0] * int(w.values.size)

    def work(self, node: Node, graph: Graph) -> dict[str, float]:
        """mac; row: sums made; col: input elements given to the kernel; pixel: epilogues; product: kernel
        calls; element: outputs; step: float operations on them; call: 1; and requant_work."""
        x, w = self._parts(node, graph)
        m, k = x.shape
        counts = {"mac": m * w.values.size, "row": m * w.outs, "col": m * k, "pixel": m, "product": m}
        counts |= {"element": m * w.outs, "step": m * w.outs * epilogue_steps(node), "call": 1}
        return {n: float(v) for n, v in counts.items()} | requant_work(node, m, w.outs)

    def kernel_work(self, node: Node, graph: Graph, choice: KernelChoice) -> dict[str, float] | None:
        x, w = self._parts(node, graph)
        return point_work(node, w, _window(x, w), choice) if _is_points(choice.stem) else None

    def requantises(self, stem: str) -> bool:
        return _is_points(stem)

    def samples(self, rng: np.random.Generator) -> Sample:
        rows = int(rng.choice([1, 1, 2, 3, 7]))
        cols = int(rng.choice([1, 2, 3, 5, 8, 15, 16, 17, 31, 32, 33, 48, 65, 100, 130]))
        outs = int(rng.choice([1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33]))
        return linear_sample(rng, "dense", (rows, cols), (outs, cols), {}, rows)

    def _parts(self, node: Node, graph: Graph) -> tuple[Tensor, Weights]:
        return graph.tensors[node.inputs[0]], plain_weights(graph.consts[node.inputs[1]])


def _window(x: Tensor, w: Weights) -> Window:
    """The 1x1 convolution of one line of pixels that the layer is."""
    rows, cols = x.shape
    return Window(1, 1, rows, cols, 1, 1, 1, rows, w.outs, (1, 1), (0, 0, 0, 0), (1, 1))


def _is_points(stem: str) -> bool:
    return stem.startswith(f"{POINTS_FAMILY}__")
