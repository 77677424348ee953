"""int8-dynamic: quantise the input of each dense row and each convolved image by its own largest value."""

from __future__ import annotations

from edgebit.ir.graph import DType, Graph, Int8Weights, Node, TernaryWeights
from edgebit.ops.base import op_of
from edgebit.passes.calibrate import quantise_weights
from edgebit.passes.rewrite import WEIGHTED, clone, infer

EPS = 1e-5  # the least absolute maximum, as BitNet b1.58 uses it


def quantise_dynamic(graph: Graph) -> Graph:
    """Put a dynamic_quantize node before each layer with weights that reads f32; float weights become int8."""
    g = clone(graph)
    quantise_weights(g)
    nodes, g.nodes = g.nodes, []
    made: dict[tuple[str, str], tuple[str, str]] = {}
    for n in nodes:
        if (
            n.op in WEIGHTED
            and g.tensors[n.inputs[0]].dtype == DType.F32
            and isinstance(g.consts[n.inputs[1]], (TernaryWeights, Int8Weights))
        ):
            per = "image" if n.op == "conv2d" else "row"
            key = (n.inputs[0], per)
            if key not in made:
                made[key] = _quantise(g, n.inputs[0], per)
            n.inputs = [made[key][0], n.inputs[1], made[key][1]]
        g.nodes.append(n)
        infer(g, n)
    return g


def _quantise(g: Graph, tensor: str, per: str) -> tuple[str, str]:
    q, d = g.fresh(f"{tensor}.xq"), g.fresh(f"{tensor}.d")
    attrs = {"per": per, "form": "div", "eps": EPS, "qmin": -128, "qmax": 127}
    node = Node("dynamic_quantize", f"{tensor}/dynamic_quantize", [tensor], [q, d], attrs)
    for t in op_of(node).infer(node, g):
        g.tensors[t.name] = t
    g.nodes.append(node)
    return q, d
