"""What the kernel benchmark runs: layers of fixed shapes, and whole networks, with random ternary weights.

A layer has a static int8 input, trits of which half are zero (of sparse layers as many per cent as the name
ends in), and int8 outputs requantised per channel, all drawn from a fixed seed. Networks are those of
examples/mlperf_tiny. Nothing is trained: a shape has a cost but no meaning.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from edgebit.errors import UsageError
from edgebit.importers.base import load_model
from edgebit.ir import DType, Graph, Node, Quant, Tensor, TernaryWeights
from edgebit.ops.base import infer_all
from edgebit.ops.linear import acc_bounds
from edgebit.ops.requant import make_requant
from edgebit.passes.prepare import prepare

SEED = 20260101
ZEROS = 0.5
NODE = "layer"


@dataclass(frozen=True)
class Shape:
    """One thing to measure. make: its canonical graph; a layer's has one node, called NODE.

    bits: the range of bits per weight a kernel must have to count for this shape, None for any kernel.
    """

    name: str
    make: Callable[[], Graph]
    network: bool = False
    bits: tuple[float, float] | None = None


def layer(
    op: str, x: tuple[int, ...], w: tuple[int, ...], attrs: dict[str, Any], zeros: float = ZEROS
) -> Graph:
    """One linear layer: input shape `x`, weights of shape `w` (outputs first), `zeros` of them 0."""
    rng = np.random.Generator(np.random.PCG64([SEED, *x, *w]))
    fan_in = int(np.prod(w[1:]))
    nonzero = (1 - zeros) / 2
    trits = rng.choice(np.array([-1, 0, 1], np.int8), w, p=[nonzero, zeros, nonzero])
    weights = TernaryWeights(trits, np.ones(w[0], np.float32))
    spread = 74 * np.sqrt(fan_in * (1 - zeros))  # of the sums, for int8 inputs drawn uniformly
    scale = 42 / spread * rng.uniform(0.7, 1.4, w[0])
    requant = make_requant(scale, rng.normal(0, 20, w[0]), acc_bounds(weights))
    g = Graph(op, inputs=["x"], outputs=["y"])
    g.tensors["x"] = Tensor("x", x, DType.S8, Quant(1 / 64, -128))
    g.consts["w"] = weights
    g.nodes = [Node(op, NODE, ["x", "w"], ["y"], attrs | {"epilogue": requant, "out_quant": Quant(1 / 32)})]
    infer_all(g)
    g.check()
    return g


def _dense(rows: int, ins: int, outs: int, zeros: float = ZEROS) -> Callable[[], Graph]:
    return lambda: layer("dense", (rows, ins), (outs, ins), {}, zeros)


def _conv(side: int, height: int, width: int, zeros: float = ZEROS) -> Callable[[], Graph]:
    pad = side // 2
    attrs = {"strides": (1, 1), "pads": (pad, pad, pad, pad), "dilations": (1, 1), "groups": 1}
    return lambda: layer("conv2d", (1, height, width, 64), (64, side, side, 64), attrs, zeros)


def _network(task: str, first: str | None) -> Callable[[], Graph]:
    @cache
    def make() -> Graph:
        networks: Any = importlib.import_module("edgebit.examples.mlperf_tiny.networks")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{task}.onnx"
            path.write_bytes(networks.make_model(task, first).SerializeToString(deterministic=True))
            return prepare(load_model(path, batch=1))

    return make


def _shapes() -> Iterator[Shape]:
    for ins, outs in ((256, 64), (640, 128), (1024, 1024)):
        yield Shape(f"fc-{ins}x{outs}", _dense(1, ins, outs))
    for side in (3, 1):
        for height, width in ((8, 8), (25, 5)):
            yield Shape(f"conv{side}x{side}-64-64-{height}x{width}", _conv(side, height, width))
    yield Shape("gemv-2bit", _dense(1, 2560, 640), bits=(1.9, 2.3))
    yield Shape("gemv-1.6bit", _dense(1, 2560, 640), bits=(0.0, 1.75))
    yield Shape("gemm4-2bit", _dense(4, 2560, 640), bits=(1.9, 2.3))
    for percent in (80, 90, 95):
        zeros = percent / 100
        yield Shape(f"sparse-fc-640x128-{percent}", _dense(1, 640, 128, zeros))
        yield Shape(f"sparse-conv3x3-64-64-8x8-{percent}", _conv(3, 8, 8, zeros))
    for task, other in (("kws", "ternary"), ("ic", "ternary"), ("ad", "int8"), ("vww", "ternary")):
        yield Shape(f"net-{task}", _network(task, None), network=True)
        yield Shape(f"net-{task}-first-{other}", _network(task, other), network=True)


SHAPES: dict[str, Shape] = {s.name: s for s in _shapes()}


def find_shapes(asked: list[str] | None) -> list[Shape]:
    """The shapes of those names or beginnings ("conv3x3-64-64", "net"); all of them when none is asked for."""
    if not asked:
        return list(SHAPES.values())
    for a in asked:
        if not any(_fits(name, a) for name in SHAPES):
            raise UsageError(f"no shape named {a!r}; there are: {', '.join(SHAPES)}")
    return [s for name, s in SHAPES.items() if any(_fits(name, a) for a in asked)]


def _fits(name: str, asked: str) -> bool:
    return name == asked or name.startswith(asked + "-")
