"""How a convolution computed in tiles of output pixels becomes C (runtime_c/kernels/conv2d/conv2d_tiles.h).

Four kinds of kernels work on tiles: `tpixels_s8` adds and subtracts words that hold two pixels, eight pixels
at a time; `tpixels_fused_s8` requantises as well (conv2d_fused.h), up to 64 pixels at a time where they follow one
another; `tdots_s8` multiplies the windows of two pixels by the same words of weights; `pixels_s8` multiplies packed
pixels by int8 weights. They serve layers with int8 inputs and one group.

Scratch, all regions at multiples of 16 bytes:

    packed    the tile's inputs: stride words for every two pixels
    sums      tpixels_s8: 16 bytes an output channel and block of columns; pixels_s8: 32 a channel; tdots_s8: 4
              bytes an output channel, rounded up to the layout's row multiple, and pixel
    own       whatever is largest of: the kernel's own scratch; copies of the tile's windows; the requantised
              outputs of a short last tile; one pixel's sums for a float epilogue
    padding   one input pixel of padding, when there is any
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Node, Requant
from edgebit.layouts.base import Layout, layout_of, round_up
from edgebit.layouts.code7q import FusedLayout
from edgebit.layouts.pixels import PIXELS, PixelLayout
from edgebit.layouts.strips import Strip, StripLayout
from edgebit.layouts.thumb_fused import Entry
from edgebit.ops.base import CConst, KernelChoice, Lowered
from edgebit.ops.code_c import CLAMP_TABLE, code_symbol, finish_sums, machine_code, pass_table
from edgebit.ops.linear import Weights, Window, is_dynamic
from edgebit.ops.linear_c import Epilogue, entries_of, epilogue_fields, epilogue_of
from edgebit.ops.support import c_ints

FAMILIES = ("tpixels_s8", "tdots_s8", "pixels_s8", "tpixels_fused_s8")
DOT_PIXELS = 2
_LINE_BYTES, _LINE_PIXELS = 4096, 64
"""Packed inputs and pixels in a tile, at most, where pixels follow one another and the kernel takes any number."""
_HELPER = "conv2d__tiles"


def tiled_families(node: Node, w: Weights, activations: str, g: Window) -> tuple[str, ...]:
    """The families of this file that can compute the layer."""
    if activations != "s8" or g.groups != 1 or w.element == "f32":
        return ()
    e = node.attrs.get("epilogue")
    whole = isinstance(e, Requant) and (e.pre_shift, e.qmin, e.qmax) == (0, -128, 127)
    if w.element == "trit":
        return (*FAMILIES[:2], *(FAMILIES[3:] if whole else ()))
    return FAMILIES[2:3]


@dataclass(frozen=True)
class _Tile:
    """Sizes of a layer's tiles. copy: bytes of one copied window, 0 when channels are packed in place. line: whether
    the tiles' inputs are pixels that follow one another."""

    pixels: int
    stride: int
    blocks: int
    sums: int
    copy: int
    line: bool
    acc_at: int
    own_at: int
    pad_at: int
    scratch: int


