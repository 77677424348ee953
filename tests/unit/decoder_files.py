"""Random checkpoints of every family, as Hugging Face folders and GGUF files, with the weights they hold."""

from __future__ import annotations

import importlib
import json
import struct
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

Array = npt.NDArray[Any]

MODULES = {
    "q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "o": "self_attn.o_proj",
    "gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj",
}  # fmt: skip
BLOCKS = {
    "q": "attn_q", "k": "attn_k", "v": "attn_v", "o": "attn_output", "gate": "ffn_gate", "up": "ffn_up",
    "down": "ffn_down",
}  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """Sizes of a decoder; small and odd by default."""

    vocab: int = 67
    width: int = 96
    layers: int = 2
    heads: int = 3
    kv_heads: int = 1
    head_dim: int = 32
    ffn: int = 160
    context: int = 64

    def matrix(self, role: str) -> tuple[int, int]:
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return {
            "q": (q, self.width), "k": (kv, self.width), "v": (kv, self.width), "o": (self.width, q),
            "gate": (self.ffn, self.width), "up": (self.ffn, self.width), "down": (self.width, self.ffn),
        }[role]  # fmt: skip


def bf16(x: Array) -> Array:
    """float32 rounded to the nearest bfloat16, as its bits."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16(bits: Array) -> Array:
    return (bits.astype(np.uint32) << 16).view(np.float32)


Stored = tuple[str, Array]  # safetensors' name of a type, and the raw elements


def stored(x: Array, dtype: str) -> Stored:
    """x in one of F32, F16, BF16, U8, I8."""
    kinds = {"F32": np.float32, "F16": np.float16, "U8": np.uint8, "I8": np.int8}
    return dtype, bf16(x) if dtype == "BF16" else np.asarray(x).astype(kinds[dtype])


def value(t: Stored) -> Array:
    return from_bf16(t[1]) if t[0] == "BF16" else t[1].astype(np.float32)


def write_safetensors(path: Path, tensors: Mapping[str, Stored]) -> None:
    """A file as the safetensors package writes it (which reads it in the tests that have an oracle)."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name, (dtype, a) in tensors.items():
        raw = np.ascontiguousarray(a).tobytes()
        header[name] = {
            "dtype": dtype,
            "shape": list(a.shape),
            "data_offsets": [len(body), len(body) + len(raw)],
        }
        body += raw
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    path.write_bytes(struct.pack("<Q", len(head)) + head + body)


