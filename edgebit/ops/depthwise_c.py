"""How a 3 x 3 depthwise convolution computed by bands of output rows becomes C (conv2d/depthwise3x3.h).

Kernels of the families `dwconv3x3_s8` and `dwconv3x3_t_s8` take static int8 inputs, int8 or ternary weights, one
output a channel, stride 1 or 2 both ways and no dilation, requantise, and need an image that fills their bands.
All other depthwise convolutions run pixel by pixel (edgebit/ops/linear_c.py).

A band is a number of output rows that the kernel fixes. Where the image is no wider than that, it may be turned:
the kernel gets the image's columns for rows, the transposed weights, and chunks of rows for its columns, as many
as need at most _OUTPUTS bytes of scratch.

Scratch, all regions at multiples of 16 bytes:

    outputs   band * OW * C bytes; when turned (chunk - 1) * OW * C + band * C
    plane     BandLayout.plane(stem, columns, stride): one channel of the band
    padding   one input pixel of padding
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Node, Requant
from edgebit.layouts.base import Layout, layout_of, round_up
from edgebit.layouts.dwquads import BandLayout
from edgebit.ops.base import CConst, KernelChoice, Lowered
from edgebit.ops.linear import Weights, Window
from edgebit.ops.linear_c import epilogue_of, requant_fields
from edgebit.ops.support import c_ints

FAMILIES = ("dwconv3x3_s8", "dwconv3x3_t_s8")
_REF_BAND = 6
_LEAST_FILL = 0.55
"""Layers that fill bands less are faster pixel by pixel."""
_OUTPUTS = 4608
"""Bytes of scratch for the outputs of a turned image, at most (a row of the image more when that is larger)."""
_AROUND = 6
"""What a call costs besides its line, in columns."""


def band_families(node: Node, w: Weights, activations: str, g: Window) -> tuple[str, ...]:
    """The families of this file that can compute the layer."""
    fits = (
        g.depthwise
        and activations == "s8"
        and w.element in ("s8", "trit")
        and isinstance(node.attrs.get("epilogue"), Requant)
        and g.outs == g.c
        and (g.kh, g.kw) == (3, 3)
        and g.strides in ((1, 1), (2, 2))
        and g.dilations == (1, 1)
        and min(g.w, _columns(g) - g.pads[1]) >= 1
        and max(_fill(g.oh), _fill(g.ow) if g.ow <= _REF_BAND else 0.0) > _LEAST_FILL
    )
    return (f"dwconv3x3_{'t_' if w.element == 'trit' else ''}s8",) if fits else ()


def _fill(rows: int) -> float:
    """The share of whole bands that `rows` output rows fill."""
    return rows / round_up(rows, _REF_BAND)


def _columns(g: Window) -> int:
    """Columns that windows reach, padding included."""
    return (g.ow - 1) * g.strides[1] + 3


@dataclass(frozen=True)
class _Band:
    """Sizes of a layer's bands. band, rows: output and input rows of the kernel, the latter rounded up to 2.
    chunk: output rows of the image computed at a time."""

    turned: bool
    chunk: int
    band: int
    rows: int
    plane_at: int
    pad_at: int
    scratch: int


@dataclass(frozen=True)
class _Call:
    """One call of the kernel: outputs of a line, its inputs in the image, which input rows are padding, and how many
    output rows are wanted."""

    outs: int
    inside: int
    padded: tuple[bool, ...]
    wanted: int
    edges: int  # outputs whose windows reach columns of padding


def _band(g: Window, layout: Layout, stem: str) -> _Band:
    stride = g.strides[0]
    banded = layout if isinstance(layout, BandLayout) else None
    band = banded.band(stem, stride) if banded else _REF_BAND
    most = max(1, _OUTPUTS // (g.ow * g.c))
    chunks = -(-g.oh // most)
    long = -(-g.oh // chunks)
    turned = g.ow <= band and chunks * (long + _AROUND) < -(-g.oh // band) * (g.ow + _AROUND)
    turned = turned and all(_line(g.h, g.oh - y if y + long > g.oh else long, y * stride - g.pads[0], stride) > 0
                            for y in range(0, g.oh, long))  # fmt: skip
    chunk = long if turned else band
    columns = (chunk - 1) * stride + 3 if turned else _columns(g)
    outputs = ((chunk - 1) * g.ow + band) * g.c if turned else band * g.ow * g.c
    plane_at = round_up(outputs, 16)
    pad_at = plane_at + round_up(banded.plane(stem, columns, stride) if banded else 0, 16)
    return _Band(
        turned=turned,
        chunk=chunk,
        band=band,
        rows=round_up((band - 1) * stride + 3, 2),
        plane_at=plane_at,
        pad_at=pad_at,
        scratch=pad_at + round_up(g.c, 16),
    )


def _line(size: int, outs: int, start: int, stride: int) -> int:
    """How many of a line's `size` inputs `outs` windows reach, the first of which begins at `start`."""
    return min(size, start + (outs - 1) * stride + 3) - max(0, start)


def _calls(g: Window, b: _Band) -> list[_Call]:
    """The calls of the kernel for one image."""
    stride = g.strides[0]
    top, left = g.pads[0], g.pads[1]
    found: list[_Call] = []
    for y in range(0, g.oh, b.chunk):
        outs = min(b.chunk, g.oh - y) if b.turned else g.ow
        first, lines = (-left, g.w) if b.turned else (y * stride - top, g.h)
        size, start = (g.h, y * stride - top) if b.turned else (g.w, -left)
        padded = tuple(not 0 <= first + r < lines for r in range(b.rows))
        edges = sum(not 0 <= start + u * stride <= size - 3 for u in range(outs))
        wanted = g.ow if b.turned else min(b.band, g.oh - y)
        found.append(_Call(outs, _line(size, outs, start, stride), padded, wanted, edges))
    return found


