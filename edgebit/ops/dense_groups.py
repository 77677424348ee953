"""dense_groups: a dense layer whose ternary weights have a scale for each group of inputs.

inputs: x (M, K) f32 or s8; w constant GroupTernaryWeights (N, K) with scales (N, G); for dynamic int8 also
d f32 (M,) or (M, G), what a unit of x counts in a row, or in each of its groups. attrs: epilogue Affine without
scale and corr; for static int8 unit, what a unit of x counts everywhere (its zero point is in the bias). f32 out.

    y[m, n] = clamp((sum over g, in order and from the first, of t[m, n, g]) + bias[n], lo, hi)
    int8:  t = (float(sum of the group's products) * scale[n, g]) * d[m, g]    (the sum is exact; static: d is unit)
    f32:   t = (the group's sum in eight lanes, as in dense) * scale[n, g]

Every operation is rounded to binary32, none is fused. One group gives what dense gives.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import (
    Affine,
    Array,
    Const,
    DType,
    F32Array,
    Graph,
    GroupTernaryWeights,
    Node,
    Tensor,
)
from edgebit.layouts.base import layout_of, round_up
from edgebit.ops.base import CConst, KernelChoice, Lowered, Op, Sample
from edgebit.ops.linear import (
    Window,
    affine,
    check_affine,
    epilogue_steps,
    integer_sums,
    lane_sums,
    overlap_distance,
    plain_weights,
)
from edgebit.ops.linear_c import Epilogue, Packed, epilogue_fields, epilogue_of, pack
from edgebit.ops.support import activation, bad, c_ints, output, random_f32, random_s8, real

PARTS = "tmatvec_"  # families of kernels that make the sums of one group at a time
STEP, MOST = 16, 65536
"""Groups are multiples of STEP inputs, at most MOST."""


class DenseGroups(Op):
    """A fully connected layer over rows, with scales for groups of inputs."""

    name = "dense_groups"

    def infer(self, node: Node, graph: Graph) -> list[Tensor]:
        if len(node.inputs) not in (2, 3) or not all(node.inputs) or len(node.outputs) != 1:
            raise bad(node, "takes an activation, weights and for dynamic int8 units, and makes one output")
        x = activation(node, graph, 0, DType.F32, DType.S8)
        w = graph.consts.get(node.inputs[1])
        if not isinstance(w, GroupTernaryWeights):
            raise bad(node, f"input 1 ({node.inputs[1]!r}) must be ternary weights with scales for groups")
        self._check_weights(node, w)
        if len(x.shape) != 2 or x.shape[1] != w.shape[1]:
            raise bad(node, f"an input of shape {x.shape} does not fit weights of shape {w.shape}")
        e = node.attrs.get("epilogue")
        if not isinstance(e, Affine) or e.scale is not None or e.corr is not None:
            raise bad(node, "the attribute epilogue must be an Affine without scale and corr")
        check_affine(node, e, w.shape[0])
        if (x.dtype is DType.S8) != (len(node.inputs) - 2) + ("unit" in node.attrs):
            raise bad(node, "int8 activations come with units or the attribute unit, float ones without")
        if "unit" in node.attrs and real(node, "unit") <= 0:
            raise bad(node, f"the attribute unit must be positive, not {node.attrs['unit']}")
        if len(node.inputs) == 3:
            d = activation(node, graph, 2, DType.F32)
            if d.shape not in ((x.shape[0],), (x.shape[0], 1), (x.shape[0], w.groups)):
                raise bad(
                    node, f"the units must have the shape ({x.shape[0]}, 1 or {w.groups}), not {d.shape}"
                )
        return [output(node, (x.shape[0], w.shape[0]), DType.F32, None)]

    def _check_weights(self, node: Node, w: GroupTernaryWeights) -> None:
        t = w.trits
        if t.ndim != 2 or 0 in t.shape or t.dtype != np.int8 or t.min() < -1 or t.max() > 1:
            raise bad(node, "the weights must be an int8 matrix of -1, 0 and +1")
        if not 0 < w.group <= MOST or w.group % STEP:
            raise bad(node, f"groups are multiples of {STEP} inputs up to {MOST}, not {w.group}")
        want = (t.shape[0], -(-t.shape[1] // w.group))
        if w.scale.dtype != np.float32 or w.scale.shape != want or not np.isfinite(w.scale).all():
            raise bad(node, f"the scales must be finite binary32 of shape {want}, not {w.scale.shape}")

    @np.errstate(over="ignore", under="ignore", invalid="ignore")
    def run(self, node: Node, graph: Graph, args: list[Array | Const | None]) -> list[Array]:
        x, w, d = args[0], args[1], args[2] if len(args) > 2 else None
        if not isinstance(x, np.ndarray) or not isinstance(w, GroupTernaryWeights):
            raise EdgebitError(f"node {node.name!r} was run without its inputs")
        if "unit" in node.attrs:
            d = np.full(len(x), node.attrs["unit"], np.float32)
        total: F32Array | None = None
        for g in range(w.groups):
            part = slice(g * w.group, (g + 1) * w.group)
            if isinstance(d, np.ndarray):
                acc = integer_sums(x[:, part], w.trits[:, part]).astype(np.float32)
                unit = d.reshape(len(x), -1)
                term = (acc * w.scale[:, g]) * unit[:, min(g, unit.shape[1] - 1), None]
            else:
                term = lane_sums(x[:, part], w.trits[:, part]) * w.scale[:, g]
            total = term if total is None else total + term
        assert total is not None
        return [affine(total, node.attrs["epilogue"])]

    def families(self, node: Node, graph: Graph) -> tuple[str, ...]:
        """Kernels that know of scales, and those of plain layers, which then make each group's sums apart."""
        kind = graph.tensors[node.inputs[0]].dtype.value
        return f"tgroups_{kind}", f"{PARTS}{kind}"

    def takes(self, node: Node, graph: Graph, choice: KernelChoice) -> bool:
        if not choice.stem.startswith(PARTS):
            return True
        layout, (_, w) = layout_of(choice.layout), self._parts(node, graph)
        return not choice.stem.endswith("__ref") and all(layout.limits(b) is None for b in _blocks(w))

    def lower(self, node: Node, graph: Graph, choice: KernelChoice | None) -> Lowered:
        x, w = self._parts(node, graph)
        rows, cols = x.shape
        outs, kind = w.shape[0], x.dtype.value
        parts = choice is not None and choice.stem.startswith(PARTS)
        family = f"{PARTS if parts else 'tgroups_'}{kind}"
        packed = pack(node, plain_weights(w), family, choice, _blocks(w) if parts else [w.trits])
        lanes = 16 if x.dtype is DType.S8 else 8
        copy = cols % lanes != 0 and not (rows == 1 and x.dtype is DType.S8)
        row_step = round_up(outs, packed.layout.row_multiple)
        part_at = round_up(4 * outs, 16) if parts else 0
        copy_at = part_at + round_up(4 * row_step, 16)
        kernel_at = copy_at + (round_up(cols, lanes) * x.dtype.bytes if copy else 0)
        widths = (min(cols, w.group), cols - (w.groups - 1) * w.group) if parts else (cols,)
        own = max(packed.layout.scratch(packed.stem, outs, k) for k in widths)
        scales = np.zeros((w.groups, outs if parts else row_step), np.float32)
        scales[:, :outs] = w.scale.T
        dynamic = len(node.inputs) > 2
        fields = c_ints(
            rows=rows,
            cols=cols,
            outs=outs,
            group=w.group,
            units=graph.tensors[node.inputs[2]].elements // rows if dynamic else 0,
            copy=int(copy),
            copy_at=copy_at,
            kernel_at=kernel_at,
        )
        fields |= c_ints(part_at=part_at, block=packed.group_bytes) if parts else {}
        e = epilogue_of(node, outs)
        e = replace(e, kind="affine", name=e.name.replace("dynamic", "affine", 1))
        constants = [packed.const, CConst("scales", "float", scales.astype("<f4").tobytes())]
        if "unit" in node.attrs:
            constants.insert(0, CConst("d", "float", np.array(node.attrs["unit"], "<f4").tobytes()))
        driver = "dense_parts" if parts else "dense_groups"
        name = f"eb_{driver}_{packed.stem}_{e.name}"
        return Lowered(
            function=name,
            kernels=(packed.stem,),
            inputs=(0, 2) if dynamic else (0,),
            consts=(*constants, *e.consts),
            params=(f"eb_{driver}_params", fields | {"epilogue": epilogue_fields(node)}),
            prelude=_function(name, driver, kind, packed, e, constants, dynamic),
            scratch_bytes=kernel_at + round_up(own if parts else round_up(4 * w.groups, 16) + own, 16),
            layout=packed.layout.name,
            bits_per_weight=packed.bits_per_weight + 32.0 * scales.size / w.trits.size,
            kernel=packed.stem,
        )

    def overlap(self, node: Node, graph: Graph) -> list[int | None]:
        x, w = self._parts(node, graph)
        one = Window(
            1, 1, x.shape[0], x.shape[1], 1, 1, 1, x.shape[0], w.shape[0], (1, 1), (0, 0, 0, 0), (1, 1)
        )
        return [overlap_distance(one, x.dtype.bytes, 4), *([None] * (len(node.inputs) - 1))]

    def macs(self, node: Node, graph: Graph) -> int:
        x, w = self._parts(node, graph)
        return x.shape[0] * int(w.trits.size)

    def work(self, node: Node, graph: Graph) -> dict[str, float]:
        """mac; add: those with a trit that is not 0; row: sums made, over all groups; join: those added to the ones
        before; col: input elements; product: kernel calls; element: outputs; step: float operations on them; call: 1."""
        x, w = self._parts(node, graph)
        m, outs = x.shape[0], w.shape[0]
        counts = {"mac": m * w.trits.size, "add": m * int(np.count_nonzero(w.trits))}
        counts |= {"row": m * outs * w.groups, "join": m * outs * (w.groups - 1)}
        counts |= {"col": m * x.shape[1], "product": m}
        counts |= {"element": m * outs, "step": m * outs * epilogue_steps(node), "call": 1}
        return {n: float(v) for n, v in counts.items()}

    def kernel_work(self, node: Node, graph: Graph, choice: KernelChoice) -> dict[str, float] | None:
        """For kernels of plain layers: what they count in dense, of all groups. Then, for epilogue_parts: pixel, sums
        of a group; element: outputs of these; step: additions of them, and what the epilogue does besides."""
        if not choice.stem.startswith(PARTS):
            return None
        x, w = self._parts(node, graph)
        layout, m, outs = layout_of(choice.layout), x.shape[0], w.shape[0]
        tall, pixels = round_up(outs, layout.row_multiple), m * w.groups
        counts: dict[str, float] = defaultdict(float)
        for block in _blocks(w):
            counts["mac"] += m * tall * round_up(block.shape[1], layout.col_multiple)
            for name, n in layout.work(block).items():
                counts[name] += m * n
        counts |= {"row": pixels * tall, "col": m * x.shape[1], "product": pixels, "pixel": pixels, "call": 1}
        last = epilogue_steps(node) - 1 - (len(node.inputs) > 2)
        counts |= {"element": pixels * outs, "step": m * outs * (w.groups - 1 + last)}
        return {n: float(v) for n, v in counts.items()}

    def epilogue_table(self, stem: str) -> str:
        return f"epilogue_parts_{stem.split('__')[0].removeprefix(PARTS)}" if stem.startswith(PARTS) else ""

    def samples(self, rng: np.random.Generator) -> Sample:
        rows = int(rng.choice([1, 1, 2, 3]))
        cols = int(rng.choice([1, 15, 16, 17, 48, 100, 128, 130, 300]))
        outs = int(rng.choice([1, 3, 8, 9, 17, 33, 65]))
        return group_sample(rng, rows, cols, outs, int(rng.choice([16, 48, 64, 128])))

    def _parts(self, node: Node, graph: Graph) -> tuple[Tensor, GroupTernaryWeights]:
        w = graph.consts[node.inputs[1]]
        assert isinstance(w, GroupTernaryWeights)
        return graph.tensors[node.inputs[0]], w