def lower_tiles(node: Node, w: Weights, g: Window, choice: KernelChoice, padding: int) -> Lowered:
    """The Lowered of a conv2d node on a kernel of one of FAMILIES."""
    layout = layout_of(choice.layout)
    matrix = w.values.reshape(g.outs, -1)
    why = layout.limits(matrix)
    if why is not None:
        raise EdgebitError(f"node {node.name!r} cannot use the layout {layout.name}: {why}")
    strip = Strip(1, 1, g.cols, g.cols, PixelLayout.stride(g.cols))
    raw = layout.pack_strip(matrix, strip) if isinstance(layout, StripLayout) else layout.pack(matrix)
    epilogue = epilogue_of(node, g.outs)
    if isinstance(layout, FusedLayout):  # entries are part of the code
        raw = layout.pack_requant(matrix, [Entry(*v) for v in entries_of(node, g.outs)])
        epilogue = replace(epilogue, consts=())
    blocks = layout.blocks(matrix) if isinstance(layout, PixelLayout) else 1
    tile = _tile(g, layout, choice.stem, blocks, isinstance(node.attrs["epilogue"], Requant))
    symbol = code_symbol(raw) if is_code(layout) else ""
    weights = CConst("w", "int8_t" if w.element == "s8" else "uint8_t", raw, symbol)
    clamps = isinstance(layout, FusedLayout) and layout.clamps
    text = _Text(choice.stem, epilogue, tile, any(g.pads), weights, clamps)
    fields = c_ints(
        **g.c_fields(),
        padding=padding,
        cols=g.cols,
        stride=tile.stride,
        copy=tile.copy,
        blocks=tile.blocks,
        sums=tile.sums,
        acc_at=tile.acc_at,
        own_at=tile.own_at,
        pad_at=tile.pad_at,
        tile=tile.pixels,
    )
    return Lowered(
        function=text.name,
        kernels=text.kernels,
        inputs=(0, 2) if is_dynamic(node) else (0,),
        consts=(weights, *epilogue.consts),
        params=("eb_conv2d_tiles_params", fields | {"epilogue": epilogue_fields(node)}),
        prelude=text.prelude(),
        scratch_bytes=tile.scratch,
        layout=layout.name,
        bits_per_weight=8.0 * len(raw) / matrix.size,
        kernel=choice.stem,
    )


def is_packed(stem: str) -> bool:
    """Whether the kernel's inputs are packed pixels, eight at a time."""
    return not stem.startswith("tdots_s8__")


def in_line(g: Window) -> bool:
    """Whether output pixels read the pixels of the image one by one, channels where they lie."""
    return g.kh * g.kw == 1 and g.strides == (1, 1) and not any(g.pads) and g.c % 4 == 0


def is_fused(stem: str) -> bool:
    """Whether the kernel requantises its sums."""
    return stem.startswith("tpixels_fused_s8__")


def _tile(g: Window, layout: Layout, stem: str, blocks: int, requant: bool) -> _Tile:
    packed = is_packed(stem)
    copy = round_up(g.cols, 4) if g.c % 4 else 0
    line = in_line(g)
    pixels = tile_pixels(g, stem)
    if packed:
        stride = PixelLayout.stride(g.cols)
        acc = (16 * blocks if isinstance(layout, PixelLayout) else 0 if is_fused(stem) else 32) * g.outs
        sums = 0
    else:
        stride = round_up(g.cols, layout.col_multiple)
        sums = round_up(g.outs, layout.row_multiple)
        acc = 4 * sums * pixels
    finish = 0
    if packed:
        short = g.oh * g.ow % (2 if line and is_fused(stem) else pixels)
        finish = 4 * g.outs if not requant else PIXELS * g.outs if short else 0
    own = max(layout.scratch(stem, g.outs, g.cols) if layout.element == "trit" else 0, copy * pixels, finish)
    acc_at = round_up(2 * pixels * stride, 16)
    own_at = acc_at + round_up(acc, 16)
    pad_at = own_at + round_up(own, 16)
    scratch = pad_at + (round_up(g.c, 16) if any(g.pads) and not copy else 0)
    return _Tile(pixels, stride, blocks, sums, copy, line, acc_at, own_at, pad_at, scratch)


def tile_pixels(g: Window, stem: str) -> int:
    """Pixels of a tile."""
    if not (in_line(g) and is_fused(stem)):
        return PIXELS if is_packed(stem) else DOT_PIXELS
    fitting = _LINE_BYTES // (2 * PixelLayout.stride(g.cols)) // PIXELS * PIXELS
    return max(PIXELS, min(_LINE_PIXELS, fitting, round_up(g.oh * g.ow, PIXELS)))


def is_code(layout: Layout) -> bool:
    """Whether the weights are a function of their own, which leaves out pairs of pixels that a tile lacks."""
    fused = isinstance(layout, FusedLayout)
    return fused or isinstance(layout, StripLayout) or (isinstance(layout, PixelLayout) and layout.code)


