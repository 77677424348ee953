"""How a convolution whose kernel takes the windows of several output pixels at once becomes C
(runtime_c/kernels/conv2d/conv2d_windows.h).

Such kernels are those of tmatmat_s8 whose layout says `windows`. They serve layers with int8 inputs, ternary
weights and one group.

Scratch, all regions at multiples of 16 bytes:

    sums      4 bytes an output channel, rounded up to the layout's row multiple, and pixel
    windows   the pixels' inputs, each rounded up to 16 bytes, when they are copied
    kernel    Layout.scratch(stem, rows, cols)
"""

from __future__ import annotations

from edgebit.ir.graph import Array, Node
from edgebit.layouts.base import layout_of, round_up
from edgebit.ops.base import KernelChoice, Lowered
from edgebit.ops.dense import TOKENS, TOKENS_FAMILY
from edgebit.ops.linear import Weights, Window, epilogue_steps, is_dynamic, requant_work
from edgebit.ops.linear_c import epilogue_fields, epilogue_of, pack
from edgebit.ops.support import c_ints

SHORT = 12
"""Bytes that eb_conv2d_copy copies without a call."""


def window_families(w: Weights, activations: str, g: Window) -> tuple[str, ...]:
    """The families of this file that can compute the layer."""
    return (TOKENS_FAMILY,) if activations == "s8" and w.element == "trit" and g.groups == 1 else ()


def takes_windows(choice: KernelChoice) -> bool:
    """Whether convolutions use that kernel of the family."""
    return bool(choice.layout) and layout_of(choice.layout).windows


def _in_place(g: Window) -> bool:
    """Whether every pixel's inputs lie whole and aligned, one pixel behind the other."""
    return g.kh * g.kw == 1 and g.strides == (1, 1) and not any(g.pads) and g.c % 16 == 0


def lower_windows(node: Node, w: Weights, g: Window, choice: KernelChoice, padding: int) -> Lowered:
    """The Lowered of a conv2d node on a kernel of TOKENS_FAMILY."""
    matrix: Array = w.values.reshape(g.outs, -1)
    packed = pack(node, w, TOKENS_FAMILY, choice, [matrix])
    epilogue = epilogue_of(node, g.outs)
    acc_step = round_up(g.outs, packed.layout.row_multiple)
    step = round_up(g.cols, 16)
    window_at = round_up(4 * acc_step * TOKENS, 16)
    kernel_at = window_at + (0 if _in_place(g) else step * TOKENS)
    fields = c_ints(
        **g.c_fields(),
        groups=1,
        group_bytes=packed.group_bytes,
        padding=padding,
        gather=int(not _in_place(g)),
        window_at=window_at,
        kernel_at=kernel_at,
    ) | {"epilogue": epilogue_fields(node)}
    conv = ", ".join(f".{name} = {value}" for name, value in fields.items())
    name = f"eb_conv2d_windows_{packed.stem}_{epilogue.name}"
    layer = epilogue.driver(
        name,
        "eb_conv2d_windows_params",
        ("const int8_t *x", *epilogue.dynamic),
        (packed.const,),
        f"eb_conv2d_windows_s8(p, x, w, {name}_product, &e, y, scratch)",
    )
    prelude = (
        '#include "conv2d/conv2d_windows.h"\n\n'
        f"EB_{TOKENS_FAMILY.upper()}_DECL(eb_{packed.stem});\n\n"
        f"EB_INLINE void {name}_product(\n        const void *w, const int8_t *x, int32_t *acc, int32_t rows, "
        "int32_t cols, int32_t tokens,\n        int32_t x_step, int32_t acc_step, void *scratch) {\n"
        f"    eb_{packed.stem}(w, x, acc, rows, cols, tokens, x_step, acc_step, scratch);\n"
        f"}}\n\n{layer}"
    )
    own = packed.layout.scratch(packed.stem, g.outs, g.cols)
    return Lowered(
        function=name,
        kernels=(packed.stem,),
        inputs=(0, 2) if is_dynamic(node) else (0,),
        consts=(packed.const, *epilogue.consts),
        params=(
            "eb_conv2d_windows_params",
            {"conv": f"{{{conv}}}"} | c_ints(step=step, acc_step=acc_step),
        ),
        prelude=prelude,
        scratch_bytes=kernel_at + round_up(own, 16),
        layout=packed.layout.name,
        bits_per_weight=packed.bits_per_weight,
        kernel=packed.stem,
    )


def window_work(node: Node, w: Weights, g: Window, choice: KernelChoice) -> dict[str, float]:
    """What the cost table prices for these kernels.

    mac, row, col: products, sums and inputs, with rows and columns that the layout adds and pixels that are
    computed twice because there is no second one; product: kernel calls; pixel, element, step: epilogues, outputs
    and their float steps. window, run, cut, copy, short: see Conv2d.work.
    """
    layout = layout_of(choice.layout)
    outs = round_up(g.outs, layout.row_multiple)
    cols = round_up(g.cols, layout.col_multiple)
    pixels = g.oh * g.ow
    made = g.n * round_up(pixels, 2)
    gathered = 0 if _in_place(g) else g.pixels
    whole_rows = g.dilations[1] == 1
    counts = {
        "call": 1,
        "mac": made * outs * cols,
        "row": made * outs,
        "col": made * cols,
        "product": g.n * -(-pixels // TOKENS),
        "pixel": g.pixels,
        "element": g.pixels * g.outs,
        "step": g.pixels * g.outs * epilogue_steps(node),
        "window": gathered,
        "run": gathered * g.kh * (1 if whole_rows else g.kw),
        "cut": g.cut * g.kh if gathered else 0,
        "copy": gathered * g.cols,
        "short": gathered * g.cols * (whole_rows and g.kw * g.c <= SHORT),
    }
    return {n: float(v) for n, v in counts.items()} | requant_work(node, g.pixels, g.outs)
