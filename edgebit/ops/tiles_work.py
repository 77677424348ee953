"""What the cost table prices for convolutions in tiles of pixels (edgebit/ops/tiles_c.py)."""

from __future__ import annotations

from edgebit.ir.graph import Node, Requant
from edgebit.layouts.base import layout_of
from edgebit.layouts.byte_lists import ByteLists
from edgebit.layouts.code7q import FusedLayout
from edgebit.layouts.pixels import PIXELS, PixelLayout
from edgebit.layouts.thumb_fused import Entry
from edgebit.ops.base import KernelChoice
from edgebit.ops.linear import Weights, Window, epilogue_steps
from edgebit.ops.linear_c import entries_of
from edgebit.ops.tiles_c import DOT_PIXELS, in_line, is_code, is_fused, is_packed, tile_pixels


def tile_work(node: Node, w: Weights, g: Window, choice: KernelChoice) -> dict[str, float]:
    """What the cost table prices for these kernels.

    mac: products, those of short tiles' missing pixels included where they are computed, but none of kernels that walk
    lists. tile: tiles of pixels, of which corner: those whose pixels do not just follow one another, and tile_tap:
    their kernel positions packed. tile_col: columns of eight pixels packed, pair: pairs of pixels packed one by one.
    copy_row, copy_byte: window rows and bytes copied first. pixel, element, step: epilogues, outputs and their float
    steps. For each tile what Layout.work counts.

    For packed sums, each in rows and tiles: requant; requant_many: the same when there are several blocks;
    requant_block: blocks after the first; requant_shift, requant_range: when there is a pre-shift, when the
    range is not all of int8. Or decode: sums taken apart for a float epilogue.
    """
    layout = layout_of(choice.layout)
    matrix = w.values.reshape(g.outs, -1)
    pixels = PIXELS if is_packed(choice.stem) else DOT_PIXELS
    tiles = g.n * -(-g.oh * g.ow // tile_pixels(g, choice.stem))
    short = is_code(layout) or is_fused(choice.stem)
    run = g.n * -(-g.oh * g.ow // 2) * 2 / pixels if short else tiles
    line = in_line(g) and is_fused(choice.stem)
    counts: dict[str, float] = {
        "call": 1,
        "mac": 0 if isinstance(layout, ByteLists) else run * pixels * matrix.size,
        "tile": tiles,
        "corner": tiles * (not in_line(g)),
        "tile_tap": 0 if g.c % 4 or in_line(g) else tiles * g.kh * g.kw,
        "tile_col": (run if line else tiles) * g.cols,
        "pair": 4 * run * line,
        "copy_row": tiles * pixels * g.kh if g.c % 4 else 0,
        "copy_byte": tiles * pixels * g.cols if g.c % 4 else 0,
        "pixel": g.pixels,
        "element": g.pixels * g.outs,
        "step": g.pixels * g.outs * epilogue_steps(node),
    }
    if is_packed(choice.stem) and not is_fused(choice.stem):
        counts |= _finish_work(
            node, g, tiles, layout.blocks(matrix) if isinstance(layout, PixelLayout) else 1
        )
    own = dict(layout.work(matrix))
    if isinstance(layout, FusedLayout):
        own |= layout.work_requant(matrix, [Entry(*v) for v in entries_of(node, g.outs)])
    counts |= {name: run * count for name, count in own.items()}
    return {name: float(count) for name, count in counts.items()}


def _finish_work(node: Node, g: Window, tiles: int, blocks: int) -> dict[str, float]:
    e = node.attrs["epilogue"]
    if not isinstance(e, Requant):
        return {"decode": g.pixels * g.outs * blocks}
    return requant_work(e, tiles * g.outs, blocks)


def requant_work(e: Requant, rows: int, blocks: int) -> dict[str, float]:
    """What requant_pixels does for `rows` rows of eight pixels."""
    return {
        "requant": rows,
        "requant_many": rows * (blocks > 1),
        "requant_block": rows * (blocks - 1),
        "requant_shift": rows * (e.pre_shift > 0),
        "requant_range": rows * ((e.qmin, e.qmax) != (-128, 127)),
    }
