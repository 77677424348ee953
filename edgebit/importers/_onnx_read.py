"""Reads an ONNX file into plain records, checking everything on the way. Nothing in the file is trusted."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from edgebit.errors import ModelError
from edgebit.importers._onnx_tensor import Const, read_tensor
from edgebit.importers.base import printable

MIN_OPSET, MAX_OPSET = 9, 25
MIN_IR, MAX_IR = 3, 13
MAX_FILE_BYTES = (1 << 31) - 1
MAX_NODES = 100_000
MAX_NAME = 512
_NAME = re.compile(r"[A-Za-z0-9_./:+\-\[\]@#, <>()|=$]*")

REFUSED_DOMAINS = {
    "com.microsoft": "of onnxruntime's own operators EdgeBit reads MatMulNBits only; export with DequantizeLinear "
    "weights (QDQ format) or as plain float",
    "qonnx.custom_op.general": "this is QONNX; export from Brevitas with export_onnx_qcdq instead",
    "finn.custom_op.general": "this is a FINN model; export from Brevitas with export_onnx_qcdq instead",
    "onnx.brevitas": "this is QONNX; export from Brevitas with export_onnx_qcdq instead",
}


@dataclass
class SourceNode:
    """One ONNX node. attrs holds int, float, str, Const, or lists of them. op is "domain.Name" outside ONNX's own domain."""

    op: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attrs: dict[str, Any]
    where: str  # "file: node 'name' (Op)", the head of every error about it
    domain: str = ""  # empty for ONNX's own


@dataclass
class SourceValue:
    """A graph input or output: dims are ints, or None where the model leaves them open."""

    name: str
    elem: int
    dims: tuple[int | None, ...] | None


@dataclass
class Source:
    """An ONNX model, checked."""

    file: str
    name: str
    opset: int
    inputs: list[SourceValue] = field(default_factory=list)
    outputs: list[SourceValue] = field(default_factory=list)
    nodes: list[SourceNode] = field(default_factory=list)
    consts: dict[str, Const] = field(default_factory=dict)


def read_model(path: Path) -> Source:
    """Read and check the model at `path`; raises ModelError."""
    file = printable(path.name)
    model = _parse(path, file)
    opset = _opset(model, file)
    graph = model.graph
    if not graph.node:
        raise ModelError(f"{file}: the file holds no ONNX graph; is it complete, and an ONNX file?")
    if len(graph.node) > MAX_NODES:
        raise ModelError(f"{file}: {len(graph.node)} nodes; the limit is {MAX_NODES}")
    if graph.sparse_initializer:
        raise ModelError(f"{file}: sparse initialisers are not supported; store the weights dense")
    src = Source(file, re.sub(r"[^A-Za-z0-9_.\-]", "_", path.stem)[:64] or "model", opset)
    for t in graph.initializer:
        name = _name(t.name, file, "initialiser")
        if not name or name in src.consts:
            raise ModelError(f"{file}: initialiser name {name!r} is empty or used twice")
        src.consts[name] = read_tensor(t, path.parent, f"{file}: initialiser {name!r}")
    src.inputs = [_value(v, file, "input") for v in graph.input if v.name not in src.consts]
    src.outputs = [_value(v, file, "output") for v in graph.output]
    if len({v.name for v in src.outputs}) != len(src.outputs):
        raise ModelError(f"{file}: two graph outputs have the same name")
    if not src.outputs:
        raise ModelError(f"{file}: the graph has no outputs; is the file complete?")
    functions = {(f.domain, f.name) for f in model.functions}
    known = {v.name for v in src.inputs} | set(src.consts)
    if len(known) != len(src.inputs) + len(src.consts):
        raise ModelError(f"{file}: two graph inputs have the same name")
    for index, n in enumerate(graph.node):
        node = _node(n, index, path, file, functions)
        for i in node.inputs:
            if i and i not in known:
                raise ModelError(f"{node.where}: reads {i!r}, which nothing before it makes")
        for o in node.outputs:
            if o and o in known:
                raise ModelError(f"{node.where}: makes {o!r} a second time")
            known.add(o)
        src.nodes.append(node)
    for v in src.outputs:
        if v.name not in known:
            raise ModelError(f"{file}: graph output {v.name!r} is made by no node")
    return src


def _parse(path: Path, file: str) -> Any:
    try:
        if not path.is_file():
            raise ModelError(f"{file}: not a regular file")
        size = path.stat().st_size
        if size == 0:
            raise ModelError(f"{file}: the file is empty")
        if size > MAX_FILE_BYTES:
            raise ModelError(f"{file}: {size} bytes; an ONNX file is at most 2 GiB (use external data)")
        raw = path.read_bytes()
    except OSError as e:
        raise ModelError(f"{file}: cannot be read: {e.strerror}") from e
    model = onnx.ModelProto()
    try:
        model.ParseFromString(raw)
    except (DecodeError, ValueError, RuntimeError) as e:
        raise ModelError(f"{file}: not a complete ONNX file (its protobuf does not parse)") from e
    return model


