"""Remove the transposes and reshapes an importer put round channels-last ops.

One walk in execution order. Transposes and reshapes are not emitted but carried along as a `View` of the
tensor they start from; ops that work element by element (or on axes that can be renamed) are applied to
that tensor directly, and hand the view on. Where an op needs the real layout the view is written out as
at most one transpose and two reshapes, so inverse pairs vanish by themselves. A flatten in front of a
dense layer becomes a new order of its weight columns; views of graph inputs and outputs are recorded in
`Tensor.source_perm` and `Tensor.source_shape`. The walk visits each node once, so it ends.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from edgebit.ir.graph import Array, Const, Graph, Int8Weights, Node, TernaryWeights
from edgebit.passes.input_layout import AXES, BINARY, LAYOUT, UNARY, input_layouts
from edgebit.passes.rewrite import infer
from edgebit.passes.view import View


def channels_last(graph: Graph) -> Graph:
    """The same network with as few layout changes as can be; see the module's text."""
    return _Walk(graph).graph()


class _Walk:
    def __init__(self, old: Graph) -> None:
        self.old = old
        self.new = Graph(old.name, list(old.inputs), [], [], {}, dict(old.consts))
        self.views: dict[str, tuple[str, View]] = {}
        self.written: dict[tuple[str, Any], str] = {}
        self.reordered: dict[tuple[str, bytes], str] = {}

    def graph(self) -> Graph:
        wanted = input_layouts(self.old)
        for name in self.old.inputs:
            t = self.old.tensors[name]
            view = View.identity(t.shape)
            if name in wanted and t.source_perm is None:
                perm, shape = wanted[name]
                back = _applied(t.shape, perm, shape).inverse()
                if back is not None and (perm != tuple(range(len(perm))) or shape != t.shape):
                    view = back
                    t = replace(t, shape=shape, source_perm=perm, source_shape=t.shape)
            self.new.tensors[name] = replace(t)
            self.views[name] = (name, view)
        for node in self.old.nodes:
            self.visit(node)
        self.finish_outputs()
        self.new.prune()
        return self.new

    def shape(self, tensor: str) -> tuple[int, ...]:
        return self.old.tensors[tensor].shape

    def visit(self, node: Node) -> None:
        if node.op in LAYOUT:
            self.layout(node)
        elif not (
            (node.op in UNARY and self.unary(node))
            or (node.op in BINARY and self.binary(node))
            or (node.op in AXES and self.axes(node))
            or (node.op == "dynamic_quantize" and self.dynamic(node))
            or (node.op == "dense" and self.dense(node))
        ):
            self.emit(node, [self.real(i) for i in node.inputs], node.attrs)

    def emit(self, node: Node, inputs: list[str], attrs: dict[str, Any], view: View | None = None) -> None:
        """Add `node` on `inputs`; its first output stands for the old one seen through `view`."""
        outputs = [o if o not in self.new.tensors else self.new.fresh(o) for o in node.outputs]
        made = Node(node.op, node.name, inputs, outputs, dict(attrs))
        self.new.nodes.append(made)
        infer(self.new, made)
        for i, (old, out) in enumerate(zip(node.outputs, outputs, strict=True)):
            identity = View.identity(self.new.tensors[out].shape)
            self.views[old] = (out, identity if view is None or i else view)

    def real(self, tensor: str) -> str:
        """The name of a tensor that holds `tensor` as it was, written out if need be."""
        if tensor not in self.views:
            return tensor  # a constant, or an absent input
        base, view = self.views[tensor]
        for op, arg in view.steps():
            key = (base, (op, arg))
            if key not in self.written:
                name = self.new.fresh(tensor)
                attr = {"perm": arg} if op == "transpose" else {"shape": arg}
                made = Node(op, f"{tensor}/{op}", [base], [name], attr)
                self.new.nodes.append(made)
                infer(self.new, made)
                self.written[key] = name
            base = self.written[key]
        return base

    def layout(self, node: Node) -> None:
        base, view = self.views.get(node.inputs[0], ("", None))
        if view is None:  # a transposed constant: leave it
            self.emit(node, list(node.inputs), node.attrs)
            return
        shape = self.shape(node.outputs[0])
        if node.op == "transpose":
            self.views[node.outputs[0]] = (base, view.transpose(tuple(node.attrs["perm"])))
            return
        reshaped = view.reshape(shape)
        if reshaped is None:
            base = self.real(node.inputs[0])
            reshaped = View.identity(self.new.tensors[base].shape).reshape(shape)
            assert reshaped is not None  # a contiguous tensor can take any shape of its size
        self.views[node.outputs[0]] = (base, reshaped)

    def unary(self, node: Node) -> bool:
        base, view = self.views[node.inputs[0]]
        self.emit(node, [base, *node.inputs[1:]], node.attrs, view)
        return True

    def binary(self, node: Node) -> bool:
        tensors = [i for i in node.inputs if i in self.views]
        consts = [self.old.consts[i] for i in node.inputs if i not in self.views]
        if not tensors or any(self.shape(i) != self.shape(node.outputs[0]) for i in tensors):
            return False
        bases = [self.views[i] for i in tensors]
        view = bases[0][1]
        if any(v.key != view.key or v.source != view.source for _, v in bases[1:]):
            return False
        for c in consts:
            if not isinstance(c, np.ndarray):
                return False
            if c.size > 1 and not _keeps_last_axis(view):
                return False
        inputs = [self.views[i][0] if i in self.views else i for i in node.inputs]
        self.emit(node, inputs, node.attrs, view)
        return True

    def axes(self, node: Node) -> bool:
        if any(i not in self.views for i in node.inputs):
            return False
        bases = [self.views[i] for i in node.inputs]
        first = bases[0][1]
        maps = [v.axis_map() for _, v in bases]
        axes = maps[0]
        if axes is None or any(m != axes for m in maps) or first.trivial:
            return False
        rank = len(first.source)
        changed = _changed_axes(node, first.shape)
        if any(axes[a] < 0 for a in changed) or any(len(v.source) != rank for _, v in bases):
            return False
        inputs = [base for base, _ in bases]
        attrs = _renamed(node, axes, rank)
        made_shape = list(first.source)
        out_shape = self.shape(node.outputs[0])
        for a in changed:
            made_shape[axes[a]] = out_shape[a]
        if any(self.new.tensors[b].shape != v.source for b, v in bases):
            return False
        if prod(made_shape) != prod(out_shape):
            return False
        named = [a for a in axes if a >= 0]
        perm = tuple(named + [a for a in range(rank) if a not in named])
        view = View.identity(tuple(made_shape)).transpose(perm).reshape(out_shape)
        if view is None:
            return False
        self.emit(node, inputs, attrs, view)
        return True

    def dynamic(self, node: Node) -> bool:
        base, view = self.views[node.inputs[0]]
        attrs = dict(node.attrs)
        source, shape = view.source, view.shape
        rows = shape[0]
        whole_rows = source[:1] == (rows,) and view.columns(rows) is not None
        if attrs.get("per") == "image":
            if not whole_rows:
                return False
        elif view.contiguous and source[-1:] == shape[-1:]:
            pass
        elif len(shape) == 2 and whole_rows and not view.contiguous:
            attrs["per"] = "image"  # a row of the flattened map is the whole image
        else:
            return False
        self.emit(node, [base, *node.inputs[1:]], attrs, view)
        return True

    def dense(self, node: Node) -> bool:
        base, view = self.views.get(node.inputs[0], ("", None))
        if view is None or view.contiguous or len(view.shape) != 2:
            return False
        columns = view.columns(view.shape[0])
        if columns is None:
            return False
        flat = self.flat(node.inputs[0], base, view.shape)
        weights = self.reorder(node.inputs[1], columns)
        self.emit(node, [flat, weights, *(self.real(i) for i in node.inputs[2:])], node.attrs)
        return True

    def flat(self, tensor: str, base: str, shape: tuple[int, ...]) -> str:
        keep = self.views[tensor]
        plain = View.identity(self.new.tensors[base].shape).reshape(shape)
        assert plain is not None
        self.views[tensor] = (base, plain)
        name = self.real(tensor)
        self.views[tensor] = keep
        return name

    def reorder(self, weights: str, columns: Array) -> str:
        key = (weights, columns.tobytes())
        if key not in self.reordered:
            name = self.new.fresh(f"{weights}.nhwc")
            self.new.consts[name] = _permute_columns(self.old.consts[weights], columns)
            self.reordered[key] = name
        return self.reordered[key]

    def finish_outputs(self) -> None:
        """Choose the tensors that are the outputs: all different, and no inputs.

        A transposed output is left canonical, and its source layout noted on the tensor.
        """
        taken: set[str] = set(self.new.inputs)
        for name in self.old.outputs:
            old = self.old.tensors[name]
            base, view = self.views[name]
            perm = None
            if not view.contiguous and base not in taken and old.source_perm is None:
                inverse = view.inverse()
                perm = None if inverse is None else inverse.as_transpose()
            if perm is None:
                base = self.real(name)
                if base in taken:
                    base = self.copied(name, base)
                layout = (old.source_perm, old.source_shape)
            else:
                layout = (perm, view.shape)
            self.new.tensors[base].source_perm, self.new.tensors[base].source_shape = layout
            taken.add(base)
            self.new.outputs.append(base)

    def copied(self, tensor: str, base: str) -> str:
        """A second name for `base`: a reshape to its own shape, which costs nothing."""
        name = self.new.fresh(tensor)
        made = Node("reshape", f"{tensor}/output", [base], [name], {"shape": self.new.tensors[base].shape})
        self.new.nodes.append(made)
        infer(self.new, made)
        return name


