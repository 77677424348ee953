"""What a network is: tensors, constants, nodes, graphs, and their canonical bytes."""

from edgebit.ir.graph import (
    Affine,
    Const,
    DType,
    Graph,
    GroupTernaryWeights,
    Int8Weights,
    Node,
    Quant,
    Requant,
    Tensor,
    TernaryWeights,
)
from edgebit.ir.serial import Certifier, certificate, graph_from_bytes, graph_to_bytes, model_id

__all__ = [
    "Affine",
    "Certifier",
    "Const",
    "DType",
    "Graph",
    "GroupTernaryWeights",
    "Int8Weights",
    "Node",
    "Quant",
    "Requant",
    "Tensor",
    "TernaryWeights",
    "certificate",
    "graph_from_bytes",
    "graph_to_bytes",
    "model_id",
]