def _opset(model: Any, file: str) -> int:
    if not model.HasField("graph"):
        raise ModelError(f"{file}: the file holds no ONNX graph; is it complete, and an ONNX file?")
    if not MIN_IR <= model.ir_version <= MAX_IR:
        raise ModelError(
            f"{file}: ONNX IR version {model.ir_version}; EdgeBit reads {MIN_IR} to {MAX_IR}. "
            "Save the model again with an onnx package of that range"
        )
    versions = {int(o.version) for o in model.opset_import if o.domain in ("", "ai.onnx")}
    if not versions and model.graph.node and all(n.domain == "com.microsoft" for n in model.graph.node):
        return MAX_OPSET  # none of ONNX's own operators, whose versions differ
    if len(versions) != 1:
        foreign = [o.domain for o in model.opset_import if o.domain in REFUSED_DOMAINS]
        if foreign:
            raise ModelError(f"{file}: uses the domain {foreign[0]}: {REFUSED_DOMAINS[foreign[0]]}")
        raise ModelError(f"{file}: the file names {len(versions)} ONNX operator sets instead of one")
    opset = versions.pop()
    if not MIN_OPSET <= opset <= MAX_OPSET:
        raise ModelError(
            f"{file}: ONNX opset {opset}; EdgeBit reads {MIN_OPSET} to {MAX_OPSET}. "
            "Export again with an opset in that range, or convert with onnx.version_converter"
        )
    return opset


def _name(name: str | bytes, file: str, what: str) -> str:
    if isinstance(name, bytes):  # protobuf gives bytes for text that is not UTF-8
        raise ModelError(f"{file}: {what} name {printable(name, 60)} is not text")
    if len(name) > MAX_NAME:
        raise ModelError(f"{file}: {what} name of {len(name)} characters ({printable(name, 40)})")
    if not _NAME.fullmatch(name):
        raise ModelError(
            f'{file}: {what} name "{printable(name)}" has characters that are not allowed in names '
            "(letters, digits, space and _./:+-[]@#,<>()|=$ are); rename it"
        )
    return name


def _value(v: Any, file: str, what: str) -> SourceValue:
    name = _name(v.name, file, f"graph {what}")
    if not name:
        raise ModelError(f"{file}: a graph {what} has no name")
    kind = v.type.WhichOneof("value")
    if kind != "tensor_type":
        raise ModelError(f"{file}: graph {what} {name!r} is not a tensor ({kind or 'no type'})")
    t = v.type.tensor_type
    dims: tuple[int | None, ...] | None = None
    if t.HasField("shape"):
        dims = tuple(int(d.dim_value) if d.HasField("dim_value") else None for d in t.shape.dim)
        if len(dims) > 8 or any(d is not None and not 0 < d < 1 << 31 for d in dims):
            raise ModelError(f"{file}: graph {what} {name!r} has absurd dimensions {printable(list(dims))}")
    return SourceValue(name, int(t.elem_type), dims)


def _node(n: Any, index: int, path: Path, file: str, functions: set[tuple[str, str]]) -> SourceNode:
    name = _name(n.name, file, "node")
    op = printable(n.op_type, 60)
    label = repr(name) if name else f"number {index}"
    where = f"{file}: node {label} ({op})"
    if (n.domain, n.op_type) in functions:
        raise ModelError(
            f"{where}: calls a function defined in the model; inline functions first "
            "(onnx.inliner.inline_local_functions)"
        )
    domain = "" if n.domain in ("", "ai.onnx") else printable(n.domain, 60)
    inputs = [_name(i, where, "tensor") for i in n.input]
    outputs = [_name(o, where, "tensor") for o in n.output]
    attrs = {printable(a.name, 40): _attr(a, path, where) for a in n.attribute}
    return SourceNode(
        f"{domain}.{op}" if domain else op, name or f"{op}_{index}", inputs, outputs, attrs, where, domain
    )


def _attr(a: Any, path: Path, where: str) -> Any:
    """An attribute's value: int, float, str, Const, list of int, float or str."""
    key = printable(a.name, 40)
    if a.ref_attr_name:
        raise ModelError(f"{where}: attribute {key} refers to a function's attribute")
    if a.type == onnx.AttributeProto.INT:
        return int(a.i)
    if a.type == onnx.AttributeProto.FLOAT:
        return _not_nan([float(a.f)], key, where)[0]
    if a.type == onnx.AttributeProto.STRING:
        return a.s.decode("ascii", "replace")
    if a.type == onnx.AttributeProto.INTS:
        return [int(i) for i in a.ints]
    if a.type == onnx.AttributeProto.FLOATS:
        return _not_nan([float(f) for f in a.floats], key, where)
    if a.type == onnx.AttributeProto.STRINGS:
        return [s.decode("ascii", "replace") for s in a.strings]
    if a.type == onnx.AttributeProto.TENSOR:
        return read_tensor(a.t, path.parent, f"{where}: attribute {key}")
    if a.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
        raise ModelError(
            f"{where}: control flow with subgraphs (If, Loop, Scan) is not supported; "
            "export the model with a fixed path through it"
        )
    raise ModelError(f"{where}: attribute {key} is of a kind that is not supported (sparse tensor or type)")


def _not_nan(values: list[float], key: str, where: str) -> list[float]:
    if any(v != v for v in values):
        raise ModelError(f"{where}: attribute {key} is NaN")
    return values
