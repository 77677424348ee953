"""What a converter works with: the graph under construction and the values of the source model's tensors."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, NoReturn

import numpy as np

from edgebit.errors import EdgebitError, ModelError
from edgebit.importers._onnx_read import Source, SourceNode
from edgebit.importers._onnx_tensor import Const
from edgebit.ir.graph import Array, DType, Graph, Int8Weights, Node, Tensor, TernaryWeights
from edgebit.ir.graph import Const as IrConst
from edgebit.ops.base import op_of

MAX_ACTIVATION = 1 << 28


@dataclass(frozen=True)
class Act:
    """An activation: the name of a tensor of the graph under construction.

    unsigned: the source holds it as uint8; the graph holds q - 128 as int8.
    """

    name: str
    unsigned: bool = False


@dataclass(frozen=True)
class Dyn:
    """A value inside a dynamic (absmax) activation quantisation, which becomes a node only at its consumer.

    x is the tensor being quantised, shape the value's own shape, axes the reduced axes of x.
    stage: abs |x|, max max|x|, recip 1/max, scale s, step 1/s, scaled x*s, round round(x*s) (as a value),
    fake xq/s, diff xq/s - x, rounddiff round(x*s) - x*s, product xq times weights, not yet divided by s.
    form, eps, qmin, qmax are the attributes of `dynamic_quantize`; rounded tells whether Round was seen.
    factor: a constant that s was multiplied with since. product: the tensor that already holds the product
    divided by s, which is what the coming division makes of it.
    """

    x: str
    stage: str
    shape: tuple[int, ...]
    axes: frozenset[int] = frozenset()
    form: str = ""
    eps: float = 0.0
    qmin: int = -128
    qmax: int = 127
    rounded: bool = False
    factor: float = 1.0
    product: str = ""


Value = Act | Dyn | Const
Convert = Callable[["Context", SourceNode, "list[Value | None]"], "list[Value]"]

CONVERTERS: dict[str, Convert] = {}


def converts(*ops: str) -> Callable[[Convert], Convert]:
    """Register a converter for ONNX operators."""

    def register(f: Convert) -> Convert:
        for op in ops:
            CONVERTERS[op] = f
        return f

    return register


def nearest(op: str, known: Sequence[str]) -> str:
    """A list of supported operators whose names are close to `op`, for an error message."""
    close = difflib.get_close_matches(op, known, 4, 0.5)
    return ", ".join(close) if close else "none with a similar name"


@dataclass
class Context:
    """The import of one model."""

    source: Source
    graph: Graph
    values: dict[str, Value] = field(default_factory=dict)
    reserved: set[str] = field(default_factory=set)
    node: SourceNode | None = None
    cache: dict[Any, Any] = field(default_factory=dict)
    node_names: set[str] = field(default_factory=set)

    @property
    def opset(self) -> int:
        return self.source.opset

    def error(self, why: str) -> ModelError:
        """An error about the node being converted."""
        where = self.node.where if self.node else self.source.file
        return ModelError(f"{where}: {why}")

    def fail(self, why: str) -> NoReturn:
        """Raise an error about the node being converted."""
        raise self.error(why)

    # ---- reading values

    def shape(self, v: Value) -> tuple[int, ...]:
        if isinstance(v, Act):
            return self.graph.tensors[v.name].shape
        return v.shape

    def tensor(self, v: Act) -> Tensor:
        return self.graph.tensors[v.name]

    def act(self, v: Value | None, what: str = "its input") -> Act:
        """`v` as an activation."""
        if isinstance(v, Act):
            return v
        if v is None:
            self.fail(f"{what} is missing")
        if isinstance(v, Const):
            self.fail(f"{what} is a constant, where an activation is expected")
        raise self.error(
            f"{what} is part of a dynamic activation quantisation (absmax), which EdgeBit supports only "
            f"where its result feeds MatMul, Gemm or Conv directly (here it is {_STAGES[v.stage]})"
        )

    def floats(self, v: Value | None, what: str = "its input") -> Act:
        """`v` as a float activation."""
        a = self.act(v, what)
        if self.tensor(a).dtype != DType.F32:
            self.fail(f"{what} is {self.tensor(a).dtype.value}, where float is expected")
        return a

    def const(self, v: Value | None, what: str) -> Const:
        """`v` as a constant."""
        if isinstance(v, Const):
            return v
        raise self.error(f"{what} is {'missing' if v is None else 'not a constant'}")

    def scalar(self, v: Value | None, what: str) -> float:
        c = self.const(v, what)
        if c.array.size != 1:
            self.fail(f"{what} has shape {list(c.shape)}, where one number is expected")
        return float(c.array.reshape(()))

    # ---- writing the graph

    def fresh(self, stem: str) -> str:
        name, i = stem, 0
        while name in self.reserved or name in self.graph.tensors or name in self.graph.consts:
            i += 1
            name = f"{stem}.{i}"
        return name

    def add_const(self, stem: str, value: IrConst) -> str:
        """Add a constant of the graph, checked to be finite."""
        arrays: list[Array]
        if isinstance(value, (TernaryWeights, Int8Weights)):
            arrays = [value.scale]
        else:
            arrays = [value]
        for a in arrays:
            if a.dtype.kind == "f" and not np.isfinite(a).all():
                self.fail(f"the constant {stem!r} is not finite (NaN or infinity, or overflows binary32)")
        name = self.fresh(stem or "const")
        self.graph.consts[name] = value
        return name

    def emit(
        self,
        op: str,
        inputs: Sequence[Act | str],
        attrs: dict[str, Any] | None = None,
        *,
        note: str = "",
        final: bool | None = None,
        outputs: int = 1,
    ) -> list[Act]:
        """Append a node; its outputs' shapes come from the op's own shape rule.

        note tells what an extra node is for ("nhwc"); the node that does the source node's work has none.
        final: the first output is the source node's own output and takes its name (default: without a note).
        """
        src = self.node
        base = src.name if src else op
        if final is None:
            final = not note
        stem = src.outputs[0] if final and src and src.outputs else f"{base}.{note or op}"
        out: list[str] = []
        for i in range(outputs):
            name = stem if not i else f"{stem}.{i}"
            if not final or i or name in self.graph.tensors or name in self.graph.consts:
                name = self.fresh(name)
            out.append(name)
        names = [i.name if isinstance(i, Act) else i for i in inputs]
        node = Node(op, self._node_name(f"{base}.{note}" if note else base), names, out, attrs or {})
        try:
            made = op_of(node).infer(node, self.graph)
        except EdgebitError as e:
            self.fail(_OP_PREFIX.sub("", str(e)))
        for t in made:
            if any(d <= 0 for d in t.shape) or prod(t.shape) > MAX_ACTIVATION:
                self.fail(f"makes a tensor of the unsupported shape {list(t.shape)}")
            self.graph.tensors[t.name] = t
        self.graph.nodes.append(node)
        return [Act(o) for o in out]

    def one(
        self,
        op: str,
        inputs: Sequence[Act | str],
        attrs: dict[str, Any] | None = None,
        *,
        note: str = "",
        final: bool | None = None,
    ) -> Act:
        """`emit` for an op with one output."""
        return self.emit(op, inputs, attrs, note=note, final=final)[0]

    def _node_name(self, stem: str) -> str:
        name, i = stem, 0
        while name in self.node_names:
            i += 1
            name = f"{stem}.{i}"
        self.node_names.add(name)
        return name

    def transpose(self, x: Act, perm: Sequence[int], note: str = "", final: bool | None = None) -> Act:
        """x with its axes permuted; nothing is emitted for the identity."""
        if list(perm) == list(range(len(perm))):
            return x
        out = self.one("transpose", [x], {"perm": tuple(int(p) for p in perm)}, note=note, final=final)
        return Act(out.name, x.unsigned)

    def reshape(self, x: Act, shape: Sequence[int], note: str = "", final: bool | None = None) -> Act:
        """x in another shape of as many elements; nothing is emitted when it has that shape."""
        if tuple(shape) == self.shape(x):
            return x
        out = self.one("reshape", [x], {"shape": tuple(int(d) for d in shape)}, note=note, final=final)
        return Act(out.name, x.unsigned)


_OP_PREFIX = re.compile(r"^node '[^']*' \(\w+\): ")

_STAGES = {
    "abs": "the absolute value",
    "max": "the largest magnitude",
    "recip": "its reciprocal",
    "scale": "the scale",
    "step": "the reciprocal scale",
    "scaled": "the scaled input before rounding",
    "round": "the integer values",
    "fake": "the quantised activation",
    "diff": "the straight-through difference",
    "rounddiff": "the straight-through difference",
    "product": "a product of the integer values that was not divided by their scale",
}
