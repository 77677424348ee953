"""Writes GGUF files and random models of every ternary type in them, independently of the code under test."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from decoder_files import MODULES, Array, Shape, random_trits

BLOCKS = dict(
    zip(MODULES, ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"), strict=True)
)
"""What GGUF calls the projections."""


def gguf_string(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw)) + raw


def gguf_value(v: Any) -> bytes:
    """Type and value: bool, int (u32, or i32 below 0), float (f32), str, list of str, NumPy arrays of int32 or float32."""
    if isinstance(v, bool):
        return struct.pack("<I?", 7, v)
    if isinstance(v, int):
        return struct.pack("<II", 4, v) if v >= 0 else struct.pack("<Ii", 5, v)
    if isinstance(v, float):
        return struct.pack("<If", 6, v)
    if isinstance(v, str):
        return struct.pack("<I", 8) + gguf_string(v)
    if isinstance(v, list):
        return struct.pack("<IIQ", 9, 8, len(v)) + b"".join(gguf_string(x) for x in v)
    kind = 6 if v.dtype.kind == "f" else 5
    return struct.pack("<IIQ", 9, kind, len(v)) + v.astype("<f4" if kind == 6 else "<i4").tobytes()


@dataclass(frozen=True)
class Blob:
    """A GGUF tensor: type id, shape (rows first), bytes."""

    type: int
    shape: tuple[int, ...]
    raw: bytes


def write_gguf(
    path: Path, metadata: Mapping[str, Any], tensors: Mapping[str, Blob], alignment: int = 32
) -> None:
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    for key, v in metadata.items():
        head += gguf_string(key) + gguf_value(v)
    body = b""
    for name, t in tensors.items():
        body += b"\0" * (-len(body) % alignment)
        dims = tuple(reversed(t.shape))
        head += gguf_string(name) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims)
        head += struct.pack("<IQ", t.type, len(body))
        body += t.raw
    path.write_bytes(head + b"\0" * (-len(head) % alignment) + body)


def f32_blob(x: Array) -> Blob:
    return Blob(0, x.shape, x.astype("<f4").tobytes())


def f16_blob(x: Array) -> Blob:
    return Blob(1, x.shape, x.astype("<f2").tobytes())


def _halves(scale: Array) -> Array:
    return scale.astype("<f2").reshape(-1, 1).view(np.uint8)


def _two_bit(codes: Array) -> Array:
    """Neighbouring codes to a byte, first in the low bits."""
    c = codes.reshape(len(codes), -1, 4)
    return (c << np.array([0, 2, 4, 6])).sum(-1).astype(np.uint8)


def _planes(codes: Array, run: int, shifts: tuple[int, ...]) -> Array:
    """Runs of codes laid over each other at the shifts."""
    c = codes.reshape(len(codes), -1, len(shifts), run)
    return (c << np.array(shifts)[:, None]).sum(2).reshape(len(codes), -1).astype(np.uint8)


def _base3(trits: Array, run: int, digits: int) -> Array:
    """digits runs of trits laid over each other as a base-3 fraction of 256, rounded up."""
    c = (trits + 1).astype(np.int64).reshape(len(trits), digits, run)
    total = sum(c[:, n] * 3 ** (4 - n) for n in range(digits))
    return ((np.asarray(total) * 256 + 242) // 243).astype(np.uint8)


BLOCK = {34: 256, 35: 256, 41: 128, 42: 64, 142: 128, 143: 128, 4200: 128}
"""Trits to a scale by type id; 4200 stands for the older layout of 42."""


def ternary_blob(type_id: int, trits: Array, scale: Array, layout: str = "128") -> Blob:
    """trits (out, in) with scales (out, in / block) stored as a ternary type (I2_S: one scale)."""
    shape = trits.shape
    if type_id == 36:
        codes = (trits + 1).astype(np.int64)
        if layout == "rows4":
            raw = _planes(codes.reshape(shape[0] // 4, -1), shape[1], (6, 4, 2, 0))
        else:
            raw = _planes(codes.reshape(-1, int(layout)), int(layout) // 4, (6, 4, 2, 0))
        tail = np.float32(scale.flat[0]).tobytes() + b"\0" * 28
        return Blob(36, shape, raw.tobytes() + tail)
    block = BLOCK[type_id]
    t = trits.reshape(-1, block)
    codes, d = (t + 1).astype(np.int64), _halves(scale)
    if type_id == 35:
        parts = [_planes(codes, 32, (0, 2, 4, 6)), d]
    elif type_id == 34:
        parts = [_base3(t[:, :160], 32, 5), _base3(t[:, 160:240], 16, 5), _base3(t[:, 240:], 4, 4), d]
    elif type_id == 143:
        parts = [_base3(t[:, :80], 16, 5), _base3(t[:, 80:120], 8, 5), _base3(t[:, 120:], 2, 4), d]
    elif type_id == 41:
        parts = [d, np.packbits(t > 0, axis=1, bitorder="little")]
    else:
        parts = [d, _two_bit(codes)]
    return Blob(42 if type_id == 4200 else type_id, shape, np.concatenate(parts, axis=1).tobytes())


def interleaved(x: Array, heads: int) -> Array:
    """Rows in llama.cpp's order for architecture llama: row i beside row i + head_dim / 2 of its head."""
    return x.reshape(heads, 2, x.shape[0] // heads // 2, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)


def gguf_metadata(arch: str, s: Shape, **more: Any) -> dict[str, Any]:
    sizes = {
        "embedding_length": s.width, "block_count": s.layers, "feed_forward_length": s.ffn,
        "attention.head_count": s.heads, "attention.head_count_kv": s.kv_heads, "context_length": s.context,
        "attention.layer_norm_rms_epsilon": 1e-5, "rope.freq_base": 500000.0, "attention.key_length": s.head_dim,
        "attention.value_length": s.head_dim, "vocab_size": s.vocab,
    }  # fmt: skip
    out: dict[str, Any] = {"general.architecture": arch, "general.alignment": 32}
    return out | {f"{arch}.{k}": v for k, v in sizes.items()} | more


def write_gguf_model(
    path: Path, arch: str, type_id: int, s: Shape, *, seed: int = 0, scales: str = "one", layout: str = "128",
    metadata: Mapping[str, Any] = {}, tied: bool = True, extra: Mapping[str, Blob] = {},
) -> dict[tuple[str, int], Array]:  # fmt: skip
    """A GGUF model; the dense value of its projections. scales: "one" a matrix, a "row", or a "block"."""
    rng = np.random.default_rng(seed)
    dense: dict[tuple[str, int], Array] = {}
    t: dict[str, Blob] = {"token_embd.weight": f16_blob(rng.normal(0, 1, (s.vocab, s.width)))}
    t["output_norm.weight"] = f32_blob(rng.uniform(0.5, 1.5, s.width))
    if not tied:
        t["output.weight"] = f16_blob(rng.normal(0, 0.3, (s.vocab, s.width)))
    inner = s.heads * s.head_dim
    norms = {"attn_norm": s.width, "ffn_norm": s.width}
    norms |= {"attn_sub_norm": inner, "ffn_sub_norm": s.ffn} if arch.startswith("bitnet") else {}
    norms |= {"attn_q_norm": s.head_dim, "attn_k_norm": s.head_dim} if arch == "qwen3" else {}
    for layer in range(s.layers):
        for name, width in norms.items():
            t[f"blk.{layer}.{name}.weight"] = f32_blob(rng.uniform(0.5, 1.5, width))
        for role, name in BLOCKS.items():
            out, k = s.matrix(role)
            trits = random_trits(rng, (out, k))
            if type_id == 41:
                trits[trits == 0] = 1
            per_row = 1 if type_id == 36 else k // BLOCK[type_id]
            shape = {"one": (1, 1), "row": (out, 1), "block": (out, per_row)}[scales]
            scale = rng.uniform(0.02, 0.1, shape).astype(np.float32 if type_id == 36 else np.float16)
            scale = np.broadcast_to(scale.astype(np.float32), (out, per_row))
            dense[role, layer] = trits * np.repeat(scale, k // per_row, axis=1)
            if arch == "llama" and role in "qk":
                heads = s.heads if role == "q" else s.kv_heads
                trits, scale = interleaved(trits, heads), interleaved(scale, heads)
            t[f"blk.{layer}.{name}.weight"] = ternary_blob(type_id, trits, scale, layout)
    write_gguf(path, gguf_metadata(arch, s, **metadata), {**t, **extra})
    return dense
