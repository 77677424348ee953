"""Layers of networks on this machine's own kernels: whole layers, under the sanitizers, against NumPy."""

from __future__ import annotations

import c_harness
import numpy as np
import pytest

from edgebit.core import load_core
from edgebit.ir.graph import Graph, Int8Weights, Node, TernaryWeights
from edgebit.layouts.base import layout_of
from edgebit.ops.base import KernelChoice, Sample, op_of
from edgebit.ops.linear_samples import linear_sample

FAMILIES = ("matvec_s8", "dwconv_s8", "dwconv_t_s8", "add_s8")
pytestmark = pytest.mark.skipif(
    "avx2" not in load_core("host").isa, reason="the processor has no AVX2: its kernels cannot run"
)


def choose(node: Node, graph: Graph) -> KernelChoice | None:
    """The AVX2 kernel of the node's own family, None where there is none."""
    for family in op_of(node).families(node, graph):
        if family in FAMILIES:
            stem = f"{family}__avx2"
            layout = c_harness.kernel_layout(stem)
            return KernelChoice(stem, "" if layout == "none" else layout)
    return None


def depthwise(rng: np.random.Generator, count: int) -> list[Sample]:
    """All kinds of widths: below eight, between blocks, whole blocks; several outputs a channel."""
    found = []
    for _ in range(count):
        c, multiplier = int(rng.choice([3, 7, 8, 9, 15, 16, 17, 24, 31, 40])), int(rng.choice([1, 1, 1, 2]))
        kernel = int(rng.choice([1, 3, 5]))
        attrs = {
            "strides": (1, 1), "pads": (kernel // 2,) * 4, "dilations": (1, 1), "groups": c,
        }  # fmt: skip
        found.append(
            linear_sample(rng, "conv2d", (1, 6, 5, c), (c * multiplier, kernel, kernel, 1), attrs, 1)
        )
    return found


@pytest.mark.parametrize("op", ["dense", "conv2d", "add"])
def test_random_layers(op: str) -> None:
    samples = [s for s in c_harness.random_samples(op, 31, 50) if choose(s.graph.nodes[0], s.graph)][:14]
    assert len(samples) >= 8
    c_harness.check_samples(samples, choose=choose, extra=["-O1"])


def test_depthwise_layers() -> None:
    samples = [s for s in depthwise(np.random.default_rng(5), 24) if choose(s.graph.nodes[0], s.graph)]
    families = {c.stem for s in samples if (c := choose(s.graph.nodes[0], s.graph))}
    assert families == {"dwconv_s8__avx2", "dwconv_t_s8__avx2"}
    c_harness.check_samples(samples, choose=choose, extra=["-O1"])


def test_sums_reach_their_limits() -> None:
    """16-bit sums of trits with the most taps the layout takes, 32-bit ones of int8 with the largest products."""
    rng = np.random.default_rng(6)
    attrs = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "groups": 16}
    samples = []
    while len(samples) < 8:
        s = linear_sample(rng, "conv2d", (1, 15, 17, 16), (16, 15, 17, 1), attrs, 1)
        w = s.graph.consts[s.graph.nodes[0].inputs[1]]
        if not s.note.startswith(("affine trit", "affine s8")[len(samples) % 2]):
            continue
        assert isinstance(w, TernaryWeights | Int8Weights)
        weights = w.trits if isinstance(w, TernaryWeights) else w.q
        top = 1 if isinstance(w, TernaryWeights) else 127
        weights[...] = top if len(samples) % 4 < 2 else -top
        (x,) = s.inputs.values()
        x[...] = 127 if len(samples) < 4 else -128
        assert choose(s.graph.nodes[0], s.graph) is not None
        samples.append(s)
    assert layout_of("dwbytes").limits(np.ones((15 * 17, 16), np.int8)) is None
    c_harness.check_samples(samples, choose=choose, extra=["-O1"])
