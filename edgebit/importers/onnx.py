"""ONNX: file to Graph.

Nodes are taken in order. One whose inputs are all constants is evaluated (`_onnx_fold`), one that is a step
of a dynamic activation quantisation moves that along (`_onnx_patterns`), any other is converted by the
function registered for its operator (`_onnx_convert_*`). The graph executes in the float meaning of the
source; feature maps are channels-last inside convolutions and pools, with explicit transposes round them.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import NoReturn

from edgebit.errors import EdgebitError, ModelError
from edgebit.importers import (  # noqa: F401  (they register converters)
    _onnx_convert_linear,
    _onnx_convert_math,
    _onnx_convert_nbits,
    _onnx_convert_pool,
    _onnx_convert_quant,
    _onnx_convert_shape,
)
from edgebit.importers._onnx_context import CONVERTERS, MAX_ACTIVATION, Act, Context, Dyn, Value, nearest
from edgebit.importers._onnx_fold import fold, foldable
from edgebit.importers._onnx_patterns import match
from edgebit.importers._onnx_read import REFUSED_DOMAINS, SourceNode, SourceValue, read_model
from edgebit.importers._onnx_tensor import FLOAT, INT8, Const, type_name
from edgebit.importers._onnx_ternary import WeightInfo, describe_weights
from edgebit.importers.base import printable
from edgebit.ir.graph import DType, Graph, GraphError, Tensor

__all__ = ["WeightInfo", "describe_weights", "load", "sniff", "suffixes"]

suffixes: tuple[str, ...] = (".onnx",)

MAX_FOLDED_ELEMENTS = 1 << 28
_PATTERN_ONLY = ("Abs", "Reciprocal", "Round")


def sniff(path: Path) -> bool:
    """Does the file start like a ModelProto (ir_version, then another field of it)?"""
    try:
        with path.open("rb") as f:
            head = f.read(3)
    except OSError:
        return False
    return (
        len(head) == 3 and head[0] == 0x08 and 1 <= head[1] <= 20 and head[2] in b"\x12\x1a\x22\x32\x3a\x42"
    )


def load(path: Path, *, batch: int = 1) -> Graph:
    """Import the ONNX model at `path`. batch takes the place of an open first dimension of the inputs."""
    source = read_model(Path(path))
    ctx = Context(source, Graph(source.name))
    ctx.values.update(source.consts)
    ctx.reserved = {v.name for v in source.inputs} | {o for n in source.nodes for o in n.outputs}
    for v in source.inputs:
        _add_input(ctx, v, batch)
    folded = 0
    for node in source.nodes:
        ctx.node = node
        ins = [ctx.values[i] if i else None for i in node.inputs]
        outs = _convert(ctx, node, ins)
        for name, value in zip(node.outputs, outs, strict=False):
            if name:
                ctx.values[name] = value
        for name in node.outputs[len(outs) :]:
            if name:
                ctx.fail(f"its output {name!r} is not supported")
        folded += sum(v.array.size for v in outs if isinstance(v, Const))
        if folded > MAX_FOLDED_ELEMENTS:
            ctx.fail("evaluating the constants of this model takes too much memory")
    ctx.node = None
    for o in source.outputs:
        _add_output(ctx, o)
    ctx.graph.prune()
    try:
        ctx.graph.check()
    except GraphError as e:
        raise ModelError(f"{source.file}: {e}") from e
    return ctx.graph


def _convert(ctx: Context, node: SourceNode, ins: list[Value | None]) -> list[Value]:
    """The outputs of one node. Whatever a malformed node makes go wrong is a ModelError that names it."""
    try:
        consts = [v for v in ins if isinstance(v, Const)]
        if foldable(node.op) and len(consts) == sum(v is not None for v in ins):
            return list(
                fold(node.op, [v if isinstance(v, Const) else None for v in ins], node.attrs, ctx.opset)
            )
        step = match(ctx, node, ins)
        if step is not None:
            return [step]
        convert = CONVERTERS.get(node.op)
        if convert is None:
            _refuse(ctx, node)
        if not ins:
            ctx.fail("has no inputs")
        if len(ins) < 2:
            ins = [*ins, None]
        return convert(ctx, node, ins)
    except EdgebitError as e:
        text = str(e)
        if isinstance(e, ModelError) and text.startswith(ctx.source.file):
            raise
        ctx.fail(text)
    except (ArithmeticError, AssertionError, LookupError, MemoryError, TypeError, ValueError) as e:
        ctx.fail(f"is malformed ({type(e).__name__}: {printable(e, 200)})")


def _refuse(ctx: Context, node: SourceNode) -> NoReturn:
    if node.domain:
        why = REFUSED_DOMAINS.get(node.domain, "EdgeBit reads standard ONNX only")
        ctx.fail(f"operator of the domain {node.domain}: {why}")
    if node.op in _PATTERN_ONLY:
        ctx.fail(
            "supported only as part of an activation quantisation (absmax, round, clip) that feeds MatMul, "
            "Gemm or Conv"
        )
    known = sorted(CONVERTERS)
    ctx.fail(f"this operator is not supported; similar ones that are: {nearest(node.op, known)}")


def _add_input(ctx: Context, v: SourceValue, batch: int) -> None:
    where = f"{ctx.source.file}: graph input {v.name!r}"
    types = {FLOAT: DType.F32, INT8: DType.S8}
    if v.elem not in types:
        raise ModelError(
            f"{where} has element type {type_name(v.elem)}; EdgeBit takes FLOAT (or quantised INT8) inputs, "
            "so cast inside the application or export with float inputs"
        )
    if not v.dims:
        raise ModelError(f"{where} has no shape; export the model with a fixed input shape")
    dims: list[int] = []
    for i, d in enumerate(v.dims):
        if d is None and i:
            raise ModelError(
                f"{where}: dimension {i} is not fixed. Everything is planned at export, so fix it, e.g. with "
                "python -m onnxruntime.tools.make_dynamic_shape_fixed, or export without dynamic axes"
            )
        dims.append(batch if d is None else d)
    if v.dims[0] is not None and batch not in (1, v.dims[0]):
        raise ModelError(f"{where} has the fixed batch {v.dims[0]}, so it cannot be imported for {batch}")
    if batch < 1 or prod(dims) > MAX_ACTIVATION:
        raise ModelError(f"{where} has the unsupported shape {dims}")
    ctx.graph.tensors[v.name] = Tensor(v.name, tuple(dims), types[v.elem])
    ctx.graph.inputs.append(v.name)
    ctx.values[v.name] = Act(v.name)


def _add_output(ctx: Context, v: SourceValue) -> None:
    """Make a graph output, under the name the source has for it."""
    where = f"{ctx.source.file}: graph output {v.name!r}"
    value = ctx.values[v.name]
    g = ctx.graph
    if isinstance(value, Const):
        raise ModelError(f"{where} is constant: it does not depend on the inputs")
    if isinstance(value, Dyn):
        raise ModelError(f"{where} is inside a dynamic activation quantisation, which cannot be an output")
    if value.unsigned:
        raise ModelError(f"{where} is UINT8; end the model with a DequantizeLinear")
    name = value.name
    if name != v.name:
        if name in g.inputs or name in g.outputs:
            ctx.node = SourceNode("Identity", v.name, [], [v.name], {}, where)
            name = ctx.one("reshape", [value], {"shape": g.tensors[name].shape}).name
            ctx.node = None
        else:
            if v.name in g.tensors:
                _rename(ctx, v.name, ctx.fresh(f"{v.name}.inner"))
            _rename(ctx, name, v.name)
            name = v.name
    g.outputs.append(name)


def _rename(ctx: Context, old: str, new: str) -> None:
    g = ctx.graph
    t = g.tensors.pop(old)
    t.name = new
    g.tensors[new] = t
    for n in g.nodes:
        n.inputs = [new if i == old else i for i in n.inputs]
        n.outputs = [new if o == old else o for o in n.outputs]
    for k, value in ctx.values.items():
        if isinstance(value, Act) and value.name == old:
            ctx.values[k] = Act(new, value.unsigned)