def pack_bands(trits: Array) -> Array:
    """Four bands of rows to a byte, as transformers' pack_weights."""
    band = -(-len(trits) // 4)
    out = np.zeros((band, trits.shape[1]), np.uint8)
    for i in range(4):
        part = trits[i * band : (i + 1) * band] + 1
        out[: len(part)] |= part.astype(np.uint8) << (2 * i)
    return out


def random_trits(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    return rng.integers(-1, 2, shape).astype(np.int8)


def random_scales(rng: np.random.Generator, kind: str, out: int, k: int) -> Array:
    """Scales (1, 1), (out, 1) in bands of rows, (1, k) in two bands of columns, or (out, k) in
    groups of 128 (or 32) inputs."""
    if kind in ("tensor", "binary"):
        return rng.uniform(0.02, 0.1, (1, 1))
    if kind == "rows":
        return np.repeat(rng.uniform(0.02, 0.1, (2, 1)), out // 2, axis=0)
    if kind == "columns":
        return np.repeat(rng.uniform(0.02, 0.1, (1, 2)), k // 2, axis=1)
    group = 128 if k % 128 == 0 else 32
    return np.repeat(rng.uniform(0.02, 0.1, (out, k // group)), group, axis=1)


FAMILY = {
    "BitNetForCausalLM": {
        "model_type": "bitnet", "hidden_act": "relu2", "rms_norm_eps": 1e-5, "tie_word_embeddings": True,
        "rope_theta": 500000.0,
    },
    "BitnetForCausalLM": {
        "model_type": "llama", "hidden_act": "silu", "rms_norm_eps": 1e-5, "tie_word_embeddings": False,
        "weight_bits": 1, "input_bits": 8, "rope_theta": 10000.0, "rope_scaling": None,
    },
    "LlamaForCausalLM": {
        "model_type": "llama", "hidden_act": "silu", "rms_norm_eps": 1e-6, "tie_word_embeddings": False,
        "rope_theta": 1000042, "is_bitnet_config": True,
    },
    "Qwen3ForCausalLM": {
        "model_type": "qwen3", "hidden_act": "silu", "rms_norm_eps": 1e-6, "tie_word_embeddings": True,
        "rope_parameters": {"rope_theta": 1000000.0, "rope_type": "default"}, "attention_bias": False,
        "use_sliding_window": False,
    },
}  # fmt: skip


def config_of(family: str, s: Shape, **more: Any) -> dict[str, Any]:
    sizes = {
        "architectures": [family], "vocab_size": s.vocab, "hidden_size": s.width, "intermediate_size": s.ffn,
        "num_hidden_layers": s.layers, "num_attention_heads": s.heads, "num_key_value_heads": s.kv_heads,
        "max_position_embeddings": s.context, "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    if s.head_dim != s.width // s.heads or family == "Qwen3ForCausalLM":
        sizes["head_dim"] = s.head_dim
    return {**sizes, **FAMILY[family], **more}


def norms_of(family: str, s: Shape) -> dict[str, int]:
    """Local names of a layer's norms and their widths."""
    out = {"input_layernorm": s.width, "post_attention_layernorm": s.width}
    inner = s.heads * s.head_dim
    if family == "BitNetForCausalLM":
        out |= {"self_attn.attn_sub_norm": inner, "mlp.ffn_sub_norm": s.ffn}
    if family == "BitnetForCausalLM":
        out |= {"self_attn.inner_attn_ln": inner, "mlp.ffn_layernorm": s.ffn}
    if family == "Qwen3ForCausalLM":
        out |= {"self_attn.q_norm": s.head_dim, "self_attn.k_norm": s.head_dim}
    return out


def random_tensors(
    family: str,
    s: Shape,
    storage: str,
    *,
    seed: int = 0,
    dtype: str = "F32",
    packed: str = "U8",
    bias: bool = False,
) -> tuple[dict[str, Stored], dict[tuple[str, int], Array]]:
    """Tensors by name, and the dense float32 value of each projection by (role, layer).

    storage: "multiply" or "divide" (packed trits of type `packed` with that kind of weight_scale), "trits" (unpacked
    with a multiplying scale), "masters", or one of random_scales' kinds (floats ternary in value).
    """
    rng = np.random.default_rng(seed)
    t: dict[str, Stored] = {}
    dense: dict[tuple[str, int], Array] = {}
    t["model.embed_tokens.weight"] = stored(rng.normal(0, 1, (s.vocab, s.width)), dtype)
    t["model.norm.weight"] = stored(rng.uniform(0.5, 1.5, s.width), dtype)
    if not FAMILY[family]["tie_word_embeddings"]:
        t["lm_head.weight"] = stored(rng.normal(0, 0.3, (s.vocab, s.width)), dtype)
    for layer in range(s.layers):
        for name, width in norms_of(family, s).items():
            t[f"model.layers.{layer}.{name}.weight"] = stored(rng.uniform(0.5, 1.5, width), dtype)
        for role, module in MODULES.items():
            stem, (out, k) = f"model.layers.{layer}.{module}", s.matrix(role)
            trits = random_trits(rng, (out, k))
            if storage in ("multiply", "divide", "trits"):
                one = rng.uniform(0.02, 0.1)
                scale = stored(np.array([1 / one if storage == "divide" else one]), dtype)
                t[f"{stem}.weight_scale"] = scale
                t[f"{stem}.weight"] = stored(trits if storage == "trits" else pack_bands(trits), packed)
                w = value(scale)[0]
                dense[role, layer] = trits / w if storage == "divide" else trits * w
            elif storage == "masters":
                t[f"{stem}.weight"] = stored(rng.normal(0, 0.05, (out, k)), dtype)
                dense[role, layer] = value(t[f"{stem}.weight"])
            else:
                if storage == "binary":
                    trits[trits == 0] = 1
                scale = value(stored(random_scales(rng, storage, out, k), dtype))
                t[f"{stem}.weight"] = stored(trits * scale, dtype)
                dense[role, layer] = value(t[f"{stem}.weight"])
            if bias:
                t[f"{stem}.bias"] = stored(rng.normal(0, 0.5, out), dtype)
    return t, dense


QUANTISATION = {
    "divide": {"quant_method": "bitnet", "modules_to_not_convert": ["lm_head"]},
    "multiply": {"quant_method": "bitnet", "linear_class": "autobitlinear", "quantization_mode": "offline"},
    "trits": {"quant_method": "bitnet", "linear_class": "autobitlinear", "quantization_mode": "offline"},
    "online": {"quant_method": "bitnet", "linear_class": "autobitlinear", "quantization_mode": "online"},
}


def write_folder(
    folder: Path,
    family: str,
    storage: str,
    s: Shape | None = None,
    *,
    config: Mapping[str, Any] = {},
    **how: Any,
) -> dict[tuple[str, int], Array]:
    """A model folder; the dense value of its projections."""
    s = s or Shape()
    tensors, dense = random_tensors(family, s, storage, **how)
    more: dict[str, Any] = {"quantization_config": QUANTISATION[storage]} if storage in QUANTISATION else {}
    if how.get("bias"):
        more |= {"attention_bias": True, "mlp_bias": True}
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config_of(family, s, **{**more, **config})))
    write_safetensors(folder / "model.safetensors", tensors)
    return dense


# GGUF ---------------------------------------------------------------------------------------------------------


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


def dense_of(matrix: Any) -> Array:
    """The float32 value of a TernaryMatrix."""
    out, k = matrix.trits.shape
    scale = matrix.scale
    if matrix.group:
        scale = np.repeat(scale, matrix.group, axis=1)[:, :k]
    return (matrix.trits * np.broadcast_to(scale, (out, k) if scale.shape[1] == k else (out, 1))).astype(
        np.float32
    )


@contextmanager
def library() -> Iterator[Any]:
    """transformers' BitNet module, its functions run as they are written and not compiled; skips without it."""
    torch = pytest.importorskip("torch", reason="torch is not installed: transformers cannot be the oracle")
    pytest.importorskip("transformers", reason="transformers is not installed: it cannot be the oracle")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's compiler about itself
        with torch.compiler.set_stance("force_eager"):
            yield importlib.import_module("transformers.integrations.bitnet")
