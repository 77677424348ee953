"""How dense and conv2d become C: packed weights, epilogue constants, scratch, and the function that ties a
driver, a kernel and an epilogue together.

The text in `Lowered.prelude` begins with the #include lines it needs (drivers are headers without a C file)
and defines one static function. The function depends only on the op, the kernel and which epilogue steps
exist, so layers that agree on those share it.

Scratch, all regions at multiples of 16 bytes:

    sums      4 bytes an output channel; the last group's rounded up to the layout's row multiple
    window    one group's input window, rounded up to 16 (int8) or 8 (binary32) elements, when it is copied;
              depthwise: one pointer a tap, counted as 8 bytes
    kernel    Layout.scratch(stem, rows, cols); depthwise: one pixel of padding when there is any
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Affine, Array, Node, Requant
from edgebit.layouts.base import Layout, layout_of, round_up
from edgebit.ops.base import CConst, KernelChoice, Lowered
from edgebit.ops.linear import Weights, is_dynamic
from edgebit.ops.support import c_float, c_int

_DEFAULT_LAYOUT = {"trit": "t2", "s8": "s8", "f32": "f32"}


def family_of(w: Weights, activations: str, depthwise: bool) -> str:
    """The kernel family for weights `w` and activations "s8" or "f32".

    int8 weights under float activations are widened to binary32: the products are the same.
    """
    if w.element == "trit":
        return f"{'dwconv_t' if depthwise else 'tmatvec'}_{activations}"
    return f"{'dwconv' if depthwise else 'matvec'}_{activations}"


@dataclass(frozen=True)
class Packed:
    """Weights in the chosen layout, one block a group."""

    stem: str
    layout: Layout
    const: CConst
    outs: int
    group_bytes: int
    bits_per_weight: float


def pack(node: Node, w: Weights, family: str, choice: KernelChoice | None, blocks: list[Array]) -> Packed:
    """Pack one matrix a group; all but a lone block are padded to 16 bytes so that each starts aligned."""
    float_kernel = family.endswith("_f32")
    element = "f32" if float_kernel and w.element == "s8" else w.element
    stem = choice.stem if choice is not None else f"{family}__ref"
    if stem.split("__")[0] != family:
        raise EdgebitError(f"node {node.name!r} runs on {family} kernels, not on {stem}")
    named = choice.layout if choice is not None and choice.layout else _DEFAULT_LAYOUT[element]
    layout = layout_of(named)
    if layout.element != element:
        raise EdgebitError(f"node {node.name!r}: the layout {layout.name} does not hold {element} weights")
    raw: list[bytes] = []
    for block in blocks:
        matrix = block.astype(np.float32) if element == "f32" else block
        why = layout.limits(matrix)
        if why is not None:
            raise EdgebitError(f"node {node.name!r} cannot use the layout {layout.name}: {why}")
        raw.append(layout.pack(matrix))
    group_bytes = round_up(max(map(len, raw)), 16) if len(raw) > 1 else len(raw[0])
    image = b"".join(r.ljust(group_bytes, b"\0") for r in raw)
    ctype = {"trit": "uint8_t", "s8": "int8_t", "f32": "float"}[element]
    bits = 8.0 * len(image) / sum(b.size for b in blocks)
    return Packed(stem, layout, CConst("w", ctype, image), w.outs, group_bytes, bits)


def epilogue_fields(node: Node) -> str:
    """The C initialiser of the layer's eb_epilogue_params."""
    e = node.attrs["epilogue"]
    if isinstance(e, Requant):
        half = (1 << e.pre_shift) >> 1
        return (
            f"{{.requant = {{.half = {half}, .pre_shift = {e.pre_shift}, .qmin = {c_int(e.qmin)}, "
            f".qmax = {c_int(e.qmax)}}}, .lo = 0.0f, .hi = 0.0f}}"
        )
    lo = c_float(e.lo) if e.lo > -np.inf else "0.0f"
    hi = c_float(e.hi) if e.hi < np.inf else "0.0f"
    return f"{{.requant = {{0, 0, 0, 0}}, .lo = {lo}, .hi = {hi}}}"


def assemble(node: Node, packed: Packed, driver: str, fields: dict[str, str], scratch_bytes: int) -> Lowered:
    """The Lowered of a linear node. driver: "dense", "dense_tokens", "conv2d" or "depthwise"; fields: all but
    `epilogue`."""
    header = driver.split("_")[0] if driver.startswith("dense") else "conv2d"
    epilogue = epilogue_of(node, packed.outs)
    name = f"eb_{driver}_{packed.stem}_{epilogue.name}"
    return Lowered(
        function=name,
        kernels=(packed.stem,),
        inputs=(0, 2) if is_dynamic(node) else (0,),
        consts=(packed.const, *epilogue.consts),
        params=(f"eb_{header}_params", fields | {"epilogue": epilogue_fields(node)}),
        prelude=_function(name, header, driver, packed, epilogue),
        scratch_bytes=scratch_bytes,
        layout=packed.layout.name,
        bits_per_weight=packed.bits_per_weight,
        kernel=packed.stem,
    )


