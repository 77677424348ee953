"""Layers to measure a core with: real samples of every op, many in one graph, exported for a board."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from core_shapes import (
    AREAS,
    BANDS,
    CODE_BANDS,
    CONV,
    DENSE,
    DEPTHWISE,
    FIRST_AND_LAST,
    LANES,
    LARGE,
    POINTS,
    POOLS,
    ROWS,
    TOKENS,
    WIDE,
    WIDE_POINTS,
    WINDOWS,
)
from edgebit.exporters.pipeline import ExportMeta, export_model

from edgebit.board import Board, list_boards, load_board
from edgebit.core import Core
from edgebit.ir.graph import Affine, Array, DType, Graph, Node, Quant, Tensor
from edgebit.ops.bands_c import BAND_FAMILY
from edgebit.ops.base import Sample, infer_all, op_of, registry
from edgebit.ops.dense_groups import PARTS, group_sample
from edgebit.ops.intmath import make_avg_params
from edgebit.ops.linear_samples import linear_sample
from edgebit.ops.support import random_quant, random_s8, sample
from edgebit.plan.kernels import all_kernels, candidates, kernels_for
from edgebit.plan.plan import Plan

SEED = 20260101
MANY = 60  # samples of a kernel that is measured by itself
EPILOGUE_PARTS = (
    "epilogue_parts_"  # tables of what dense_groups does with the sums of kernels of plain layers
)


def kinds() -> list[tuple[str, str]]:
    return [(m, w) for m in ("requant", "affine", "dynamic") for w in ("trit", "s8")] + [
        ("f32", w) for w in ("trit", "s8", "f32")
    ]


def draw(rng: np.random.Generator, mode: str, weights: str, *args: Any) -> Sample:
    """A linear sample of one kind; `linear_sample` picks kinds at random."""
    while True:
        s = linear_sample(rng, *args)
        if s.note.startswith(f"{mode} {weights} "):
            return s


def requant_samples(rng: np.random.Generator, core: Core) -> Iterable[Sample]:
    """Layers with int8 outputs, whose cost does not depend on values, in more shapes that real models have."""
    if any(len(kernels_for(family, core)) > 1 for family in ("tpoints_s8", "tpixels_fused_s8")):
        for m, k, n in ROWS:
            yield draw(rng, "requant", "trit", "dense", (m, k), (n, k), {}, m)
        areas = [(x, (oc, 1, 1), 1) for x, oc in POINTS]
        for (h, wd, c), (oc, kh, kw), stride in [*areas, *AREAS]:
            at = (1, h, wd, c)
            yield draw(rng, "requant", "trit", "conv2d", at, (oc, kh, kw, c), window(kh, kw, stride), 1)
    if not core.is_cortex_m:
        yield from wide_samples(rng)
    if len(kernels_for("dots_s8", core)) > 1:
        for (h, wd, c), (oc, kh, kw), stride in LANES:
            at = (1, h, wd, c)
            yield draw(rng, "requant", "s8", "conv2d", at, (oc, kh, kw, c), window(kh, kw, stride), 1)
    for w in ("trit", "s8"):
        for m, k, n in [*DENSE, *FIRST_AND_LAST]:
            yield draw(rng, "requant", w, "dense", (m, k), (n, k), {}, m)
        for (h, wd, c), (oc, kh, kw), stride in [*CONV, *WINDOWS]:
            yield draw(rng, "requant", w, "conv2d", (1, h, wd, c), (oc, kh, kw, c), window(kh, kw, stride), 1)
        for (h, wd, c), (kh, kw), stride in DEPTHWISE:
            attrs = window(kh, kw, stride) | {"groups": c}
            yield draw(rng, "requant", w, "conv2d", (1, h, wd, c), (c, kh, kw, 1), attrs, 1)
    for (h, wd, c), stride in BANDS:
        attrs = window(3, 3, stride) | {"groups": c}
        yield draw(rng, "requant", "trit", "conv2d", (1, h, wd, c), (c, 3, 3, 1), attrs, 1)
    if len(kernels_for(BAND_FAMILY, core)) > 1:
        for (h, wd, c), stride in [*BANDS, *CODE_BANDS]:
            attrs = window(3, 3, stride) | {"groups": c}
            yield draw_for(rng, BAND_FAMILY, (1, h, wd, c), (c, 3, 3, 1), attrs)
    if len(kernels_for("tpixels_fused_s8", core)) > 1:
        for (h, wd, c), outs in [*POINTS, *WIDE_POINTS]:
            yield draw_for(rng, "tpixels_fused_s8", (1, h, wd, c), (outs, 1, 1, c), window(1, 1, 1))


def draw_for(
    rng: np.random.Generator, family: str, x: tuple[int, ...], w: tuple[int, ...], attrs: Any
) -> Sample:
    """A ternary convolution that a family takes."""
    while True:
        s = draw(rng, "requant", "trit", "conv2d", x, w, attrs, 1)
        if family in op_of(s.graph.nodes[0]).families(s.graph.nodes[0], s.graph):
            return s


def wide_samples(rng: np.random.Generator) -> Iterable[Sample]:
    """Layers of the size that networks have."""
    for m, k, n in TOKENS:
        yield draw(rng, "requant", "trit", "dense", (m, k), (n, k), {}, m)
    for w in ("trit", "s8"):
        for (h, wd, c), (kh, kw), stride in WIDE:
            attrs = window(kh, kw, stride)
            groups = attrs | {"groups": c}
            yield draw(rng, "requant", w, "conv2d", (1, h, wd, c), (c, kh, kw, 1), groups, 1)
            yield draw(rng, "requant", w, "conv2d", (1, h, wd, c), (16, kh, kw, c), attrs, 1)
        for (h, wd, c), outs in WIDE_POINTS:
            yield draw(rng, "requant", w, "conv2d", (1, h, wd, c), (outs, 1, 1, c), window(1, 1, 1), 1)


def window(kh: int, kw: int, stride: int) -> dict[str, Any]:
    """Attributes of a convolution whose outputs lie over its inputs."""
    pads = (kh // 2, kw // 2, kh // 2, kw // 2)
    return {"strides": (stride, stride), "pads": pads, "dilations": (1, 1), "groups": 1}


def linear_samples(rng: np.random.Generator, core: Core) -> Iterable[Sample]:
    """Dense, convolution and depthwise layers of every kind, in shapes that real models have."""
    for mode, w in kinds():
        for m, k, n in [*DENSE, *(LARGE if w == "trit" and mode != "f32" and not core.is_cortex_m else [])]:
            yield draw(rng, mode, w, "dense", (m, k), (n, k), {}, m)
        for (h, wd, c), (oc, kh, kw), stride in CONV:
            pad = kh // 2
            attrs = {
                "strides": (stride, stride),
                "pads": (pad, pad, pad, pad),
                "dilations": (1, 1),
                "groups": 1,
            }
            yield draw(rng, mode, w, "conv2d", (1, h, wd, c), (oc, kh, kw, c), attrs, 1)
        for (h, wd, c), (kh, kw), stride in DEPTHWISE:
            pad = kh // 2
            attrs = {
                "strides": (stride, stride),
                "pads": (pad, pad, pad, pad),
                "dilations": (1, 1),
                "groups": c,
            }
            yield draw(rng, mode, w, "conv2d", (1, h, wd, c), (c, kh, kw, 1), attrs, 1)


def other_samples(rng: np.random.Generator, each: int) -> Iterable[Sample]:
    """Random samples of every op that is not linear. Those of quantize and softmax have functions of their own."""
    for name, op in sorted(registry().items()):
        if name in ("dense", "conv2d", "quantize", "softmax"):
            continue
        for _ in range(each):
            s = op.samples(rng)
            if s is not None:  # with values as layers have them: what library functions cost depends on them
                usual = {
                    n: rng.normal(0, 2, v.shape).astype(v.dtype) if v.dtype == np.float32 else v
                    for n, v in s.inputs.items()
                }
                yield replace(s, inputs=usual)


def pool_samples(rng: np.random.Generator) -> Iterable[Sample]:
    """Pools of int8 and of float, in shapes that real models have."""
    for shape, kernel, strides, pad in POOLS:
        pads = [pad] * 4 if shape[0] > 1 else [0, pad, 0, pad]
        attrs: dict[str, Any] = {"kernel": list(kernel), "strides": list(strides), "pads": pads}
        x8 = random_s8(rng, (1, *shape))
        x = rng.normal(0, 1, (1, *shape)).clip(0).astype(np.float32)  # as activations leave them
        one, two = random_quant(rng), random_quant(rng)
        yield sample("max_pool2d", [(x8, one)], attrs | {"dilations": [1, 1]})
        yield sample("max_pool2d", [(x, None)], attrs | {"dilations": [1, 1]})
        attrs["count_include_pad"] = False
        yield sample("avg_pool2d", [(x8, one)], attrs | make_avg_params(one, two, kernel[0] * kernel[1]))
        yield sample("avg_pool2d", [(x, None)], attrs)


def quantize_samples(rng: np.random.Generator) -> Iterable[Sample]:
    """Inputs inside the range of int8 and not 0, which costs less on cores without FPU."""
    for n in (9, 64, 100, 300, 490, 784, 640):
        scale = float(np.float32(rng.uniform(0.005, 0.1)))
        attrs = {"out_quant": Quant(scale, int(rng.integers(-128, 20))), "qmin": -128, "qmax": 127}
        yield sample("quantize", [(rng.normal(0, 40 * scale, n).astype(np.float32), None)], attrs)


def softmax_samples(rng: np.random.Generator) -> Iterable[Sample]:
    """Rows of logits."""
    for shape in ((1, 2), (1, 4), (1, 10), (1, 12), (1, 35), (3, 10), (8, 8), (1, 100)):
        yield sample("softmax", [(rng.normal(0, 3, shape).astype(np.float32), None)], {})


def wanted_samples(
    rng: np.random.Generator, core: Core, wanted: Sequence[str]
) -> tuple[list[Sample], dict[str, str]]:
    """Samples for some tables alone: those of the kernels (or ops) of that name, at most MANY of each; for a table
    that layers of many kernels share, the samples of all."""
    linear = list(linear_samples(rng, core))
    if not core.is_cortex_m or not any(w.startswith("epilogue_") for w in wanted):
        linear = [*requant_samples(rng, core), *linear]
    every = [*linear, *pool_samples(rng), *quantize_samples(rng), *softmax_samples(rng)]
    if all(w.startswith(EPILOGUE_PARTS) for w in wanted):
        return parts_samples(rng, core)
    families = {w.split("__")[0] for w in wanted}
    known = {f.rsplit("_", 1)[0] for f in families} | set(wanted)
    for s in other_samples(rng, MANY):
        n = s.graph.nodes[0]
        if n.op in known or not families.isdisjoint(op_of(n).families(n, s.graph)):
            every.append(s)
    samples, forced = with_every_kernel(every, core)
    shared = not any(s in all_kernels() or s in registry() for s in wanted)
    taken: list[int] = []
    seen: Counter[str] = Counter()
    for k, s in enumerate(samples):
        name = forced.get(f"s{k}", s.graph.nodes[0].op)
        if (shared or name in wanted) and seen[name] < MANY:
            taken.append(k)
            seen[name] += 1
    kept = {f"s{n}": forced[f"s{k}"] for n, k in enumerate(taken) if f"s{k}" in forced}
    return [samples[k] for k in taken], kept


def full_groups(rng: np.random.Generator) -> Iterable[Sample]:
    """Layers with scales for groups of inputs, of each type, with all steps an epilogue can have."""
    kinds: dict[DType, Sample] = {}
    while len(kinds) < 2:
        s = group_sample(rng, 2, 100, 17, 32)
        outs = s.graph.tensors["y"].shape[1]
        bias = rng.standard_normal(outs).astype(np.float32)
        s.graph.nodes[0].attrs["epilogue"] = Affine(None, bias, None, 0.0, 6.0)
        kinds.setdefault(s.graph.tensors["x"].dtype, s)
    yield from kinds.values()


def parts_samples(rng: np.random.Generator, core: Core) -> tuple[list[Sample], dict[str, str]]:
    """Layers with scales for groups of inputs, on kernels of plain layers."""
    samples: list[Sample] = []
    forced: dict[str, str] = {}
    while len(samples) < 2 * MANY:
        rows, cols, outs = (int(rng.choice(c)) for c in ((1, 2), (64, 100, 256), (9, 32, 64)))
        found, names = with_every_kernel(
            [group_sample(rng, rows, cols, outs, int(rng.choice([32, 64])))], core
        )
        for k, s in enumerate(found):
            if names[f"s{k}"].startswith(PARTS):
                forced[f"s{len(samples)}"] = names[f"s{k}"]
                samples.append(s)
    return samples, forced


def chain_sample(layers: int, tensor_bytes: int) -> Sample:
    """A network in a chain, as models are: quantise, then ternary layers of every shape with a residual addition's
    worth of look-ups between them, then one dense layer with float outputs. Tensors of about tensor_bytes."""
    rng = np.random.default_rng(SEED)
    g = Graph("chain")
    side = max(4, round((tensor_bytes / 8) ** 0.5))
    g.tensors["x"] = Tensor("x", (1, side, side, 2))
    g.inputs = ["x"]
    quant = Quant(0.05, 3)
    g.nodes.append(Node("quantize", "q", ["x"], ["t0"], {"out_quant": quant, "qmin": -128, "qmax": 127}))
    attrs = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "groups": 1}
    table = np.arange(-128, 128).astype(np.int8)
    at, channels = "t0", 2
    for k in range(layers):
        out = f"t{k + 1}"
        if k % 3 == 2:
            g.nodes.append(Node("lut", f"n{k}", [at], [out], {"table": table, "out_quant": quant}))
        else:
            size = 3 if k % 2 else 1
            used = attrs | {"pads": (size // 2,) * 4}
            shape = (1, side, side, channels)
            s = draw(rng, "requant", "trit", "conv2d", shape, (8, size, size, channels), used, 1)
            channels = 8
            g.consts[f"w{k}"] = s.graph.consts["w"]
            g.nodes.append(Node("conv2d", f"n{k}", [at, f"w{k}"], [out], s.graph.nodes[0].attrs))
        at = out
    flat = side * side * channels
    s = draw(rng, "affine", "trit", "dense", (1, flat), (10, flat), {}, 1)
    g.consts["w"] = s.graph.consts["w"]
    g.nodes.append(Node("reshape", "flat", [at], ["flat"], {"shape": (1, flat)}))
    g.nodes.append(Node("dense", "fc", ["flat", "w"], ["y"], s.graph.nodes[0].attrs))
    g.outputs = ["y"]
    infer_all(g)
    return Sample(
        g, {"x": rng.standard_normal(g.tensors["x"].shape).astype(np.float32)}, f"chain of {layers}"
    )


def merge(samples: Sequence[Sample]) -> tuple[Graph, dict[str, Array]]:
    """One graph that runs every sample's node side by side, and its inputs."""
    g = Graph("measure")
    values: dict[str, Array] = {}
    for k, s in enumerate(samples):
        name = {n: f"s{k}.{n}" for n in [*s.graph.tensors, *s.graph.consts]} | {"": ""}
        for t in s.graph.tensors.values():
            g.tensors[name[t.name]] = Tensor(name[t.name], t.shape, t.dtype, t.quant)
        g.consts |= {name[c]: v for c, v in s.graph.consts.items()}
        g.inputs += [name[i] for i in s.graph.inputs]
        values |= {name[i]: np.where(np.isfinite(v), v, 1).astype(v.dtype) for i, v in s.inputs.items()}
        for n in s.graph.nodes:
            g.nodes.append(
                Node(
                    n.op,
                    f"s{k}",
                    [name[i] for i in n.inputs],
                    [name[o] for o in n.outputs],
                    n.attrs,
                )
            )
        g.outputs += [name[o] for o in s.graph.outputs]
    g.check()
    return g, values


def with_every_kernel(samples: Iterable[Sample], core: Core) -> tuple[list[Sample], dict[str, str]]:
    """Each sample once for each kernel that can run it; the kernel forced on each node of the merged graph."""
    found: list[Sample] = []
    forced: dict[str, str] = {}
    for s in samples:
        for c in candidates(s.graph.nodes[0], s.graph, core):
            if c.choice is not None:
                forced[f"s{len(found)}"] = c.choice.stem
            found.append(s)
    return found, forced


def export(plan: Plan, values: dict[str, Array], board: Board, folder: Path) -> Path:
    meta = ExportMeta("measure", board.name, "measure", "0" * 64, source_note="random")
    return export_model(plan, [values], folder / "measure", meta=meta)


def boards_of(core: Core) -> list[Board]:
    """Boards with this core, the one with most RAM first."""
    return sorted(
        (load_board(b) for b in list_boards() if load_board(b).core.name == core.name),
        key=lambda b: (-b.ram_bytes, b.name),
    )
