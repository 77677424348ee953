"""How a 1x1 convolution or a dense layer becomes one call of a kernel that computes the whole layer
(runtime_c/kernels/tpoints_s8).

Such kernels serve layers with int8 inputs and outputs, ternary weights, strides of 1 and no padding, whose sums are
requantised without a pre-shift and by shifts of 2 and more. A dense layer is a convolution of its rows. Kernels whose
layout pads columns take pixels one by one, and read the inputs of the last one up to the padding's end; the others
take tiles of pixels.
"""

from __future__ import annotations

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Node, Requant
from edgebit.layouts.base import layout_of, round_up
from edgebit.ops.base import CConst, KernelChoice, Lowered
from edgebit.ops.linear import Weights, Window
from edgebit.ops.linear_c import epilogue_of, requant_fields
from edgebit.ops.support import c_ints, call

POINTS_FAMILY = "tpoints_s8"
_PIXELS = 32  # of one tile of the kernels


def point_families(node: Node, w: Weights, activations: str, g: Window) -> tuple[str, ...]:
    """The families of this file that can compute the layer."""
    e = node.attrs["epilogue"]
    fits = g.kh * g.kw == 1 and g.strides == (1, 1) and not any(g.pads) and g.groups == 1
    if not fits or activations != "s8" or w.element != "trit" or not isinstance(e, Requant):
        return ()
    return (POINTS_FAMILY,) if e.pre_shift == 0 and e.shift.min() >= 2 else ()


def takes_points(choice: KernelChoice, g: Window) -> bool:
    """Whether a kernel of POINTS_FAMILY serves layers of this shape."""
    multiple = layout_of(choice.layout).col_multiple
    return not choice.stem.endswith("__ref") and (g.pixels == 1 or g.c % multiple == 0)


def by_pixel(choice: KernelChoice) -> bool:
    """Whether a kernel of POINTS_FAMILY takes pixels one by one."""
    return layout_of(choice.layout).col_multiple > 1


def lower_points(node: Node, w: Weights, g: Window, choice: KernelChoice) -> Lowered:
    """The Lowered of a conv2d or dense node on a kernel of POINTS_FAMILY."""
    layout = layout_of(choice.layout)
    matrix = w.values.reshape(g.outs, -1)
    why = layout.limits(matrix)
    if why is not None:
        raise EdgebitError(f"node {node.name!r} cannot use the layout {layout.name}: {why}")
    raw = layout.pack(matrix)
    requant = requant_fields(node.attrs["epilogue"])
    return call(
        POINTS_FAMILY,
        choice,
        c_ints(rows=g.outs, cols=g.c, pixels=g.pixels) | {"requant": requant},
        consts=(CConst("w", "uint8_t", raw), *epilogue_of(node, g.outs).consts),
        scratch_bytes=layout.scratch(choice.stem, g.outs, g.c),
        layout=layout.name,
        bits_per_weight=8.0 * len(raw) / matrix.size,
    )


def point_work(node: Node, w: Weights, g: Window, choice: KernelChoice) -> dict[str, float]:
    """What the cost table prices for these kernels: call; tile: tiles of pixels; for each tile tile_col: columns, requant:
    rows, and what Layout.work counts. Of those that take pixels one by one: call; pixel; mac, element: products and
    outputs, padding counted; rest: outputs behind the last four of a pixel; and for each pixel what Layout.work counts."""
    layout = layout_of(choice.layout)
    matrix = w.values.reshape(g.outs, -1)
    if by_pixel(choice):
        rows = round_up(g.outs, layout.row_multiple)
        each = {
            "pixel": 1.0,
            "mac": float(rows * round_up(g.c, layout.col_multiple)),
            "element": float(rows),
            "rest": float(g.outs % 4),
        }
        each |= layout.work(matrix)
        return {"call": 1.0} | {name: g.pixels * count for name, count in each.items()}
    tiles = -(-g.pixels // _PIXELS)
    counts = {
        "call": 1.0,
        "tile": float(tiles),
        "tile_col": float(tiles * g.c),
        "requant": float(tiles * g.outs),
    }
    return counts | {name: tiles * count for name, count in layout.work(matrix).items()}