@dataclass(frozen=True)
class Epilogue:
    """kind: "requant", "affine" or "dynamic"; name: the kind and its steps; consts: arrays, one a channel."""

    kind: str
    name: str
    flags: tuple[str, ...]
    consts: tuple[CConst, ...]

    def driver(
        self, name: str, params: str, inputs: Sequence[str], weights: Sequence[CConst], call: str
    ) -> str:
        """The C function `name` of a layer: it makes the eb_epilogue `e` and says `call`.

        params: the type of its parameters `p`; inputs: declarations of its activations; weights: of these and of
        the epilogue's constants it takes pointers; then come `y` and `scratch`.
        """
        y = "int8_t" if self.kind == "requant" else "float"
        parameters = [f"const {params} *p", *inputs]
        parameters += [f"const {c.ctype} *{c.suffix}" for c in (*weights, *self.consts)]
        parameters += [f"{y} *y", "void *scratch"]
        members = [f".kind = EB_EPILOGUE_{self.kind.upper()}", f".flags = {' | '.join(self.flags) or '0'}"]
        members += [f".{c.suffix} = {c.suffix}" for c in self.consts]
        members += [".d = d"] if self.kind == "dynamic" else []
        gap = ",\n        "
        return (
            f"EB_NOINLINE static void {name}(\n        {gap.join(parameters)}) {{\n"
            f"    const eb_epilogue e = {{\n        {gap.join(members)}}};\n"
            f"    {call};\n"
            "}\n"
        )

    @property
    def dynamic(self) -> tuple[str, ...]:
        """The declaration of the units of dynamic int8 inputs, when there are such."""
        return ("const float *d",) if self.kind == "dynamic" else ()


def requant_fields(e: Requant) -> str:
    """The eb_requant_params of a kernel that requantises itself, as a C initialiser."""
    return (
        f"{{.half = {(1 << e.pre_shift) >> 1}, .pre_shift = {e.pre_shift}, .qmin = {c_int(e.qmin)}, "
        f".qmax = {c_int(e.qmax)}}}"
    )


def entries_of(node: Node, outs: int) -> list[tuple[int, int, int]]:
    """add, mul and shift of every output of a layer that requantises."""
    e = node.attrs["epilogue"]
    columns = [np.broadcast_to(v, (outs,)).tolist() for v in (e.add, e.mul, e.shift)]
    return list(zip(*columns, strict=True))


def epilogue_of(node: Node, outs: int) -> Epilogue:
    """The steps of a node's epilogue and their constants."""
    e = node.attrs["epilogue"]
    if isinstance(e, Requant):
        table = np.zeros(outs, [("add", "<i4"), ("mul", "<i2"), ("shift", "<i2")])
        table["add"], table["mul"], table["shift"] = e.add, e.mul, e.shift
        return Epilogue("requant", "requant", (), (CConst("requant", "eb_requant_entry", table.tobytes()),))
    assert isinstance(e, Affine)
    consts: list[CConst] = []
    if e.corr is not None:
        consts.append(CConst("corr", "int32_t", np.broadcast_to(e.corr, (outs,)).astype("<i4").tobytes()))
    for suffix, v in (("scale", e.scale), ("bias", e.bias)):
        if v is not None:
            consts.append(CConst(suffix, "float", np.broadcast_to(v, (outs,)).astype("<f4").tobytes()))
    steps = [c.suffix for c in consts]
    steps += ["lo"] if e.lo > -np.inf else []
    steps += ["hi"] if e.hi < np.inf else []
    kind = "dynamic" if is_dynamic(node) else "affine"
    flags = tuple(f"EB_AFFINE_{s.upper()}" for s in steps)
    return Epilogue(kind, "_".join((kind, *steps)), flags, tuple(consts))


def _function(name: str, header: str, driver: str, packed: Packed, epilogue: Epilogue) -> str:
    """The static C function that instantiates the driver."""
    family = packed.stem.split("__")[0]
    numbers = "f32" if family.endswith("_f32") else "s8"
    x, acc = ("float", "float") if numbers == "f32" else ("int8_t", "int32_t")
    if driver == "depthwise":
        inputs = f"const {x} *const *tap, {acc} *acc, int32_t taps, int32_t channels, int32_t multiplier"
        passed = "tap, acc, taps, channels, multiplier"
    elif driver == "dense_tokens":
        inputs = "const int8_t *x, int32_t *acc, const eb_tokens *n, void *scratch"
        passed = "x, acc, n->rows, n->cols, n->tokens, n->x_step, n->acc_step, scratch"
    else:
        inputs = f"const {x} *x, {acc} *acc, int32_t rows, int32_t cols, void *scratch"
        passed = "x, acc, rows, cols, scratch"
    layer = epilogue.driver(
        name,
        f"eb_{header}_params",
        (f"const {x} *x", *epilogue.dynamic),
        (packed.const,),
        f"eb_{driver}_{numbers}(p, x, w, {name}_product, &e, y, scratch)",
    )
    return (
        f'#include "{header}/{header}.h"\n'
        f'#include "{family}/{family}.h"\n\n'
        f"EB_{family.upper()}_DECL(eb_{packed.stem});\n\n"
        f"EB_INLINE void {name}_product(\n        const void *w, {inputs}) {{\n"
        f"    eb_{packed.stem}(w, {passed});\n"
        f"}}\n\n{layer}"
    )