def _applied(source: tuple[int, ...], perm: tuple[int, ...], shape: tuple[int, ...]) -> View:
    view = View.identity(source).transpose(perm).reshape(shape)
    assert view is not None  # only axes of size one differ
    return view


def _keeps_last_axis(view: View) -> bool:
    """The last axis of the view is the last axis of its source."""
    n = view.shape[-1] if view.shape else 1
    if not view.source or view.source[-1] != n:
        return False
    last = View(view.source, (n,), view.axes[-1:], None).order
    return n == 1 or last == ((n, 1),)


def _changed_axes(node: Node, shape: tuple[int, ...]) -> list[int]:
    """The axes whose size or start a pad, slice or concat of tensors of `shape` changes."""
    rank = len(shape)
    at = node.attrs
    if node.op == "concat":
        return [int(at["axis"]) % rank]
    if node.op == "pad":
        return [a for a in range(rank) if at["pads"][a] or at["pads"][a + rank]]
    steps = at.get("steps", (1,) * rank)
    return [a for a in range(rank) if at["starts"][a] or at["sizes"][a] != shape[a] or steps[a] != 1]


def _renamed(node: Node, axes: list[int], rank: int) -> dict[str, Any]:
    """The attributes of a pad, slice or concat when axis a of its tensor is called axes[a]."""
    attrs = dict(node.attrs)
    old = len(axes)

    def spread(values: Any, fill: int) -> tuple[int, ...]:
        out = [fill] * rank
        for a, v in enumerate(values):
            if axes[a] >= 0:
                out[axes[a]] = int(v)
        return tuple(out)

    if node.op == "concat":
        attrs["axis"] = axes[int(attrs["axis"]) % old]
    elif node.op == "pad":
        pads = attrs["pads"]
        attrs["pads"] = spread(pads[:old], 0) + spread(pads[old:], 0)
    else:
        for key, fill in (("starts", 0), ("sizes", 1), ("steps", 1)):
            if key in attrs:
                attrs[key] = spread(attrs[key], fill)
    return attrs


def _permute_columns(w: Const, columns: Array) -> Const:
    """Weights whose column columns[k] is the old column k."""
    back = np.argsort(columns)
    if isinstance(w, TernaryWeights):
        return TernaryWeights(np.ascontiguousarray(w.trits[:, back]), w.scale)
    if isinstance(w, Int8Weights):
        return Int8Weights(np.ascontiguousarray(w.q[:, back]), w.scale)
    return np.ascontiguousarray(w[:, back])
