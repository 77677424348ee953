"""From an imported graph to the canonical graph every target shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgebit.errors import UsageError
from edgebit.ir.graph import Array, Graph
from edgebit.passes.calibrate import quantise_static
from edgebit.passes.channels_last import channels_last
from edgebit.passes.cleanup import merge_equal, name_things
from edgebit.passes.dynamic import quantise_dynamic
from edgebit.passes.fold_affine import fold_affine
from edgebit.passes.fuse_activation import fuse_activation
from edgebit.passes.fuse_elementwise import channel_affine, fuse_elementwise
from edgebit.passes.fuse_linear import read_int8, requantise_linear
from edgebit.passes.fuse_lut import fuse_lut
from edgebit.passes.move_quantisation import raise_quantize, sink_dequantize
from edgebit.passes.validate import validate

ACTIVATIONS = ("as-trained", "int8-static", "int8-dynamic")


def prepare(
    graph: Graph,
    *,
    activations: str = "as-trained",
    calibration: Sequence[Mapping[str, Array]] | None = None,
) -> Graph:
    """The canonical, target-independent graph of `graph`, which is left as it is.

    activations: "as-trained" keeps floats where the model has floats and fuses the quantisation it came
    with; "int8-static" quantises everything it can with ranges found on `calibration` (one dict of input
    arrays, in the layout of the model file, per sample); "int8-dynamic" quantises the inputs of dense and
    conv2d at run time. Raises UsageError for a bad choice, ModelError for a graph that cannot be kept exact.
    """
    if activations not in ACTIVATIONS:
        raise UsageError(f"activations {activations!r}: choose one of {', '.join(ACTIVATIONS)}")
    g = simplify(graph)
    if activations == "int8-static":
        g = quantise_static(g, calibration)
    g = fuse_integer(g)
    if activations == "int8-dynamic":
        g = merge_equal(quantise_dynamic(g))
    g = name_things(merge_equal(g), graph.outputs)
    validate(g)
    return g


def simplify(graph: Graph) -> Graph:
    """Channels-last, constants and clamps folded, duplicates merged: still the float meaning."""
    g = merge_equal(channels_last(graph))
    g = fuse_activation(fold_affine(g))
    return merge_equal(g)


def fuse_integer(graph: Graph) -> Graph:
    """Turn quantize/dequantize pairs and the float ops between them into integer ops."""
    g = merge_equal(raise_quantize(sink_dequantize(graph)))
    g = merge_equal(fuse_lut(g))
    g = fuse_elementwise(channel_affine(g))
    return merge_equal(requantise_linear(read_int8(g)))
