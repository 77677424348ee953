"""Canonical bytes of a graph, the model id, and the certificate.

The bytes are a JSON header (sorted keys, no spaces) followed by the raw little-endian arrays it names, so
that equal graphs give equal bytes on every machine and a graph can be stored in an export and read back.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgebit.errors import ModelError
from edgebit.ir.graph import (
    Affine,
    Array,
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

_MAGIC = b"EBG1"
_RECORDS: dict[str, type[Any]] = {
    "Quant": Quant,
    "Requant": Requant,
    "Affine": Affine,
    "TernaryWeights": TernaryWeights,
    "GroupTernaryWeights": GroupTernaryWeights,
    "Int8Weights": Int8Weights,
}
_DTYPES = ("<f4", "|i1", "<i4", "<i8", "|u1")


def _little(a: Array) -> Array:
    return np.ascontiguousarray(a, dtype=a.dtype.newbyteorder("<"))


class _Writer:
    def __init__(self) -> None:
        self.blobs: list[bytes] = []
        self.offset = 0

    def pack(self, v: Any) -> Any:
        if isinstance(v, np.ndarray):
            a = _little(v)
            raw = a.tobytes()
            entry = {"$a": [a.dtype.str, list(a.shape), self.offset]}
            self.blobs.append(raw)
            self.offset += len(raw)
            return entry
        if isinstance(v, DType):
            return {"$d": v.value}
        if dataclasses.is_dataclass(v) and not isinstance(v, type):
            fields = {f.name: self.pack(getattr(v, f.name)) for f in dataclasses.fields(v)}
            return {"$r": type(v).__name__, "f": fields}
        if isinstance(v, (bool, str)) or v is None:
            return v
        if isinstance(v, (int, np.integer)):
            return int(v)
        if isinstance(v, (float, np.floating)):
            return {"$f": float(v).hex()}
        if isinstance(v, (list, tuple)):
            return [self.pack(x) for x in v]
        if isinstance(v, dict):
            return {str(k): self.pack(v[k]) for k in sorted(v)}
        raise TypeError(f"cannot serialise {type(v)}")


def graph_to_bytes(graph: Graph) -> bytes:
    """The canonical bytes of `graph`."""
    w = _Writer()
    header = {
        "name": graph.name,
        "inputs": [_tensor(w, graph.tensors[i]) for i in graph.inputs],
        "outputs": list(graph.outputs),
        "nodes": [
            {
                "op": n.op,
                "name": n.name,
                "in": n.inputs,
                "out": [_tensor(w, graph.tensors[o]) for o in n.outputs],
                "attrs": w.pack(n.attrs),
            }
            for n in graph.nodes
        ],
        "consts": {k: w.pack(graph.consts[k]) for k in sorted(graph.consts)},
    }
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
    return _MAGIC + struct.pack("<II", len(text), w.offset) + text + b"".join(w.blobs)


def _tensor(w: _Writer, t: Tensor) -> dict[str, Any]:
    return {
        "name": t.name,
        "shape": list(t.shape),
        "dtype": t.dtype.value,
        "quant": w.pack(t.quant),
        "perm": None if t.source_perm is None else list(t.source_perm),
        "source": None if t.source_shape is None else list(t.source_shape),
    }


def graph_from_bytes(raw: bytes) -> Graph:
    """Read back what `graph_to_bytes` wrote; raises ModelError when it is damaged."""
    try:
        return _read(raw)
    except (ValueError, KeyError, TypeError, IndexError, struct.error) as e:
        raise ModelError(f"the stored graph is damaged ({e}); export the model again") from e


def _read(raw: bytes) -> Graph:
    if raw[:4] != _MAGIC:
        raise ValueError("wrong magic")
    n_text, n_blob = struct.unpack_from("<II", raw, 4)
    header = json.loads(raw[12 : 12 + n_text])
    blob = raw[12 + n_text :]
    if len(blob) != n_blob:
        raise ValueError("wrong length")

    def unpack(v: Any) -> Any:
        if isinstance(v, list):
            return [unpack(x) for x in v]
        if not isinstance(v, dict):
            return v
        if "$a" in v:
            dtype, shape, offset = v["$a"]
            if dtype not in _DTYPES:
                raise ValueError(f"array type {dtype}")
            count = int(np.prod(shape, dtype=np.int64))
            return np.frombuffer(blob, dtype, count, offset).reshape(shape).copy()
        if "$d" in v:
            return DType(v["$d"])
        if "$f" in v:
            return float.fromhex(v["$f"])
        if "$r" in v:
            return _RECORDS[v["$r"]](**{k: unpack(x) for k, x in v["f"].items()})
        return {k: unpack(x) for k, x in v.items()}

    g = Graph(header["name"])

    def tensor(t: dict[str, Any]) -> str:
        g.tensors[t["name"]] = Tensor(
            t["name"],
            tuple(t["shape"]),
            DType(t["dtype"]),
            unpack(t["quant"]),
            None if t["perm"] is None else tuple(t["perm"]),
            None if t["source"] is None else tuple(t["source"]),
        )
        return str(t["name"])

    g.inputs = [tensor(t) for t in header["inputs"]]
    g.outputs = list(header["outputs"])
    for n in header["nodes"]:
        made = [tensor(t) for t in n["out"]]
        g.nodes.append(Node(n["op"], n["name"], list(n["in"]), made, unpack(n["attrs"])))
    consts: dict[str, Const] = {k: unpack(v) for k, v in header["consts"].items()}
    g.consts = consts
    return g


def model_id(graph: Graph) -> str:
    """SHA-256 of the canonical graph, as 64 hex digits. The link carries its first 16."""
    return hashlib.sha256(graph_to_bytes(graph)).hexdigest()


class Certifier:
    """Computes a certificate vector by vector: SHA-256 over canonical graph, inputs and every layer's output.

    Nothing of target, kernel or layout goes in.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._hash = hashlib.sha256(graph_to_bytes(graph))

    def add(self, inputs: Mapping[str, Array], trace: Mapping[str, Array]) -> None:
        """One vector: canonical inputs by name, and every tensor's value as the reference computed them."""
        self._hash.update(b"vector")
        for i in self._graph.inputs:
            self._hash.update(_little(inputs[i]).tobytes())
        for n in self._graph.nodes:
            for o in n.outputs:
                self._hash.update(_little(trace[o]).tobytes())

    def hexdigest(self) -> str:
        """The certificate of the vectors so far, 64 hex digits."""
        return self._hash.hexdigest()


def certificate(
    graph: Graph, vectors: Sequence[Mapping[str, Array]], traces: Sequence[Mapping[str, Array]]
) -> str:
    """The certificate of golden vectors and their traces, see Certifier."""
    c = Certifier(graph)
    for inputs, trace in zip(vectors, traces, strict=True):
        c.add(inputs, trace)
    return c.hexdigest()
