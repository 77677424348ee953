"""Fold multiplications and additions by constants (batch normalisation, biases) into what stands before.

Behind a layer with weights and a float epilogue the whole chain goes into scale and bias, computed in
float64 and rounded once. Ternary and int8 weights keep their integers and their source scale; the product
goes to `Affine.scale`. Float weights, and scales for groups of inputs, are multiplied themselves, so that their
epilogue has no scale.
Chains that follow nothing foldable are merged into at most one mul and one add.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edgebit.ir.graph import Affine, Array, Const, F32Array, Graph, GroupTernaryWeights, Node
from edgebit.passes.rewrite import INF, WEIGHTED, Index, clone, limits, remove, scalar_or_channel, tensor_of

F64 = npt.NDArray[np.float64]


def fold_affine(graph: Graph) -> Graph:
    """The same network with constant scales and shifts folded (equal up to float rounding)."""
    g = clone(graph)
    for node in list(g.nodes):
        if node.op in WEIGHTED and isinstance(node.attrs.get("epilogue"), Affine):
            _fold_into_linear(g, node)
    done: set[int] = set()
    for node in list(g.nodes):
        if id(node) not in done and scalar_or_channel(g, node) is not None:
            done.update(id(n) for n in _merge_chain(g, node))
    g.prune()
    return g


def chain_after(g: Graph, tensor: str) -> list[Node]:
    """The add/mul-by-constant nodes that follow `tensor`, each the only reader, up to the first clamp."""
    index = Index(g)
    chain: list[Node] = []
    while True:
        user = index.sole_user(tensor)
        if user is None or scalar_or_channel(g, user) is None or not _fits(g, user):
            return chain
        chain.append(user)
        if limits(user) != (-INF, INF):
            return chain
        tensor = user.outputs[0]


def _fits(g: Graph, node: Node) -> bool:
    """The constant does not make the tensor larger."""
    found = scalar_or_channel(g, node)
    assert found is not None
    tensor, const = found
    return g.tensors[tensor].shape == tensor_of(g, node).shape and const.size in (
        1,
        g.tensors[tensor].shape[-1],
    )


def combined(g: Graph, chain: list[Node]) -> tuple[F64, F64]:
    """(scale, bias) in float64 with chain(y) = y * scale + bias; each of shape () or (C,)."""
    scale: F64 = np.ones((), np.float64)
    bias: F64 = np.zeros((), np.float64)
    for n in chain:
        found = scalar_or_channel(g, n)
        assert found is not None
        c = found[1].reshape(-1) if found[1].size > 1 else found[1].reshape(())
        if n.op == "mul":
            scale, bias = scale * c, bias * c
        else:
            bias = bias + c
    return scale, bias


def _finite_f32(*values: Array | None) -> bool:
    return all(v is None or bool(np.isfinite(v).all()) for v in values)


def _fold_into_linear(g: Graph, node: Node) -> None:
    ep: Affine = node.attrs["epilogue"]
    if (ep.lo, ep.hi) != (-INF, INF):
        return
    chain = chain_after(g, node.outputs[0])
    if not chain:
        return
    scale, bias = combined(g, chain)
    channels = tensor_of(g, node).shape[-1]
    old_bias = np.zeros(channels) if ep.bias is None else ep.bias.astype(np.float64)
    new_bias = np.broadcast_to(old_bias * scale + bias, (channels,)).astype(np.float32)
    has_bias = ep.bias is not None or any(n.op == "add" for n in chain)
    has_scale = any(n.op == "mul" for n in chain)
    weights = g.consts[node.inputs[1]]
    new_scale = ep.scale
    new_weights: Const | None = None
    folded: F32Array | None = None
    if has_scale and isinstance(weights, GroupTernaryWeights):
        folded = _times(weights.scale, scale)
        new_weights = replace(weights, scale=folded)
    elif has_scale and isinstance(weights, np.ndarray) and ep.scale is None:
        new_weights = folded = _times(weights, scale)
    elif has_scale:
        old_scale = np.ones(channels) if ep.scale is None else ep.scale.astype(np.float64)
        new_scale = np.broadcast_to(old_scale * scale, (channels,)).astype(np.float32)
    if not _finite_f32(new_bias, new_scale, folded):
        return  # a constant out of binary32's range: leave the steps apart
    if new_weights is not None:
        name = g.fresh(f"{node.inputs[1]}.folded")
        g.consts[name] = new_weights
        node.inputs[1] = name
    lo, hi = limits(chain[-1])
    node.attrs["epilogue"] = replace(
        ep, scale=new_scale, bias=new_bias if has_bias else ep.bias, lo=lo, hi=hi
    )
    _bypass(g, node, chain)


def _times(values: Array, scale: F64) -> F32Array:
    """values (OC, ...) times a scale for all or for each output channel, rounded once."""
    per_row = np.broadcast_to(scale, (len(values),)).reshape((-1,) + (1,) * (values.ndim - 1))
    product: F32Array = (values.astype(np.float64) * per_row).astype(np.float32)
    return product


def _bypass(g: Graph, node: Node, chain: list[Node]) -> None:
    """Let `node` make what the last node of `chain` made, and drop the chain."""
    last = chain[-1].outputs[0]
    del g.tensors[node.outputs[0]]
    for n in chain:
        remove(g, n)
        if n.outputs[0] != last:
            del g.tensors[n.outputs[0]]
    node.outputs[0] = last


def _merge_chain(g: Graph, first: Node) -> list[Node]:
    """Merge the chain that starts with `first`; returns the nodes that were looked at."""
    chain = [first]
    if limits(first) == (-INF, INF) and _fits(g, first):
        chain += chain_after(g, first.outputs[0])
    muls = sum(n.op == "mul" for n in chain)
    adds = len(chain) - muls
    if muls < 2 and adds < 2:
        return chain
    if not _fits(g, first):
        return chain
    scale, bias = combined(g, chain)
    if not _finite_f32(scale.astype(np.float32), bias.astype(np.float32)):
        return chain
    found = scalar_or_channel(g, first)
    assert found is not None
    wanted = ([("mul", scale)] if muls else []) + ([("add", bias)] if adds else [])
    keep, drop = chain[-len(wanted) :], chain[: -len(wanted)]
    tensor = found[0]
    for n, (op, value) in zip(keep, wanted, strict=True):
        const = g.fresh(f"{n.name}.{op}")
        g.consts[const] = np.asarray(value, np.float32)
        n.op, n.inputs = op, [tensor, const]
        tensor = n.outputs[0]
    for n in drop:
        remove(g, n)
        del g.tensors[n.outputs[0]]
    return chain
