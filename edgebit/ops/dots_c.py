"""How a convolution with int8 weights becomes C that computes four lanes of pixels at once (conv2d/conv2d_dots.h).

Kernels of the family `dots_s8` serve layers with static int8 inputs and outputs, few weights a row (first layers, as a
rule), one group and no dilation. Lanes are four output rows or, where that takes much scratch or computes more pixels
that are not there, the quarters of one.

Scratch, all regions at multiples of 16 bytes:

    packed    16 bytes a word of a lane: 2 * quads * kh, and kh more that are read with weights of 0
    rows      `slots` padded input rows of `line` bytes
    own       outputs of four lanes, where some may not be there
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Node, Requant, S8Array
from edgebit.layouts.base import layout_of, round_up
from edgebit.layouts.s16p2 import MAX_WORDS
from edgebit.ops.base import CConst, KernelChoice, Lowered
from edgebit.ops.linear import Weights, Window
from edgebit.ops.linear_c import epilogue_of, requant_fields
from edgebit.ops.support import c_ints

DOTS_FAMILY = "dots_s8"
LANES = 4
_SCRATCH = 10240
"""Bytes at most for lanes that are rows, unless quarters take more; rows take fewer calls and compute fewer pixels."""


def dots_families(node: Node, w: Weights, activations: str, g: Window) -> tuple[str, ...]:
    """The families of this file that can compute the layer."""
    fits = (
        activations == "s8"
        and w.element == "s8"
        and isinstance(node.attrs.get("epilogue"), Requant)
        and g.groups == 1
        and g.dilations == (1, 1)
        and g.outs >= 2
        and _words(g) <= MAX_WORDS
    )
    return (DOTS_FAMILY,) if fits else ()


def _places(g: Window, odd: int) -> list[tuple[int, int]]:
    """(word of the window, half) of each column, for windows that begin at an element that is odd or not."""
    half, last = g.kh // 2, g.kh % 2
    found: list[tuple[int, int]] = []
    for y in range(g.kh):
        for e in range(odd, odd + g.kw * g.c):
            word = e // 2 * g.kh - odd * half
            if y == g.kh - 1 and last:
                found.append((word + half, e % 2))
            else:
                found.append((word + e % 2 * (half + last) + y // 2, y % 2))
    return found


def _sets(g: Window) -> int:
    """How many alignments of windows there are."""
    return 1 + g.strides[1] * g.c % 2


def _words(g: Window) -> int:
    """Words of a window."""
    return 1 + max(word for odd in range(_sets(g)) for word, _ in _places(g, odd))


@dataclass(frozen=True)
class _Lanes:
    """The members of eb_conv2d_dots_params of the same names."""

    lane_rows: bool
    pixels: int
    quads: int
    words: int
    line: int
    lead: int
    origin: int
    slots: int
    rows_at: int
    own_at: int
    scratch: int

    @staticmethod
    def of(g: Window) -> _Lanes:
        quarters, rows = (_Lanes._of(g, lane_rows) for lane_rows in (False, True))
        made = [g.oh * LANES * quarters.pixels, round_up(g.oh, LANES) * g.ow]
        small = rows.scratch <= max(_SCRATCH, quarters.scratch)
        return rows if small and made[1] <= made[0] else quarters

    @staticmethod
    def _of(g: Window, lane_rows: bool) -> _Lanes:
        pixels = g.ow if lane_rows else -(-g.ow // LANES)
        step = g.strides[1] * g.c
        quads = -(-((pixels - 1) * step + g.kw * g.c) // 4)
        lead = round_up(g.pads[1] * g.c, 4)
        origin = lead - g.pads[1] * g.c
        reach = origin + (0 if lane_rows else (LANES - 1) * pixels * step) + 4 * quads
        line = round_up(max(lead + g.w * g.c, reach), 16)
        slots = g.kh + (LANES - 1) * g.strides[0] * lane_rows
        rows_at = 16 * (2 * quads + 1) * g.kh
        own_at = rows_at + slots * line
        whole = g.oh % LANES == 0 if lane_rows else LANES * pixels == g.ow
        own = 0 if whole else round_up(LANES * pixels * g.outs, 16)
        words = _words(g)
        return _Lanes(
            lane_rows, pixels, quads, words, line, lead, origin, slots, rows_at, own_at, own_at + own
        )


def lower_dots(node: Node, w: Weights, g: Window, choice: KernelChoice, padding: int) -> Lowered:
    """The Lowered of a conv2d node on a kernel of DOTS_FAMILY."""
    layout = layout_of(choice.layout)
    matrix = w.values.reshape(g.outs, -1)
    p = _Lanes.of(g)
    sets = _sets(g)
    spread: list[S8Array] = []
    for odd in range(sets):
        wide = np.zeros((g.outs, p.words, 2), np.int8)
        for k, (word, half) in enumerate(_places(g, odd)):
            wide[:, word, half] = matrix[:, k]
        spread.append(wide.reshape(g.outs, -1))
    why = layout.limits(spread[0])
    if why is not None:
        raise EdgebitError(f"node {node.name!r} cannot use the layout {layout.name}: {why}")
    packed = [layout.pack(s) for s in spread]
    raw = b"".join(packed)
    requant = requant_fields(node.attrs["epilogue"])
    fields = c_ints(
        **g.c_fields(),
        padding=padding,
        lane_rows=int(p.lane_rows),
        pixels=p.pixels,
        quads=p.quads,
        words=p.words,
        sets=sets,
        set_words=len(packed[0]) // 4,
        line=p.line,
        lead=p.lead,
        origin=p.origin,
        slots=p.slots,
        rows_at=p.rows_at,
        own_at=p.own_at,
    )
    pack = f"pack_lanes__{choice.stem.split('__')[1]}"
    name = f"eb_conv2d_{choice.stem}_requant"
    return Lowered(
        function=name,
        kernels=(choice.stem, pack),
        inputs=(0,),
        consts=(CConst("w", "uint32_t", raw), *epilogue_of(node, g.outs).consts),
        params=("eb_conv2d_dots_params", fields | {"requant": requant}),
        prelude=(
            '#include "conv2d/conv2d_dots.h"\n\n'
            f"EB_DOTS_S8_DECL(eb_{choice.stem});\n\n"
            f"EB_PACK_LANES_DECL(eb_{pack});\n\n"
            f"EB_NOINLINE static void {name}(\n"
            "        const eb_conv2d_dots_params *p, const int8_t *x, const uint32_t *w,\n"
            "        const eb_requant_entry *requant, int8_t *y, void *scratch) {\n"
            f"    eb_conv2d_dots(p, x, w, requant, eb_{pack}, eb_{choice.stem}, y, scratch);\n"
            "}\n"
        ),
        scratch_bytes=p.scratch,
        layout=layout.name,
        bits_per_weight=8.0 * len(raw) / matrix.size,
        kernel=choice.stem,
    )


def dots_work(node: Node, w: Weights, g: Window, choice: KernelChoice) -> dict[str, float]:
    """What the cost table prices for these kernels.

    group: four lanes; line: input rows copied, line_word, line_byte: of them as words, as bytes; lane: packings of a
    lane's rows, quad2, quad1: four elements packed of two rows, of one. pass: kernel calls times pairs of rows; block:
    four pixels of two rows; word: words of these but the first, framed: of which beyond 16; shifted: blocks with a
    pre-shift; clamped: outputs to less than int8; spare: outputs written elsewhere first.
    """
    p = _Lanes.of(g)
    e = node.attrs["epilogue"]
    sets = min(_sets(g), p.pixels)
    groups = g.n * (-(-g.oh // LANES) if p.lane_rows else g.oh)
    lines = g.n * (g.kh + (g.oh - 1) * min(g.kh, g.strides[0]))
    bytes_ = lines * g.w * g.c
    pairs = -(-g.outs // 2)
    blocks = groups * p.pixels * pairs
    outputs = groups * LANES * p.pixels * g.outs
    counts = {
        "call": 1,
        "group": groups,
        "line": lines,
        "line_word": 0 if g.w * g.c % 4 else bytes_ / 4,
        "line_byte": bytes_ if g.w * g.c % 4 else 0,
        "lane": groups * LANES * -(-g.kh // 2),
        "quad2": groups * LANES * (g.kh // 2) * p.quads,
        "quad1": groups * LANES * (g.kh % 2) * p.quads,
        "pass": groups * sets * pairs,
        "block": blocks,
        "word": blocks * min(16, p.words - 1),
        "framed": blocks * max(0, p.words - 1 - 16),
        "shifted": blocks * (e.pre_shift > 0),
        "clamped": outputs * ((e.qmin, e.qmax) != (-128, 127)),
        "spare": 0 if p.scratch == p.own_at else outputs,
    }
    return {name: float(count) for name, count in counts.items()}
