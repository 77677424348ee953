"""How a convolution computed in strips becomes C (runtime_c/kernels/conv2d/conv2d_strips.h): input rows are packed
once, two pixels to a word, and shared by all windows that see them.

Scratch, all regions at multiples of 16 bytes:

    packed    kh rows of packed words
    sums      16 bytes an output channel and block of columns; 32 an output channel for int8 weights
    own       the requantised outputs of four pairs when some are left over; one pixel's sums for a float epilogue
    line      one input row with its padding
"""

from __future__ import annotations

from dataclasses import dataclass

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Node, Requant
from edgebit.layouts.base import Layout, layout_of, round_up
from edgebit.layouts.pixels import PIXELS
from edgebit.layouts.strips import MAX_KERNEL_ROWS, PAIRS, Strip, StripLayout
from edgebit.ops.base import CConst, KernelChoice, Lowered
from edgebit.ops.code_c import code_symbol, finish_sums, machine_code
from edgebit.ops.linear import Weights, Window, epilogue_steps, is_dynamic
from edgebit.ops.linear_c import Epilogue, epilogue_fields, epilogue_of
from edgebit.ops.support import c_ints
from edgebit.ops.tiles_work import requant_work

STRIP_FAMILIES = ("tstrips_s8", "strips_s8")


def strip_families(w: Weights, activations: str, g: Window) -> tuple[str, ...]:
    """The families of this file that can compute the layer. A 1x1 kernel has nothing to share."""
    fits = g.groups == 1 and g.dilations[0] == 1 and g.kh <= MAX_KERNEL_ROWS and g.kh * g.kw > 1
    return (STRIP_FAMILIES[w.element == "s8"],) if fits and activations == "s8" else ()


