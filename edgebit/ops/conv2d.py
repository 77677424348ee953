"""conv2d: a channels-last convolution with groups; 1-D convolutions have H = KH = 1.

inputs: x (N, H, W, C) f32 or s8; w constant (OC, KH, KW, C / groups) f32, TernaryWeights or Int8Weights; for
dynamic int8 also d f32 (N,), the scale of each image. attrs: epilogue (Requant: s8 out, with out_quant;
Affine: f32 out), strides (2), pads (top, left, bottom, right), dilations (2), groups.

Static int8 pads with the input's zero point, everything else with 0. Sums run over kernel row, kernel column,
channel; see edgebit/ops/linear.py. Depthwise means groups == C > 1, with any number of outputs a channel.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, Const, DType, Graph, Node, Tensor
from edgebit.layouts.base import round_up
from edgebit.ops.bands_c import BAND_FAMILY, code_band_families, code_band_work, lower_code_bands
from edgebit.ops.base import KernelChoice, Lowered, Op, Sample
from edgebit.ops.dense import TOKENS_FAMILY
from edgebit.ops.depthwise_c import FAMILIES as BANDED
from edgebit.ops.depthwise_c import band_families, band_work, lane_work, lower_bands
from edgebit.ops.dots_c import DOTS_FAMILY, dots_families, dots_work, lower_dots
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
from edgebit.ops.linear_c import Packed, assemble, family_of, pack
from edgebit.ops.linear_samples import linear_sample
from edgebit.ops.points_c import POINTS_FAMILY, lower_points, point_families, point_work, takes_points
from edgebit.ops.strips_c import STRIP_FAMILIES, lower_strips, strip_families, strip_work
from edgebit.ops.support import bad, c_ints, integer, integers, output
from edgebit.ops.tiles_c import FAMILIES, is_packed, lower_tiles, tiled_families
from edgebit.ops.tiles_work import tile_work
from edgebit.ops.windows_c import SHORT, lower_windows, takes_windows, window_families, window_work

_BLOCK = 1 << 21  # window elements gathered at a time by the reference


def window_of(node: Node, x: tuple[int, ...], w: tuple[int, ...]) -> Window:
    """The checked geometry of a node with an input of shape `x` and weights of shape `w`."""
    if len(x) != 4:
        raise bad(node, f"the input must be (N, H, W, C), it is {x}")
    strides = integers(node, "strides", 2, 1, default=(1, 1))
    top, left, bottom, right = pads = integers(node, "pads", 4, 0, default=(0, 0, 0, 0))
    dilations = integers(node, "dilations", 2, 1, default=(1, 1))
    groups = integer(node, "groups", 1, x[3], 1)
    if x[3] % groups or w[0] % groups:
        raise bad(node, f"{groups} groups divide neither {x[3]} inputs nor {w[0]} outputs evenly")
    if w[3] != x[3] // groups:
        raise bad(node, f"weights of shape {w} do not fit {x[3]} channels in {groups} groups")
    oh = (x[1] + top + bottom - (w[1] - 1) * dilations[0] - 1) // strides[0] + 1
    ow = (x[2] + left + right - (w[2] - 1) * dilations[1] - 1) // strides[1] + 1
    if oh < 1 or ow < 1:
        raise bad(node, f"the kernel {w[1]} x {w[2]} is larger than the padded input {x[1]} x {x[2]}")
    return Window(
        *x,
        kh=w[1],
        kw=w[2],
        oh=oh,
        ow=ow,
        outs=w[0],
        strides=(strides[0], strides[1]),
        pads=(pads[0], pads[1], pads[2], pads[3]),
        dilations=(dilations[0], dilations[1]),
        groups=groups,
    )


class Conv2d(Op):
    """A two-dimensional convolution."""

    name = "conv2d"

    def infer(self, node: Node, graph: Graph) -> list[Tensor]:
        w = weights_of(node, graph, 4)
        known = graph.tensors.get(node.inputs[0])
        x, dtype, quant = check_linear(node, graph, w, known.shape[0] if known and known.shape else 0)
        g = window_of(node, x.shape, w.values.shape)
        return [output(node, (g.n, g.oh, g.ow, g.outs), dtype, quant)]

    def run(self, node: Node, graph: Graph, args: list[Array | Const | None]) -> list[Array]:
        x = args[0]
        if not isinstance(x, np.ndarray) or args[1] is None:
            raise EdgebitError(f"node {node.name!r} was run without its inputs")
        w = plain_weights(args[1]).values
        g = window_of(node, x.shape, w.shape)
        padded = _pad(x, g, _padding(node, graph))
        acc = _depthwise(padded, w, g) if g.depthwise else _grouped(padded, w, g)
        d = args[2] if is_dynamic(node) else None
        return [finish(node, acc, d[:, None, None, None] if isinstance(d, np.ndarray) else None)]

    def families(self, node: Node, graph: Graph) -> tuple[str, ...]:
        x, w, g = self._parts(node, graph)
        kind = x.dtype.value
        own = family_of(w, kind, g.depthwise)
        bands = (*band_families(node, w, kind, g), *code_band_families(node, w, kind, g))
        several = (
            *tiled_families(node, w, kind, g),
            *strip_families(w, kind, g),
            *window_families(w, kind, g),
            *dots_families(node, w, kind, g),
        )
        return (own, *several, *point_families(node, w, kind, g), *bands)

    def takes(self, node: Node, graph: Graph, choice: KernelChoice) -> bool:
        family, _, variant = choice.stem.partition("__")
        if family == POINTS_FAMILY:
            return takes_points(choice, self._parts(node, graph)[2])
        if family in (DOTS_FAMILY, BAND_FAMILY):
            return variant != "ref"
        return family != TOKENS_FAMILY or takes_windows(choice)

    def lower(self, node: Node, graph: Graph, choice: KernelChoice | None) -> Lowered:
        x, w, g = self._parts(node, graph)
        family = self.families(node, graph)[0]
        if choice is not None and choice.stem.split("__")[0] in FAMILIES:
            return lower_tiles(node, w, g, choice, _padding(node, graph))
        if choice is not None and choice.stem.split("__")[0] in STRIP_FAMILIES:
            return lower_strips(node, w, g, choice, _padding(node, graph))
        if choice is not None and choice.stem.split("__")[0] == TOKENS_FAMILY:
            return lower_windows(node, w, g, choice, _padding(node, graph))
        if choice is not None and choice.stem.split("__")[0] == POINTS_FAMILY:
            return lower_points(node, w, g, choice)
        if choice is not None and choice.stem.split("__")[0] == DOTS_FAMILY:
            return lower_dots(node, w, g, choice, _padding(node, graph))
        if choice is not None and choice.stem.split("__")[0] == BAND_FAMILY:
            return lower_code_bands(node, w, g, choice, _padding(node, graph))
        if choice is not None and choice.stem.split("__")[0] in BANDED:
            return lower_bands(node, w, g, choice, _padding(node, graph))
        if g.depthwise:
            blocks = [np.ascontiguousarray(w.values.reshape(g.outs, -1).T)]
        else:
            blocks = list(w.values.reshape(g.groups, g.outs // g.groups, -1))
        packed = pack(node, w, family, choice, blocks)
        gather, window_at, kernel_at, scratch = _scratch(g, x.dtype, packed)
        fields = c_ints(
            **g.c_fields(),
            groups=g.groups,
            group_bytes=packed.group_bytes,
            padding=_padding(node, graph),
            gather=int(gather),
            window_at=window_at,
            kernel_at=kernel_at,
        )
        return assemble(node, packed, "depthwise" if g.depthwise else "conv2d", fields, scratch)

    def overlap(self, node: Node, graph: Graph) -> list[int | None]:
        x, _, g = self._parts(node, graph)
        out = graph.tensors[node.outputs[0]]
        distance = overlap_distance(g, x.dtype.bytes, out.dtype.bytes)
        return [distance, *([None] * (len(node.inputs) - 1))]

    def macs(self, node: Node, graph: Graph) -> int:
        """Multiply-accumulates with padding counted as input."""
        _, w, g = self._parts(node, graph)
        return g.pixels * int(w.values.size)

    def work(self, node: Node, graph: Graph) -> dict[str, float]:
        """mac; row: sums made; col: input elements given to the kernel; pixel: epilogues; product: kernel
        calls; tap: window positions visited; element: outputs; step: float operations on them; call: 1. Of what
        is gathered, window: windows, run: stretches copied, cut: kernel rows of those that reach padding, copy:
        elements copied, and short: those of stretches that are copied without a call. Of depthwise products,
        ragged: those for which pixels or outputs do not come in fours. And requant_work."""
        x, w, g = self._parts(node, graph)
        products = g.pixels * (1 if g.depthwise else g.groups)
        gathered = 0 if g.depthwise else products * gathers(g, x.dtype)
        whole_rows = g.groups == 1 and g.dilations[1] == 1
        counts = {
            "mac": g.pixels * w.values.size,
            "row": g.pixels * g.outs,
            "col": g.pixels * g.kh * g.kw * g.c,
            "pixel": g.pixels,
            "product": products,
            "tap": products * g.kh * g.kw,
            "element": g.pixels * g.outs,
            "step": g.pixels * g.outs * epilogue_steps(node),
            "call": 1,
            "window": gathered,
            "run": gathered * g.kh * (1 if whole_rows else g.kw),
            "cut": g.cut * g.groups * g.kh if gathered else 0,
            "copy": gathered * g.cols,
            "short": gathered * g.cols * (whole_rows and g.kw * g.c * x.dtype.bytes <= SHORT),
            "ragged": g.pixels * w.values.size if g.depthwise and (g.c % 4 != 0 or g.outs != g.c) else 0,
        }
        return {n: float(v) for n, v in counts.items()} | requant_work(node, g.pixels, g.outs)

    def kernel_work(self, node: Node, graph: Graph, choice: KernelChoice) -> dict[str, float] | None:
        """What edgebit/ops/tiles_work.py, strips_c.py, windows_c.py, points_c.py, dots_c.py, depthwise_c.py and
        bands_c.py count, for their kernels."""
        _, w, g = self._parts(node, graph)
        family, _, variant = choice.stem.partition("__")
        if g.depthwise and variant == "neon":
            return self.work(node, graph) | lane_work(g)
        if family in FAMILIES:
            return tile_work(node, w, g, choice)
        if family in BANDED:
            return band_work(node, w, g, choice)
        if family == BAND_FAMILY:
            return code_band_work(node, w, g, choice)
        if family == TOKENS_FAMILY:
            return window_work(node, w, g, choice)
        if family == POINTS_FAMILY:
            return point_work(node, w, g, choice)
        if family == DOTS_FAMILY:
            return dots_work(node, w, g, choice)
        return strip_work(node, w, g, choice) if family in STRIP_FAMILIES else None

    def requantises(self, stem: str) -> bool:
        family = stem.split("__")[0]
        return family in (*BANDED, BAND_FAMILY, *STRIP_FAMILIES, POINTS_FAMILY, DOTS_FAMILY) or (
            family in FAMILIES and is_packed(stem)
        )

    def samples(self, rng: np.random.Generator) -> Sample:
        def pick(*values: int) -> int:
            return int(rng.choice(values))

        depthwise = rng.random() < 0.35
        pointwise = not depthwise and rng.random() < 0.3
        groups = pick(2, 3, 4, 5, 8, 16, 17) if depthwise else pick(1, 1, 1, 2, 3)
        channels = groups if depthwise else groups * pick(1, 2, 3, 4, 8, 16)
        outs = groups * pick(1, 1, 2, 3) if depthwise else groups * pick(1, 2, 3, 4, 5, 8, 9)
        flat = rng.random() < 0.2
        kernel = (1, 1) if pointwise else (1 if flat else pick(1, 2, 3, 5), pick(1, 2, 3, 4))
        size = (1 if flat else pick(1, 3, 4, 5, 8), pick(1, 2, 4, 5, 7))
        strides = (pick(1, 1, 2, 3), pick(1, 1, 2, 3))
        dilations = (pick(1, 1, 2), pick(1, 1, 2, 3))
        pads = [0, 0, 0, 0]
        if rng.random() < 0.7 and not (pointwise and rng.random() < 0.7):
            pads = [0 if flat and i % 2 == 0 else pick(0, 1, 1, 2, 3) for i in range(4)]
        for axis in (0, 1):
            missing = (kernel[axis] - 1) * dilations[axis] + 1 - size[axis] - pads[axis] - pads[axis + 2]
            pads[axis + 2] += max(0, missing)
        n = pick(1, 1, 2)
        attrs = {"strides": strides, "pads": tuple(pads), "dilations": dilations, "groups": groups}
        weights = (outs, *kernel, channels // groups)
        return linear_sample(rng, "conv2d", (n, *size, channels), weights, attrs, n)

    def _parts(self, node: Node, graph: Graph) -> tuple[Tensor, Weights, Window]:
        x = graph.tensors[node.inputs[0]]
        w = plain_weights(graph.consts[node.inputs[1]])
        return x, w, window_of(node, x.shape, w.values.shape)


def _padding(node: Node, graph: Graph) -> int:
    """The int8 value of padding (0 for binary32 and for dynamic int8)."""
    x = graph.tensors[node.inputs[0]]
    if x.dtype is not DType.S8 or is_dynamic(node) or x.quant is None:
        return 0
    return x.quant.zero_point


def gathers(g: Window, dtype: DType) -> bool:
    """Whether windows are copied: not where a 1x1 kernel finds its inputs together and aligned."""
    ins = g.c // g.groups
    aligned = ins % (16 if dtype is DType.S8 else 8) == 0
    alone = g.n * g.h * g.w * g.groups == 1 and dtype is DType.S8
    return g.kh * g.kw > 1 or any(g.pads) or not (aligned or alone)


def _scratch(g: Window, dtype: DType, packed: Packed) -> tuple[bool, int, int, int]:
    """(gather, window_at, kernel_at, bytes): see edgebit/ops/linear_c.py."""
    layout = packed.layout
    if g.depthwise:
        padded = any(g.pads)
        window_at = round_up(4 * g.outs, 16)
        kernel_at = window_at + round_up(8 * g.kh * g.kw, 16)
        return padded, window_at, kernel_at, kernel_at + padded * round_up(g.c * dtype.bytes, 16)
    outs = g.outs // g.groups
    lanes = 16 if dtype is DType.S8 else 8
    gather = gathers(g, dtype)
    window_at = round_up(4 * (g.outs - outs + round_up(outs, layout.row_multiple)), 16)
    kernel_at = window_at + (round_up(g.cols, lanes) * dtype.bytes if gather else 0)
    own = layout.scratch(packed.stem, outs, g.cols)
    return gather, window_at, kernel_at, kernel_at + round_up(own, 16)


def _pad(x: Array, g: Window, value: int) -> Array:
    top, left, bottom, right = g.pads
    if not any(g.pads):
        return x
    return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=value)


def _grouped(padded: Array, w: Array, g: Window) -> Array:
    """Sums (N, OH, OW, OC) of a convolution that is not depthwise."""
    sums = lane_sums if padded.dtype == np.float32 else integer_sums
    acc = np.empty((g.n, g.oh, g.ow, g.outs), np.float32 if padded.dtype == np.float32 else np.int32)
    ins, outs = g.c // g.groups, g.outs // g.groups
    rows = w.reshape(g.groups, outs, -1)
    for image, first, last, windows in _windows(padded, g):
        for k in range(g.groups):
            x = windows[..., k * ins : (k + 1) * ins].reshape((last - first) * g.ow, -1)
            made = sums(np.ascontiguousarray(x), rows[k]).reshape(last - first, g.ow, outs)
            acc[image, first:last, :, k * outs : (k + 1) * outs] = made
    return acc


def _windows(padded: Array, g: Window) -> Iterator[tuple[int, int, int, Array]]:
    """Blocks of output rows: (image, first row, row past the last, (rows, OW, KH, KW, C) inputs)."""
    iy = np.arange(g.oh)[:, None] * g.strides[0] + np.arange(g.kh) * g.dilations[0]
    ix = np.arange(g.ow)[:, None] * g.strides[1] + np.arange(g.kw) * g.dilations[1]
    step = max(1, _BLOCK // (g.ow * g.kh * g.kw * g.c))
    for n in range(g.n):
        for first in range(0, g.oh, step):
            last = min(g.oh, first + step)
            yield n, first, last, padded[n][iy[first:last, None, :, None], ix[None, :, None, :]]


@np.errstate(over="ignore", under="ignore", invalid="ignore")
def _depthwise(padded: Array, w: Array, g: Window) -> Array:
    """Sums (N, OH, OW, OC) of a depthwise convolution, tap after tap."""
    kind: type[Any] = np.float32 if padded.dtype == np.float32 else np.int32
    acc: Array = np.zeros((g.n, g.oh, g.ow, g.c, g.outs // g.c), kind)
    taps = w.astype(kind).reshape(g.c, -1, g.kh, g.kw)
    for ky in range(g.kh):
        y0 = ky * g.dilations[0]
        rows = padded[:, y0 : y0 + (g.oh - 1) * g.strides[0] + 1 : g.strides[0]]
        for kx in range(g.kw):
            x0 = kx * g.dilations[1]
            x = rows[:, :, x0 : x0 + (g.ow - 1) * g.strides[1] + 1 : g.strides[1]]
            acc += x.astype(kind)[..., None] * taps[:, :, ky, kx]
    return acc.reshape(g.n, g.oh, g.ow, g.outs)