def group_sample(rng: np.random.Generator, rows: int, cols: int, outs: int, group: int) -> Sample:
    """A random node: float activations, or int8 with a unit for each row, for each group, or for all."""
    groups = -(-cols // group)
    trits = (rng.integers(-1, 2, (outs, cols)) * rng.integers(0, 2)).astype(np.int8)
    if rng.random() < 0.8:
        trits = rng.integers(-1, 2, (outs, cols)).astype(np.int8)
    scale = np.exp(rng.uniform(-5, 0, (outs, groups))).astype(np.float32)
    g = Graph("sample", inputs=["x"], outputs=["y"])
    g.consts["w"] = GroupTernaryWeights(trits, scale, group)
    units = int(rng.choice([0, 1, groups]))
    g.tensors["x"] = Tensor("x", (rows, cols), DType.S8 if units else DType.F32)
    values: dict[str, Array] = {"x": random_s8(rng, (rows, cols)) if units else random_f32(rng, (rows, cols))}
    names = ["x", "w"]
    static = units == 1 and rng.random() < 0.4
    if units and not static:
        shape = (rows,) if units == 1 and rng.random() < 0.5 else (rows, units)
        g.tensors["d"] = Tensor("d", shape, DType.F32)
        g.inputs.append("d")
        values["d"] = np.exp(rng.uniform(-6, 0, shape)).astype(np.float32)
        names.append("d")
    bias = random_f32(rng, (outs,)) if rng.random() < 0.5 else None
    lo = 0.0 if rng.random() < 0.3 else float("-inf")
    unit = {"unit": float(np.float32(rng.uniform(0.001, 1)))} if static else {}
    g.nodes = [Node("dense_groups", "n", names, ["y"], {"epilogue": Affine(None, bias, None, lo)} | unit)]
    for t in DenseGroups().infer(g.nodes[0], g):
        g.tensors[t.name] = t
    return Sample(g, values, f"{'s8' if units else 'f32'} x({rows}, {cols}) w{trits.shape} group {group}")


def _blocks(w: GroupTernaryWeights) -> list[Array]:
    """The trits of each group."""
    return [w.trits[:, k : k + w.group] for k in range(0, w.trits.shape[1], w.group)]


def _function(
    name: str, driver: str, kind: str, packed: Packed, e: Epilogue, weights: list[CConst], dynamic: bool
) -> str:
    """The static C function that instantiates the driver. kind: "f32" or "s8"; weights: the constants it takes."""
    x, acc, d = ("float", "float", "") if kind == "f32" else ("int8_t", "int32_t", "d, ")
    family, kernel, product = packed.stem.split("__")[0], f"eb_{packed.stem}", ""
    if driver == "dense_parts":
        kernel = f"{name}_product"
        product = (
            f"EB_INLINE void {kernel}(\n        const void *w, const {x} *x, {acc} *acc, int32_t rows, "
            f"int32_t cols, void *scratch) {{\n"
            f"    eb_{packed.stem}(w, x, acc, rows, cols, scratch);\n}}\n\n"
        )
    inputs = (f"const {x} *x", *(("const float *d",) if dynamic else ()))
    call = f"eb_{driver}_{kind}(p, x, {d}w, scales, {kernel}, &e, y, scratch)"
    return (
        f'#include "dense/{driver}.h"\n'
        f'#include "{family}/{family}.h"\n\n'
        f"EB_{family.upper()}_DECL(eb_{packed.stem});\n\n"
        f"{product}{e.driver(name, f'eb_{driver}_params', inputs, weights, call)}"
    )
