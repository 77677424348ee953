"""Is a manifest (edgebit.json) what an exporter writes? Whoever reads one relies on the types checked here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from edgebit.ir.graph import Graph

_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
_HEX = re.compile(r"[0-9a-f]{64}")
_TEXT = re.compile(r"[^\x00-\x1f\x7f]{0,2000}")
_MAX = 1 << 53

Check = Callable[[object], bool]


def _text(v: object) -> bool:
    return isinstance(v, str) and _TEXT.fullmatch(v) is not None


def _count(v: object) -> bool:
    return type(v) is int and 0 <= v < _MAX


def _number(v: object) -> bool:
    return type(v) in (int, float) and abs(v) < _MAX  # type: ignore[arg-type]


def _crc(v: object) -> bool:
    return type(v) is int and 0 <= v < 1 << 32


def _matches(pattern: re.Pattern[str]) -> Check:
    return lambda v: isinstance(v, str) and pattern.fullmatch(v) is not None


def _maybe(check: Check) -> Check:
    return lambda v: v is None or check(v)


def _list(check: Check) -> Check:
    return lambda v: isinstance(v, list) and all(map(check, v))


def _record(checks: Mapping[str, Check]) -> Check:
    return lambda v: isinstance(v, dict) and all(k in v and check(v[k]) for k, check in checks.items())


def _totals(v: object) -> bool:
    return isinstance(v, dict) and all(_text(k) and _count(n) for k, n in v.items())


_RUNNER_UP = _record({"kernel": _text, "cost": _maybe(_number)})
_LAYER: Mapping[str, Check] = {
    "index": _count,
    "name": _text,
    "op": _text,
    "kernel": _text,
    "macs": _count,
    "bytes": _count,
    "cost": _maybe(_number),
    "bits_per_weight": _number,
    "runner_up": _maybe(_RUNNER_UP),
}
_FIT_ROW = _record({"memory": _text, "item": _text, "bytes": _number, "kind": _text})
_BOX = _record({"tensor": _text, "offset": _count, "bytes": _count, "from": _count, "to": _count})
_TOP: Mapping[str, Check] = {
    "name": _matches(_NAME),
    "target": _text,
    "board": _maybe(_text),
    "core": _text,
    "model_id": _matches(_HEX),
    "certificate": _matches(_HEX),
    "source_name": _text,
    "source_sha256": _matches(_HEX),
    "activations": _text,
    **dict.fromkeys(
        ("flash_bytes", "weights_bytes", "arena_bytes", "arena_lower_bound", "scratch_bytes", "stack_bytes"),
        _count,
    ),
    "state_bytes": _count,
    "layers": _list(_record(_LAYER)),
    "weight_crcs": _list(lambda v: isinstance(v, list) and len(v) == 2 and _count(v[0]) and _crc(v[1])),
    "fit": _record({"rows": _list(_FIT_ROW), "totals": _totals}),
    "arena": _list(_BOX),
    "vectors": _record(
        {"count": _count, "source": lambda v: type(v) is bool, "layer_crcs": _list(_list(_crc))}
    ),
}


def check_manifest(found: object) -> dict[str, Any]:
    """The manifest, when every key that is relied on is there and of its type; else ValueError."""
    if not isinstance(found, dict):
        raise ValueError("its manifest is no object")
    for key, check in _TOP.items():
        if key not in found:
            raise ValueError(f"its manifest lacks {key!r}")
        if not check(found[key]):
            raise ValueError(f"its manifest holds something else than it should under {key!r}")
    return found


def check_layers(manifest: Mapping[str, Any], graph: Graph) -> None:
    """ValueError unless the manifest's tables are as long as the graph and its golden vectors say."""
    layers, vectors = manifest["layers"], manifest["vectors"]
    if [r["name"] for r in layers] != [n.name for n in graph.nodes]:
        raise ValueError("its manifest lists other layers than its graph has")
    if any(layer >= len(layers) for layer, _ in manifest["weight_crcs"]):
        raise ValueError("its manifest holds the CRC of weights of no layer")
    crcs = vectors["layer_crcs"]
    if len(crcs) != vectors["count"] or any(len(row) != len(layers) for row in crcs):
        raise ValueError("its manifest lacks the CRCs of some layers")
