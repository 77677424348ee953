"""Layers to measure a core with: real samples of every op, many in one graph, exported for a board."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from edgebit.exporters.pipeline import ExportMeta, export_model

from edgebit.board import Board, list_boards, load_board
from edgebit.core import Core
from edgebit.ir.graph import Array, Graph, Node, Quant, Tensor
from edgebit.ops.base import Sample, infer_all, registry
from edgebit.ops.linear_samples import linear_sample
from edgebit.plan.kernels import candidates
from edgebit.plan.plan import Plan

SEED = 20260101
DENSE = [
    (1, 4, 2),
    (1, 8, 24),
    (2, 128, 3),
    (1, 32, 16),
    (1, 64, 64),
    (1, 100, 10),
    (1, 256, 32),
    (1, 400, 8),
    (3, 48, 24),
    (5, 32, 16),
    (8, 96, 40),
]
LARGE = [
    (1, 640, 128),
    (1, 256, 512),
    (1, 1536, 192),
    (4, 512, 96),
]  # for cores with the memory and the speed
CONV = [  # input (H, W, C), weights (OC, KH, KW), stride
    ((3, 3, 2), (2, 2, 2), 1),
    ((8, 8, 8), (16, 3, 3), 1),
    ((6, 6, 16), (16, 3, 3), 2),
    ((6, 6, 32), (24, 1, 1), 1),
    ((10, 10, 1), (8, 3, 3), 1),
    ((4, 4, 64), (8, 1, 1), 1),
]
DEPTHWISE = [
    ((3, 3, 2), (2, 2), 1),
    ((5, 5, 24), (1, 1), 1),
    ((7, 7, 6), (3, 3), 1),
    ((6, 6, 16), (3, 3), 1),
    ((8, 8, 8), (5, 5), 2),
    ((4, 4, 32), (3, 3), 1),
]


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
    """Random samples of every op that is not linear."""
    for name, op in sorted(registry().items()):
        if name in ("dense", "conv2d"):
            continue
        for _ in range(each):
            s = op.samples(rng)
            if s is not None:
                yield s


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