def lower_bands(node: Node, w: Weights, g: Window, choice: KernelChoice, padding: int) -> Lowered:
    """The Lowered of a conv2d node on a kernel of one of FAMILIES."""
    layout = layout_of(choice.layout)
    b = _band(g, layout, choice.stem)
    values = w.values.reshape(g.outs, 3, 3)
    matrix = np.ascontiguousarray((values.transpose(0, 2, 1) if b.turned else values).reshape(g.outs, 9).T)
    why = layout.limits(matrix)
    if why is not None:
        raise EdgebitError(f"node {node.name!r} cannot use the layout {layout.name}: {why}")
    raw = layout.pack(matrix)
    requant = requant_fields(node.attrs["epilogue"])
    fields = c_ints(
        **g.c_fields(),
        padding=padding,
        turned=int(b.turned),
        chunk=b.chunk,
        band=b.band,
        rows=b.rows,
        plane_at=b.plane_at,
        pad_at=b.pad_at,
    )
    family = choice.stem.split("__")[0]
    name = f"eb_depthwise3x3_{choice.stem}_requant"
    ctype = "uint8_t" if layout.element == "trit" else "int8_t"
    return Lowered(
        function=name,
        kernels=(choice.stem,),
        inputs=(0,),
        consts=(CConst("w", ctype, raw), *epilogue_of(node, g.outs).consts),
        params=("eb_depthwise3x3_params", fields | {"requant": requant}),
        prelude=(
            '#include "conv2d/depthwise3x3.h"\n'
            f'#include "{family}/{family}.h"\n\n'
            f"EB_{family.upper()}_DECL(eb_{choice.stem});\n\n"
            f"EB_NOINLINE static void {name}(\n"
            f"        const eb_depthwise3x3_params *p, const int8_t *x, const {ctype} *w,\n"
            "        const eb_requant_entry *requant, int8_t *y, void *scratch) {\n"
            f"    eb_depthwise3x3(p, x, w, requant, eb_{choice.stem}, y, scratch);\n"
            "}\n"
        ),
        scratch_bytes=b.scratch,
        layout=layout.name,
        bits_per_weight=8.0 * len(raw) / matrix.size,
        kernel=choice.stem,
    )


def band_work(node: Node, w: Weights, g: Window, choice: KernelChoice) -> dict[str, float]:
    """What the cost table prices for these kernels.

    mac: products, those of rows past the last included, and of channels computed twice. band: bands; channel:
    channels of bands. pair: pairs of input rows packed; inside: pairs of inputs, of which beside: with a row of
    padding, both: without. whole: columns of outputs of bands all of whose rows are wanted. sum, sum2: columns of
    outputs at stride 1 and 2; add: nonzero weights times those. output, output2: outputs of whole bands at stride 1 and
    2, of which shifted: those with a pre-shift, clamped: those to less than int8. copy: outputs copied from scratch.
    edge: outputs whose windows reach columns of padding; part: those of the last channels, where they are fewer than
    are computed together.
    """
    layout = layout_of(choice.layout)
    b = _band(g, layout, choice.stem)
    e = node.attrs["epilogue"]
    one = g.strides[0] == 1
    calls = _calls(g, b) * g.n
    pairs = layout.pairs(g.strides[0]) if isinstance(layout, BandLayout) else []
    together = layout.together if isinstance(layout, BandLayout) else 1
    channels = layout.made(g.c, g.strides[0], b.turned) if isinstance(layout, BandLayout) else g.c
    columns = channels * sum(c.outs for c in calls)
    outputs = columns * b.band
    inside = [(c, c.padded[low] != c.padded[high]) for c in calls for low, high in pairs]
    counts = {
        "call": 1,
        "mac": 9 * outputs,
        "band": len(calls),
        "channel": len(calls) * channels,
        "pair": len(inside) * channels,
        "inside": channels * sum(c.inside for c, _ in inside),
        "beside": channels * sum(c.inside for c, mixed in inside if mixed),
        "both": channels * sum(c.inside for c, mixed in inside if not mixed),
        "whole": channels * sum(c.outs for c in calls if c.wanted == b.band),
        "sum": columns * one,
        "sum2": columns * (not one),
        "add": columns // channels * int(np.count_nonzero(w.values)),
        "output": outputs * one,
        "output2": outputs * (not one),
        "shifted": outputs * (e.pre_shift > 0),
        "clamped": outputs * ((e.qmin, e.qmax) != (-128, 127)),
        "copy": g.pixels * g.c,
        "edge": channels * b.band * sum(c.edges for c in calls),
        "part": (channels - g.c > 0) * together * b.band * sum(c.outs for c in calls),
    }
    return {name: float(count) for name, count in counts.items()}


def lane_work(g: Window) -> dict[str, float]:
    """What vector kernels that compute depthwise convolutions pixel by pixel do: of blocks of sixteen channels or of
    the eight that are left over, block: made; block_tap: multiplied by the weights of one tap. plain: products
    where there are fewer than eight channels or several outputs for each."""
    taps = g.kh * g.kw
    if g.outs != g.c or g.c < 8:
        return {"block": 0.0, "block_tap": 0.0, "plain": float(g.pixels * taps * g.outs)}
    blocks = g.pixels * (g.c // 16 + (g.c % 16 >= 8) + (g.c % 8 > 0))
    return {"block": float(blocks), "block_tap": float(blocks * taps), "plain": 0.0}