_PRODUCT = (
    "\n        const void *w, const uint32_t *x, void *acc, int32_t rows, int32_t cols, int32_t stride,\n"
    "        int32_t skip, void *scratch"
)


_FUSED = (
    "\n        const void *w, const uint32_t *x, const eb_requant_entry *entries, int8_t *y, int32_t rows,\n"
    "        int32_t cols, int32_t stride, int32_t pairs"
)


@dataclass(frozen=True)
class _Text:
    """The C functions of a layer, and the kernels they call. Weights that are code have a symbol. clamps: see
    FusedLayout."""

    stem: str
    epilogue: Epilogue
    tile: _Tile
    padded: bool
    weights: CConst
    clamps: bool = False

    @property
    def packed(self) -> bool:
        return is_packed(self.stem)

    @property
    def plain(self) -> bool:
        """Whether sums of packed pixels are int32, not packed words."""
        return self.stem.startswith("pixels_s8__")

    @property
    def fused(self) -> bool:
        return is_fused(self.stem)

    @property
    def lined(self) -> bool:
        """Whether a tile may have any number of pixels that follow one another."""
        return self.fused and self.tile.line

    @property
    def isa(self) -> str:
        """The instruction set of the kernels that pack and requantise."""
        return self.stem.split("__")[1].split("_")[0]

    @property
    def pack(self) -> str:
        if self.fused:
            return f"{'pack_line' if self.lined else 'pack_bytes'}__{self.isa}"
        return f"{'pack_pixels' if self.packed else 'pack_dots'}__{self.isa}"

    @property
    def requant(self) -> str:
        """The kernel that requantises sums of packed pixels, "" when none does."""
        family = "requant_sums" if self.plain else "requant_pixels"
        apart = self.packed and not self.fused and self.epilogue.kind == "requant"
        return f"{family}__{self.isa}" if apart else ""

    @property
    def kernels(self) -> tuple[str, ...]:
        helpers = ("" if self.tile.line else _HELPER, CLAMP_TABLE if self.clamps else "")
        return tuple(s for s in (self.stem, self.pack, self.requant, *helpers) if s)

    @property
    def edges(self) -> str:
        """How windows are read, for names: whether pixels follow one another, windows are copied, else whether there
        is padding."""
        if self.tile.line:
            return "_line"
        return "_copied" if self.tile.copy else "_padded" if self.padded else ""

    @property
    def name(self) -> str:
        own = f"_{self.weights.symbol[-16:][:12]}" if self.weights.symbol else ""
        return f"eb_conv2d_{self.stem}_{self.epilogue.name}{self.edges}{own}"

    def prelude(self) -> str:
        family = self.stem.split("__")[0]
        called = [k for k in (self.stem, self.pack, self.requant) if k]
        includes = [f"{k.split('__')[0]}/{k.split('__')[0]}.h" for k in called]
        product = self._code() if self.weights.symbol else self._kernel(family)
        declared = [f"EB_{k.split('__')[0].upper()}_DECL(eb_{k});\n" for k in called[1:]]
        header = f"conv2d/conv2d_{'fused' if self.fused else 'tiles'}.h"
        lines = [f'#include "{i}"' for i in (header, *includes)]
        finish = [finish_sums(self.requant)] if self.plain and self.requant else []
        following = [] if self.lined else [self._next()]
        return "\n".join(["\n".join(lines) + "\n", *declared, *finish, *following, product, self._layer()])

    def _kernel(self, family: str) -> str:
        if self.fused:
            return (
                f"EB_{family.upper()}_DECL(eb_{self.stem});\n\n"
                f"EB_INLINE void eb_conv2d_{self.stem}_product({_FUSED}) {{\n"
                f"    eb_{self.stem}(w, x, entries, y, rows, cols, stride, pairs);\n"
                "}\n"
            )
        scratch = "" if self.plain else ", scratch"
        return (
            f"EB_{family.upper()}_DECL(eb_{self.stem});\n\n"
            f"EB_INLINE void eb_conv2d_{self.stem}_product({_PRODUCT}) {{\n"
            "    (void)skip, (void)scratch;\n"
            f"    eb_{self.stem}(w, x, acc, rows, cols, stride{scratch});\n"
            "}\n"
        )

    def _next_name(self) -> str:
        return f"eb_{self.pack}_tile{'_line' if self.tile.line else '_copied' if self.tile.copy else ''}"

    def _next(self) -> str:
        """The function that packs a tile; layers share it."""
        copy = int(self.tile.copy > 0)
        call = f"eb_tile_next(\n            p, t, left, {self.tile.pixels}, {copy}, eb_{self.pack}, scratch)"
        if self.tile.line:
            call = f"eb_tile_next_line(p, t, left, {self.tile.pixels}, eb_{self.pack}, scratch)"
        return (
            f"EB_NOINLINE static int32_t {self._next_name()}(\n"
            "        const eb_conv2d_tiles_params *p, eb_tile *t, int32_t left, void *scratch) {\n"
            f"    return {call};\n"
            "}\n"
        )

    def _code(self) -> str:
        """The weights as machine code."""
        symbol = self.weights.symbol
        if self.fused:
            declared, parameter, argument = pass_table(self.clamps)
            return (
                f"{declared}void {symbol}_run(const uint32_t *x, int8_t *y, const int8_t *end{parameter});\n"
                f"{machine_code(symbol, self.weights.raw)}\n"
                f"EB_INLINE void {symbol}_product({_FUSED}) {{\n"
                "    (void)w, (void)entries, (void)cols, (void)stride; // built into the code\n"
                f"    {symbol}_run(x, y, y + 2 * pairs * rows{argument});\n"
                "}\n"
            )
        declared, at = (
            "const uint32_t *x, uint32_t *acc, uint32_t skip",
            "x + skip * stride, (uint32_t *)acc + skip",
        )
        if self.plain:
            declared = "const uint32_t *const *x, int32_t *acc, uint32_t at, uint32_t skip"
            at = "&x, (int32_t *)acc + skip, 4 * (uint32_t)(skip * stride)"
        return (
            f"void {symbol}_run({declared});\n"
            f"{machine_code(symbol, self.weights.raw)}\n"
            f"EB_INLINE void {symbol}_product({_PRODUCT}) {{\n"
            "    (void)w, (void)rows, (void)cols, (void)scratch; // built into the code\n"
            f"    {symbol}_run({at}, 4 * (uint32_t)skip);\n"
            "}\n"
        )

    def _layer(self) -> str:
        product = self.weights.symbol or f"eb_conv2d_{self.stem}"
        padded = str(int(self.edges == "_padded"))
        w = "NULL" if self.weights.symbol else "w"
        call = f"p, x, {w}, e.requant, {self._next_name()}, {product}_product, y, scratch, {padded}"
        if self.lined:
            call = f"p, x, {w}, e.requant, eb_{self.pack}, {product}_product, y, scratch"
            return self._driver(f"eb_conv2d_fused_line(\n            {call})")
        if self.fused:
            return self._driver(f"eb_conv2d_fused(\n            {call})")
        arguments = [
            "p",
            "x",
            w,
            self._next_name(),
            f"{product}_product",
            f"eb_{self.requant}{'_finish' if self.plain else ''}" if self.requant else "NULL",
            "&e",
            "y",
            "scratch",
            padded,
            "2" if self.plain else str(int(not self.packed)),
        ]
        return self._driver(f"eb_conv2d_tiles(\n            {', '.join(arguments)})")

    def _driver(self, call: str) -> str:
        return self.epilogue.driver(
            self.name,
            "eb_conv2d_tiles_params",
            ("const int8_t *x", *self.epilogue.dynamic),
            () if self.weights.symbol else (self.weights,),
            call,
        )
