"""Which layout the network would like its inputs in, and which ops let a layout pass through."""

from __future__ import annotations

from edgebit.ir.graph import Graph, Node
from edgebit.passes.view import View

LAYOUT = ("transpose", "reshape")
UNARY = (
    "clip",
    "leaky_relu",
    "hard_swish",
    "hard_sigmoid",
    "silu",
    "sigmoid",
    "tanh",
    "lut",
    "quantize",
    "dequantize",
)
BINARY = ("add", "mul")
AXES = ("pad", "slice", "concat")

Layout = tuple[tuple[int, ...], tuple[int, ...]]


def input_layouts(graph: Graph) -> dict[str, Layout]:
    """(perm, shape) for inputs better stored as source.transpose(perm).reshape(shape).

    It is the layout in which the first op that cares about layout reads the input.
    """
    users: dict[str, list[Node]] = {}
    for n in graph.nodes:
        for i in dict.fromkeys(n.inputs):
            users.setdefault(i, []).append(n)
    out: dict[str, Layout] = {}
    for name in graph.inputs:
        layout = _first_layout(graph, users, name)
        if layout is not None:
            out[name] = layout
    return out


def _first_layout(graph: Graph, users: dict[str, list[Node]], name: str) -> Layout | None:
    source = graph.tensors[name].shape
    queue: list[tuple[str, View]] = [(name, View.identity(source))]
    seen = {name}
    while queue:
        tensor, view = queue.pop(0)
        for node in users.get(tensor, []):
            after: View | None = view
            if node.op == "transpose":
                after = view.transpose(tuple(node.attrs["perm"]))
            elif node.op == "reshape":
                after = view.reshape(graph.tensors[node.outputs[0]].shape)
            elif node.op in AXES:
                shape = graph.tensors[node.outputs[0]].shape
                after = _resized(view, shape)
            elif node.op not in UNARY and node.op not in BINARY and node.op != "dynamic_quantize":
                layout = _layout(source, view)
                if layout is not None:
                    return layout
                continue
            if after is not None and node.outputs[0] not in seen:
                seen.add(node.outputs[0])
                queue.append((node.outputs[0], after))
    return None


def _resized(view: View, shape: tuple[int, ...]) -> View | None:
    """The view after an op that changed sizes but not the order of axes."""
    if view.perm is None:
        return None
    before = [0] * len(shape)
    for i, p in enumerate(view.perm):
        before[p] = shape[i]
    return View.identity(tuple(before)).transpose(view.perm)


def _layout(source: tuple[int, ...], view: View) -> Layout | None:
    """The view as a layout for an input of shape `source`, when it only moves axes and adds or drops ones."""
    perm = view.as_transpose()
    if perm is None or len(source) != len(perm):
        return None
    moved = [view.source[p] for p in perm]
    actual = [source[p] for p in perm]
    if [d for d in moved if d != 1] != [d for d in view.shape if d != 1]:
        return None
    if view.source == source:
        shape = view.shape
    elif tuple(moved) == view.shape:
        shape = tuple(actual)
    else:
        return None
    if shape == source and perm == tuple(range(len(perm))):
        return None
    return perm, shape
