"""What an op is, and how ops are found.

An op is one file in this folder with one subclass of `Op`: its shape rule, its NumPy meaning, how it is
lowered to one C call, how far its output may overlap its inputs in memory, and a random sample for tests.
The file is found by discovery; there is no list to edit.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np

from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array, Const, Graph, Node, Tensor


@dataclass(frozen=True)
class CConst:
    """One constant array of a layer, to be emitted as `static const <ctype> <name>[count]`.

    `raw` is the exact little-endian memory image (what the weight CRC covers). `ctype` is one of
    int8_t uint8_t int16_t uint16_t int32_t uint32_t float eb_requant_entry. `symbol`: the array is defined
    under this name by `Lowered.prelude` (weights that are machine code) and is not passed to the call.
    """

    suffix: str
    ctype: str
    raw: bytes
    symbol: str = ""


@dataclass(frozen=True)
class Lowered:
    """One layer as one C call: `function(&params, inputs..., consts..., outputs..., scratch)`.

    params is a `(ctype, {field: C expression})` pair emitted as a static const struct, or None.
    kernels are the stems of the C files under runtime_c/kernels the call needs ("family__isa"), helpers
    included. prelude holds the text of static C functions the call needs; equal texts are emitted once.
    inputs lists positions of node.inputs that are passed as activation pointers. scratch is appended to the
    call only when scratch_bytes > 0. outputs: how many tensors it makes. An `alias` layer (reshape) makes no call: its output is its input.
    """

    function: str
    kernels: tuple[str, ...]
    inputs: tuple[int, ...]
    consts: tuple[CConst, ...] = ()
    params: tuple[str, dict[str, str]] | None = None
    prelude: str = ""
    scratch_bytes: int = 0
    alias: bool = False
    layout: str = ""
    bits_per_weight: float = 0.0
    kernel: str = ""
    outputs: int = 1


@dataclass(frozen=True)
class KernelChoice:
    """The kernel file stem chosen for a layer, e.g. "tmatvec_s8__armv7em", and its packed layout's name."""

    stem: str
    layout: str = ""


@dataclass(frozen=True)
class Sample:
    """A random graph of one node, with inputs for it, for the kernel and reference tests."""

    graph: Graph
    inputs: dict[str, Array]
    note: str = ""


class Op(ABC):
    """One operation. Subclasses are stateless; `name` is what `Node.op` holds."""

    name: ClassVar[str]

    @abstractmethod
    def infer(self, node: Node, graph: Graph) -> list[Tensor]:
        """Shapes, types and quantisation of the outputs (names from node.outputs); raises EdgebitError
        when the node is not well formed."""

    @abstractmethod
    def run(self, node: Node, graph: Graph, args: list[Array | Const | None]) -> list[Array]:
        """The NumPy meaning. args follow node.inputs; an absent optional input is None."""

    def families(self, node: Node, graph: Graph) -> tuple[str, ...]:
        """The kernel families that could run this node's inner work (usually one); () when none is needed."""
        return ()

    def takes(self, node: Node, graph: Graph, choice: KernelChoice) -> bool:
        """Whether a kernel of one of `families` is for this node."""
        return True

    @abstractmethod
    def lower(self, node: Node, graph: Graph, choice: KernelChoice | None) -> Lowered:
        """The one C call that computes this node, given a kernel choice of one of `families`."""

    def overlap(self, node: Node, graph: Graph) -> list[int | None]:
        """Per input: the largest (output offset - input offset) in bytes at which the output may share
        memory with that input, the input dying here; None when they must be disjoint. 0 means in place.

        The kernel promises: once it writes output byte b, it reads no input byte at an index <= b + D again.
        """
        return [None] * len(node.inputs)

    def macs(self, node: Node, graph: Graph) -> int:
        """Multiply-accumulates of one run (0 for ops that have none)."""
        return 0

    def work(self, node: Node, graph: Graph) -> dict[str, float]:
        """Counts that the cost table prices, by name: "mac", "row", "col", "element", "call" ..."""
        out = graph.tensors[node.outputs[0]]
        return {"call": 1.0, "element": float(out.elements)}

    def kernel_work(self, node: Node, graph: Graph, choice: KernelChoice) -> dict[str, float] | None:
        """Counts as `work` gives them, for a kernel that goes about the node in another way; None when it
        does not."""
        return None

    def requantises(self, stem: str) -> bool:
        """Whether this kernel requantises by a kernel of its own, priced with it, and not in the epilogue that
        all others share."""
        return False

    def epilogue_table(self, stem: str) -> str:
        """The cost table that prices what follows this kernel's sums; "" for that of the epilogue's kind."""
        return ""

    def samples(self, rng: np.random.Generator) -> Sample | None:
        """A random well-formed single-node graph, sizes small and awkward; None when not applicable."""
        return None


@cache
def registry() -> Mapping[str, Op]:
    """All ops, by name, found by importing every module of this package."""
    import edgebit.ops as package

    found: dict[str, Op] = {}
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"edgebit.ops.{info.name}")
        for value in vars(module).values():
            if (
                isinstance(value, type)
                and issubclass(value, Op)
                and value.__module__ == module.__name__
                and isinstance(getattr(value, "name", None), str)
            ):
                found[value.name] = value()
    return found


def op_of(node: Node) -> Op:
    """The op of a node."""
    try:
        return registry()[node.op]
    except KeyError:
        raise EdgebitError(f"node {node.name!r}: no op named {node.op!r}") from None


def execute(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Run the NumPy reference; returns every tensor by name (inputs included)."""
    values: dict[str, Array] = {}
    for name in graph.inputs:
        t = graph.tensors[name]
        a = np.asarray(inputs[name])
        if a.shape != t.shape or a.dtype != t.dtype.numpy:
            raise EdgebitError(
                f"input {name!r}: got {a.dtype} {a.shape}, the model takes {t.dtype.numpy} {t.shape}"
            )
        values[name] = a
    for node in graph.nodes:
        args: list[Any] = []
        for i in node.inputs:
            args.append(None if not i else graph.consts[i] if i in graph.consts else values[i])
        for o, v in zip(node.outputs, op_of(node).run(node, graph, args), strict=True):
            t = graph.tensors[o]
            if v.shape != t.shape or v.dtype != t.dtype.numpy:
                raise EdgebitError(f"node {node.name!r}: made {v.dtype} {v.shape} for {t.dtype} {t.shape}")
            values[o] = v
    return values


def infer_all(graph: Graph) -> None:
    """Recompute every output tensor from the ops' shape rules, in order, keeping source layouts."""
    for node in graph.nodes:
        for t in op_of(node).infer(node, graph):
            old = graph.tensors.get(t.name)
            if old is not None:
                t.source_perm, t.source_shape = old.source_perm, old.source_shape
            graph.tensors[t.name] = t
