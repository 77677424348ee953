"""Layers of 3 x 3 depthwise convolutions by bands of rows: the driver on the host, with the reference kernels, against
NumPy."""

from __future__ import annotations

import c_harness
import numpy as np

from edgebit.ir.graph import Graph, Node
from edgebit.ops.base import KernelChoice, Sample, op_of
from edgebit.ops.depthwise_c import FAMILIES
from edgebit.ops.linear_samples import linear_sample


def band_samples(seed: int, count: int) -> list[Sample]:
    """Random layers that the families take: odd sizes, both strides, all paddings."""
    rng = np.random.default_rng(seed)
    found: list[Sample] = []
    while len(found) < count:
        stride, c = int(rng.integers(1, 3)), int(rng.integers(2, 13))
        size = (int(rng.integers(1, 40)), int(rng.integers(1, 12)))
        pads = [int(rng.integers(0, 3)) for _ in range(4)]
        for axis in (0, 1):
            pads[axis + 2] += max(0, 3 - size[axis] - pads[axis] - pads[axis + 2])
        attrs = {"strides": (stride,) * 2, "pads": tuple(pads), "dilations": (1, 1), "groups": c}
        n = int(rng.integers(1, 3))
        s = linear_sample(rng, "conv2d", (n, *size, c), (c, 3, 3, 1), attrs, n)
        if choose_band(s.graph.nodes[0], s.graph) is not None:
            found.append(s)
    return found


def test_narrow_images_are_turned_in_chunks() -> None:
    """An image of 25 x 5 pixels of 64 channels takes two chunks of columns; so do odd ones."""
    rng = np.random.default_rng(6)
    samples = []
    for h, w, c, stride, pads in (
        (25, 5, 64, 1, (1, 1, 1, 1)),
        (33, 6, 70, 1, (2, 1, 0, 1)),
        (41, 9, 61, 2, (0, 1, 2, 1)),
        (29, 4, 96, 1, (1, 1, 1, 1)),
    ):
        attrs = {"strides": (stride,) * 2, "pads": pads, "dilations": (1, 1), "groups": c}
        while True:
            s = linear_sample(rng, "conv2d", (2, h, w, c), (c, 3, 3, 1), attrs, 2)
            choice = choose_band(s.graph.nodes[0], s.graph)
            if choice is not None:
                break
        params = op_of(s.graph.nodes[0]).lower(s.graph.nodes[0], s.graph, choice).params
        assert params is not None
        assert params[1]["turned"] == "1"
        assert 1 < int(params[1]["chunk"]) < (h + 1) // stride
        samples.append(s)
    assert c_harness.check_samples(samples, choose=choose_band, extra=["-O1"]) >= 8


def choose_band(node: Node, graph: Graph) -> KernelChoice | None:
    """The reference kernel of a family that computes bands, None where none does."""
    mine = [f for f in op_of(node).families(node, graph) if f in FAMILIES]
    stem = f"{mine[0]}__ref" if mine else ""
    return KernelChoice(stem, c_harness.kernel_layout(stem)) if mine else None


def test_layers_by_bands_equal_numpy_and_may_overlap() -> None:
    assert c_harness.check_samples(band_samples(5, 60), choose=choose_band, extra=["-O1"]) >= 120


def test_other_layers_are_left_to_other_kernels() -> None:
    """Everything but static int8 3 x 3 layers of one stride, not dilated, one output a channel."""
    seen = {True: 0, False: 0}
    for s in c_harness.random_samples("conv2d", 9, 400):
        (node,) = s.graph.nodes
        w = s.graph.consts[node.inputs[1]].shape
        a = node.attrs
        x = s.graph.tensors[node.inputs[0]].shape
        fits = (
            s.note.startswith("requant")
            and a["groups"] == x[3] == w[0] > 1
            and w[1:3] == (3, 3)
            and a["strides"] in ((1, 1), (2, 2))
            and a["dilations"] == (1, 1)
        )
        took = any(f in FAMILIES for f in op_of(node).families(node, s.graph))
        assert not took or fits
        seen[took] += 1
    assert seen[False] > 300
