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
        "rope_theta": 1000042,
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


def write_1bitllm(folder: Path, twin: Path, s: Shape) -> None:
    """A model of 1bitLLM's architecture, and the same one as transformers has it: as BitNet with SiLU, other names for the
    norms in the middle, and weights quantised as it runs."""
    write_folder(folder, "BitnetForCausalLM", "masters", s)
    tensors, _ = random_tensors("BitnetForCausalLM", s, "masters")
    names = {"self_attn.inner_attn_ln": "self_attn.attn_sub_norm", "mlp.ffn_layernorm": "mlp.ffn_sub_norm"}
    for old, new in names.items():
        tensors = {n.replace(old, new): t for n, t in tensors.items()}
    config = config_of(
        "BitNetForCausalLM", s, hidden_act="silu", tie_word_embeddings=False, rope_theta=10000.0,
        quantization_config=QUANTISATION["online"],
    )  # fmt: skip
    twin.mkdir()
    (twin / "config.json").write_text(json.dumps(config))
    write_safetensors(twin / "model.safetensors", tensors)


def dense_of(matrix: Any) -> Array:
    """The float32 value of a TernaryMatrix."""
    out, k = matrix.trits.shape
    scale = matrix.scale
    if matrix.group:
        scale = np.repeat(scale, matrix.group, axis=1)[:, :k]
    return (matrix.trits * np.broadcast_to(scale, (out, k) if scale.shape[1] == k else (out, 1))).astype(
        np.float32
    )


def check_projections(decoder: Any, dense: Mapping[tuple[str, int], Array]) -> None:
    """Every projection of a Decoder has the value that was written, bit for bit."""
    assert len(dense) == decoder.spec.layers * len(MODULES)
    for (role, layer), want in dense.items():
        got = decoder.weights.projection(role, layer)
        assert got.trits.dtype == np.int8
        assert np.array_equal(dense_of(got), want), (role, layer)


@contextmanager
def library() -> Iterator[Any]:
    """transformers' BitNet module, its functions run as they are written and not compiled; skips without it."""
    torch = pytest.importorskip("torch", reason="torch is not installed: transformers cannot be the oracle")
    pytest.importorskip("transformers", reason="transformers is not installed: it cannot be the oracle")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's compiler about itself
        with torch.compiler.set_stance("force_eager"):
            yield importlib.import_module("transformers.integrations.bitnet")