@dataclass(frozen=True)
class _Rows:
    """Sizes of a layer's packed rows; the members of eb_conv2d_strips_params of the same names."""

    strip: Strip
    half: int
    line: int
    lead: int
    origin: int
    apart: int
    words: int

    @staticmethod
    def of(g: Window) -> _Rows:
        strip = Strip(g.kh, g.kw, g.c, g.dilations[1] * g.c, g.strides[1] * g.c)
        half = -(-g.ow // 2)
        while half * strip.step % 4:
            half += 1
        lead = round_up(g.pads[1] * g.c, 4)
        origin = lead - g.pads[1] * g.c
        words = round_up(origin % 4 + (half - 1) * strip.step + strip.width, 16)
        last = max(lead + g.w * g.c, origin - origin % 4 + half * strip.step + words)
        return _Rows(strip, half, round_up(last, 16), lead, origin, half * strip.step, words)


def lower_strips(node: Node, w: Weights, g: Window, choice: KernelChoice, padding: int) -> Lowered:
    """The Lowered of a conv2d node on a kernel of one of STRIP_FAMILIES."""
    layout = layout_of(choice.layout)
    matrix = w.values.reshape(g.outs, -1)
    why = layout.limits(matrix)
    if why is not None:
        raise EdgebitError(f"node {node.name!r} cannot use the layout {layout.name}: {why}")
    r = _Rows.of(g)
    code = isinstance(layout, StripLayout)
    raw = layout.pack_strip(matrix, r.strip) if isinstance(layout, StripLayout) else layout.pack(matrix)
    epilogue = epilogue_of(node, g.outs)
    blocks = _blocks(layout, w, g)
    acc_at = 4 * g.kh * r.words
    own_at = acc_at + (32 if w.element == "s8" else 16 * blocks) * g.outs
    own = 4 * g.outs if epilogue.kind != "requant" else PIXELS * g.outs if _left_over(g, r.half) else 0
    line_at = own_at + round_up(own, 16)
    kind = "int8_t" if w.element == "s8" else "uint8_t"
    weights = CConst("w", kind, raw, code_symbol(raw) if code else "")
    text = _Text(choice.stem, epilogue, weights, plain=w.element == "s8")
    fields = c_ints(
        **g.c_fields(),
        padding=padding,
        half=r.half,
        line=r.line,
        lead=r.lead,
        origin=r.origin,
        apart=r.apart,
        words=r.words,
        blocks=blocks,
        acc_at=acc_at,
        own_at=own_at,
        line_at=line_at,
    )
    s = r.strip
    strip = f"{{{g.outs}, {s.rows}, {s.taps}, {s.channels}, {s.tap}, {s.step}}}"
    return Lowered(
        function=text.name,
        kernels=text.kernels,
        inputs=(0, 2) if is_dynamic(node) else (0,),
        consts=(weights, *epilogue.consts),
        params=("eb_conv2d_strips_params", fields | {"strip": strip, "epilogue": epilogue_fields(node)}),
        prelude=text.prelude(),
        scratch_bytes=line_at + r.line,
        layout=layout.name,
        bits_per_weight=8.0 * len(raw) / matrix.size,
        kernel=choice.stem,
    )


def _blocks(layout: Layout, w: Weights, g: Window) -> int:
    if isinstance(layout, StripLayout):
        return layout.blocks(w.values.reshape(g.outs, -1))
    return 1 if w.element == "s8" else -(-g.cols // 255)


def _left_over(g: Window, half: int) -> bool:
    """Whether some four pairs of an output row are not all there."""
    return half % PAIRS != 0 or 2 * half != g.ow


def strip_work(node: Node, w: Weights, g: Window, choice: KernelChoice) -> dict[str, float]:
    """What the cost table prices for these kernels.

    mac: products of all pairs. tile: four pairs or fewer; pair. line: input rows packed; line_word, line_byte: of
    them copied as words, as bytes; packed: words packed. spare: outputs written elsewhere first. kernel_row:
    kernel rows entered. For each pair what Layout.work counts. pixel, element, step, requant...: see tile_work.
    """
    r = _Rows.of(g)
    layout = layout_of(choice.layout)
    matrix = w.values.reshape(g.outs, -1)
    tiles = g.n * g.oh * -(-r.half // PAIRS)
    pairs = g.n * g.oh * r.half
    tops = [y * g.strides[0] - g.pads[0] for y in range(g.oh)]
    lines = g.n * (g.kh + (g.oh - 1) * min(g.kh, g.strides[0]))
    inside = g.n * len({y for t in tops for y in range(t, t + g.kh) if 0 <= y < g.h})
    bytes_ = inside * g.w * g.c
    own = layout.work_strip(matrix, r.strip) if isinstance(layout, StripLayout) else layout.work(matrix)
    whole = max(0, (g.ow - r.half) // PAIRS) if r.half % PAIRS else (g.ow - r.half) // PAIRS
    counts: dict[str, float] = {
        "call": 1,
        "mac": 2 * pairs * matrix.size,
        "tile": tiles,
        "pair": pairs,
        "line": lines,
        "line_word": 0 if g.w * g.c % 4 else bytes_ / 4,
        "line_byte": bytes_ if g.w * g.c % 4 else 0,
        "packed": lines * r.words,
        "spare": g.n * g.oh * (g.ow - 2 * PAIRS * whole) * g.outs if _left_over(g, r.half) else 0,
        "kernel_row": pairs * g.kh * own.get("segment", 1),
        "pixel": g.pixels,
        "element": g.pixels * g.outs,
        "step": g.pixels * g.outs * epilogue_steps(node),
    }
    blocks = _blocks(layout, w, g)
    e = node.attrs["epilogue"]
    if isinstance(e, Requant):
        counts |= requant_work(e, tiles * g.outs, blocks)
    else:
        counts["decode"] = g.pixels * g.outs * blocks
    counts |= {name: pairs * count for name, count in own.items()}
    return {name: float(count) for name, count in counts.items()}


@dataclass(frozen=True)
class _Text:
    """The C functions of a layer, and the kernels they call. Weights that are code have a symbol. plain: sums are
    int32, not packed words."""

    stem: str
    epilogue: Epilogue
    weights: CConst
    plain: bool

    @property
    def isa(self) -> str:
        """The instruction set of the kernels that pack and requantise."""
        return self.stem.split("__")[1].split("_")[0]

    @property
    def pack(self) -> str:
        return f"pack_pixels__{self.isa}"

    @property
    def requant(self) -> str:
        """The kernel that requantises, "" when none does."""
        family = "requant_sums" if self.plain else "requant_pixels"
        return f"{family}__{self.isa}" if self.epilogue.kind == "requant" else ""

    @property
    def kernels(self) -> tuple[str, ...]:
        return tuple(s for s in (self.stem, self.pack, self.requant) if s)

    @property
    def name(self) -> str:
        own = f"_{self.weights.symbol[-16:][:12]}" if self.weights.symbol else ""
        return f"eb_conv2d_{self.stem}_{self.epilogue.name}{own}"

    def prelude(self) -> str:
        lines = [
            "conv2d/conv2d_strips.h",
            *(f"{k.split('__')[0]}/{k.split('__')[0]}.h" for k in self.kernels),
        ]
        declared = [f"EB_{k.split('__')[0].upper()}_DECL(eb_{k});\n" for k in self.kernels[1:]]
        includes = "\n".join(f'#include "{i}"' for i in lines) + "\n"
        finish = [finish_sums(self.requant)] if self.plain and self.requant else []
        return "\n".join([includes, *declared, *finish, self._product(), self._layer()])

    def _product(self) -> str:
        arguments = (
            "const void *w, const uint32_t *const *x, uint32_t *acc, const eb_strip *strip, uint32_t at,\n"
        )
        symbol = self.weights.symbol
        kind, sums = ("int32_t", "(int32_t *)acc") if self.plain else ("uint32_t", "acc")
        if not symbol:
            return (
                f"EB_{self.stem.split('__')[0].upper()}_DECL(eb_{self.stem});\n\n"
                f"EB_INLINE void eb_conv2d_{self.stem}_product(\n        {arguments}        uint32_t skip) {{\n"
                f"    eb_{self.stem}(w, x, {sums}, strip, at, skip);\n"
                "}\n"
            )
        return (
            f"void {symbol}_run(const uint32_t *const *x, {kind} *acc, uint32_t at, uint32_t skip);\n"
            f"{machine_code(symbol, self.weights.raw)}\n"
            f"EB_INLINE void {symbol}_product(\n        {arguments}        uint32_t skip) {{\n"
            "    (void)w, (void)strip; // built into the code\n"
            f"    {symbol}_run(x, {sums}, at, skip);\n"
            "}\n"
        )

    def _layer(self) -> str:
        arguments = [
            "p",
            "x",
            "NULL" if self.weights.symbol else "w",
            f"eb_{self.pack}",
            f"{self.weights.symbol or f'eb_conv2d_{self.stem}'}_product",
            f"eb_{self.requant}{'_finish' if self.plain else ''}" if self.requant else "NULL",
            "&e",
            "y",
            "scratch",
            str(int(self.plain)),
        ]
        return self.epilogue.driver(
            self.name,
            "eb_conv2d_strips_params",
            ("const int8_t *x", *self.epilogue.dynamic),
            () if self.weights.symbol else (self.weights,),
            f"eb_conv2d_strips({', '.join(arguments)})",
        )
