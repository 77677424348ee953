"""How a 3 x 3 depthwise convolution by bands of output rows, whose weights are code, becomes C
(runtime_c/kernels/conv2d/depthwise_band.h).

Kernels of the family dwconvband_t_s8 take static int8 inputs, ternary weights, one output a channel, stride 1 or 2 both
ways, no dilation and at most one column of padding on the left, and requantise to the whole range of int8 without a
pre-shift. A band has as many rows as fill the image best, of those that the code takes (BandLayout.most).

Scratch, all regions at multiples of 16 bytes:

    copy      the inputs of a band with their padding, but for that on the left: rows follow one another, or, where
              that would take them too far apart, columns do
    outputs   of a band, where bands do not fill the image
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgebit.ir.graph import Node, Requant
from edgebit.layouts.base import Layout, layout_of, round_up
from edgebit.layouts.code7d import BandLayout
from edgebit.layouts.thumb_depthwise import MAX_BAND, MAX_REACH, Band, Program
from edgebit.layouts.thumb_fused import Entry
from edgebit.ops.base import CConst, KernelChoice, Lowered
from edgebit.ops.code_c import CLAMP_TABLE, code_symbol, machine_code, pass_table
from edgebit.ops.linear import Weights, Window
from edgebit.ops.linear_c import entries_of, epilogue_of
from edgebit.ops.support import c_ints

BAND_FAMILY = "dwconvband_t_s8"


def code_band_families(node: Node, w: Weights, activations: str, g: Window) -> tuple[str, ...]:
    """The family of this file if it can compute the layer."""
    e = node.attrs.get("epilogue")
    fits = (
        g.depthwise
        and activations == "s8"
        and w.element == "trit"
        and isinstance(e, Requant)
        and (e.pre_shift, e.qmin, e.qmax) == (0, -128, 127)
        and g.outs == g.c
        and (g.kh, g.kw) == (3, 3)
        and g.strides in ((1, 1), (2, 2))
        and g.dilations == (1, 1)
        and g.pads[1] <= 1
        and _split(g, 0) is not None
    )
    return (BAND_FAMILY,) if fits else ()


@dataclass(frozen=True)
class _Split:
    """An image in `bands` bands. inside: columns of it that are copied."""

    band: Band
    bands: int
    inside: int

    @property
    def own_at(self) -> int:
        return round_up(self.band.inputs * self.band.columns * self.band.y_col, 16)


def _split(g: Window, padding: int, layout: Layout | None = None) -> _Split | None:
    """How the image is cut, None where even a row is too long."""
    stride, lead, c = g.strides[0], g.pads[1], g.c
    row = g.ow * c
    code = layout if isinstance(layout, BandLayout) else None
    most = min(code.most if code else MAX_BAND, g.oh, MAX_REACH // row + 1)
    bands = -(-g.oh // most)
    rows = -(-g.oh // bands)
    inputs, columns = stride * (rows - 1) + 3, stride * (g.ow - 1) + 3 - lead
    upright = (code is not None and code.upright) or (inputs - 1) * columns * c > MAX_REACH
    x_row, x_col = (c, inputs * c) if upright else (columns * c, c)
    band = Band(rows, g.ow, stride, lead, padding, x_row, x_col, row, c)
    return None if band.why_not() else _Split(band, bands, min(g.w, columns))


def lower_code_bands(node: Node, w: Weights, g: Window, choice: KernelChoice, padding: int) -> Lowered:
    """The Lowered of a conv2d node on a kernel of this family."""
    layout = layout_of(choice.layout)
    s = _split(g, padding, layout)
    assert s is not None
    b, matrix = s.band, _matrix(g, w)
    code = layout if isinstance(layout, BandLayout) else None
    raw = _program(node, g, code, matrix, b).raw if code else layout.pack(matrix)
    symbol = code_symbol(raw) if code else ""
    weights = CConst("w", "uint8_t", raw, symbol)
    consts = () if code else epilogue_of(node, g.outs).consts
    fields = c_ints(
        **g.c_fields(),
        padding=padding,
        band=b.rows,
        rows=b.inputs,
        inside=s.inside,
        columns=b.columns,
        x_row=b.x_row,
        x_col=b.x_col,
        own_at=s.own_at,
    )
    return Lowered(
        function=_name(choice.stem, symbol),
        kernels=(choice.stem, _copy(choice.stem), *([CLAMP_TABLE] if code and code.clamps else [])),
        inputs=(0,),
        consts=(weights, *consts),
        params=("eb_depthwise_band_params", fields),
        prelude=_prelude(choice.stem, weights, code is not None and code.clamps),
        scratch_bytes=s.own_at + (b.rows * b.y_row if g.oh % b.rows else 0),
        layout=layout.name,
        bits_per_weight=8.0 * len(raw) / matrix.size,
        kernel=choice.stem,
    )


def _matrix(g: Window, w: Weights) -> np.ndarray:
    return np.ascontiguousarray(w.values.reshape(g.outs, 9).T)


def _program(node: Node, g: Window, layout: BandLayout, matrix: np.ndarray, band: Band) -> Program:
    entries = [Entry(*v) for v in entries_of(node, g.outs)]
    return layout.pack_band(matrix, entries, band)


def _name(stem: str, symbol: str) -> str:
    return f"eb_depthwise_{stem}{f'_{symbol[-16:][:12]}' if symbol else ''}"


def _copy(stem: str) -> str:
    """The kernel that copies inputs."""
    return f"copy_runs__{stem.split('__')[1].split('_')[0]}"


def _prelude(stem: str, weights: CConst, clamps: bool) -> str:
    symbol = weights.symbol
    product = f"{symbol or f'eb_{stem}'}_product"
    arguments = "const void *w, const eb_requant_entry *entries, const eb_dwconvband_job *job"
    copy = f"eb_{_copy(stem)}"
    includes = f'#include "conv2d/depthwise_band.h"\n\nEB_COPY_RUNS_DECL({copy});\n'
    declared = f"EB_{BAND_FAMILY.upper()}_DECL(eb_{stem});\n\n"
    called = f"    eb_{stem}(w, entries, job);\n"
    if symbol:
        extern, parameter, argument = pass_table(clamps)
        declared = f"{extern}void {symbol}_run(const int8_t *x, int8_t *y{parameter});\n"
        declared += f"{machine_code(symbol, weights.raw)}\n"
        called = "    (void)w, (void)entries; // built into the code\n"
        called += f"    {symbol}_run(job->x, job->y{argument});\n"
    constants = "" if symbol else f"const {weights.ctype} *w, const eb_requant_entry *requant, "
    passed = "NULL, NULL" if symbol else "w, requant"
    return (
        f"{includes}{declared}EB_INLINE void {product}(\n        {arguments}) {{\n{called}}}\n\n"
        f"EB_NOINLINE static void {_name(stem, symbol)}(\n"
        f"        const eb_depthwise_band_params *p, const int8_t *x, {constants}int8_t *y, void *scratch) {{\n"
        f"    eb_depthwise_band(p, x, {passed}, {copy}, {product}, y, scratch);\n"
        "}\n"
    )


def code_band_work(node: Node, w: Weights, g: Window, choice: KernelChoice) -> dict[str, float]:
    """What the cost table prices for these kernels.

    tile: bands, which is how often the code is run; step: instructions of the code, wait: those that wait for what
    they load, and branches back. row: rows copied; run: parts of them that lie together; word: words copied, byte:
    bytes where they are no words. fill: parts filled with padding, fill_byte: their bytes. mac: products of kernels
    without code, those of rows past the last included. own: outputs copied.
    """
    layout = layout_of(choice.layout)
    s = _split(g, 0, layout)
    assert s is not None
    b = s.band
    bands = g.n * s.bands
    parts = 1 if b.x_col == g.c else s.inside
    tops = [k * b.rows * b.stride - g.pads[0] for k in range(s.bands)]
    rows = g.n * sum(max(0, min(g.h, top + b.inputs) - max(0, top)) for top in tops)
    outside = bands * b.inputs - rows
    behind = b.columns - s.inside
    copied = rows * s.inside * g.c
    counts: dict[str, float] = {
        "call": 1,
        "tile": bands,
        "row": rows,
        "run": rows * parts,
        "word": copied / 4 * (g.c % 4 == 0),
        "byte": copied * (g.c % 4 != 0),
        "fill": outside * parts + b.inputs * (behind if parts > 1 else behind > 0),
        "fill_byte": (outside * s.inside + b.inputs * behind) * g.c,
        "own": g.n * (g.oh % b.rows) * b.y_row,
    }
    if isinstance(layout, BandLayout):
        code = _program(node, g, layout, _matrix(g, w), b).runs
        counts |= {name: bands * code[name] for name in ("step", "wait")}
    else:
        counts["mac"] = 9 * bands * b.rows * b.y_row
    return {name: float(count) for name, count in counts.items()}
