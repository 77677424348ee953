"""A small BitNet b1.58 in torch, trained as it will run, and its checkpoint as on Hugging Face.

The architecture is that of `BitNetForCausalLM` (Ma et al., "BitNet b1.58 2B4T Technical Report", 2025): RMS
normalisation, rotary embedding, grouped keys and values, squared ReLU, a normalisation before each output projection,
embedding and head tied. Weights are ternary by the mean of their magnitudes, inputs of projections int8 by the largest
magnitude of their token; gradients pass straight through.

Products run in bfloat16, which holds int8 values and trits exactly.

Needs the `torch` and `safetensors` packages.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

EPS = 1e-5


@dataclass(frozen=True)
class Shape:
    """Sizes by their names in config.json."""

    vocab_size: int = 768
    hidden_size: int = 256
    intermediate_size: int = 768
    num_hidden_layers: int = 4
    num_attention_heads: int = 8
    num_key_value_heads: int = 2
    max_position_embeddings: int = 256
    rope_theta: float = 10000.0
    rms_norm_eps: float = EPS

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_attention_heads


def ternarise(w: Tensor) -> tuple[Tensor, Tensor]:
    """Trits of a weight, in its type, and the one scale: the mean magnitude."""
    scale = w.abs().mean().clamp(min=EPS)
    return (w / scale).round().clamp(-1, 1), scale


class _Product(torch.autograd.Function):
    """int8 inputs times trits forwards, their dequantised values backwards."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
        trits, scale = ternarise(w)
        unit = x.abs().amax(-1, keepdim=True).clamp(min=EPS) / 127
        q = (x / unit).round().clamp(-128, 127)
        low_q, low_t = q.bfloat16(), trits.bfloat16()
        ctx.save_for_backward(low_q, low_t, unit, scale)
        return F.linear(low_q, low_t).float() * (unit * scale)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        q, trits, unit, scale = ctx.saved_tensors
        to_input = (grad.bfloat16() @ trits).float() * scale
        by_unit = (grad * unit).bfloat16().flatten(0, -2)
        return to_input, (by_unit.T @ q.flatten(0, -2)).float()


class Projection(nn.Module):
    """A ternary matrix (out, in) of float masters."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(cout, cin) * cin**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return _Product.apply(x, self.weight)
        trits, scale = ternarise(self.weight)
        unit = x.abs().amax(-1, keepdim=True).clamp(min=EPS) / 127
        return F.linear((x / unit).round().clamp(-128, 127), trits) * (unit * scale)


class Norm(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, EPS)


def turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of x (batch, heads, tokens, head_dim), pairs (i, i + head_dim / 2)."""
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class Attention(nn.Module):
    def __init__(self, s: Shape) -> None:
        super().__init__()
        self.s = s
        kv = s.num_key_value_heads * s.head_dim
        self.q_proj = Projection(s.hidden_size, s.hidden_size)
        self.k_proj = Projection(s.hidden_size, kv)
        self.v_proj = Projection(s.hidden_size, kv)
        self.o_proj = Projection(s.hidden_size, s.hidden_size)
        self.attn_sub_norm = Norm(s.hidden_size)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        b, t, width = x.shape
        q, k, v = (
            m(x).view(b, t, -1, self.s.head_dim).transpose(1, 2)
            for m in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = turn(q, cos, sin), turn(k, cos, sin)
        groups = self.s.num_attention_heads // self.s.num_key_value_heads
        k, v = (m.repeat_interleave(groups, 1) for m in (k, v))
        o = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(self.attn_sub_norm(o.transpose(1, 2).reshape(b, t, width)))


class Mlp(nn.Module):
    def __init__(self, s: Shape) -> None:
        super().__init__()
        self.gate_proj = Projection(s.hidden_size, s.intermediate_size)
        self.up_proj = Projection(s.hidden_size, s.intermediate_size)
        self.down_proj = Projection(s.intermediate_size, s.hidden_size)
        self.ffn_sub_norm = Norm(s.intermediate_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(self.ffn_sub_norm(F.relu(self.gate_proj(x)) ** 2 * self.up_proj(x)))


class Layer(nn.Module):
    def __init__(self, s: Shape, dropout: float) -> None:
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = Norm(s.hidden_size), Norm(s.hidden_size)
        self.self_attn, self.mlp = Attention(s), Mlp(s)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.drop(self.self_attn(self.input_layernorm(x), cos, sin))
        return x + self.drop(self.mlp(self.post_attention_layernorm(x)))


class BitNet(nn.Module):
    """Tokens (batch, tokens) to logits (batch, tokens, vocab_size)."""

    def __init__(self, s: Shape, dropout: float) -> None:
        super().__init__()
        self.s = s
        self.embed_tokens = nn.Embedding(s.vocab_size, s.hidden_size)
        nn.init.normal_(self.embed_tokens.weight, std=s.hidden_size**-0.5)
        self.layers = nn.ModuleList(Layer(s, dropout) for _ in range(s.num_hidden_layers))
        self.norm = Norm(s.hidden_size)
        self.drop = nn.Dropout(dropout)
        half = s.head_dim // 2
        frequency = s.rope_theta ** (-torch.arange(half) / half)
        angle = torch.arange(s.max_position_embeddings)[:, None] * frequency
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        t = tokens.shape[1]
        x = self.drop(self.embed_tokens(tokens))
        for layer in self.layers:
            x = layer(x, self.cos[:t], self.sin[:t])
        x = self.norm(x)
        if self.training:
            return F.linear(x.bfloat16(), self.embed_tokens.weight.bfloat16()).float()
        return F.linear(x, self.embed_tokens.weight)


def pack(trits: Tensor) -> Tensor:
    """Trits (rows, in) as Hugging Face packs them: four bands of rows, one in each two bits, plus one."""
    bands = (trits + 1).to(torch.uint8).chunk(4)
    return bands[0] | bands[1] << 2 | bands[2] << 4 | bands[3] << 6


def save_checkpoint(net: BitNet, folder: Path) -> None:
    """config.json and model.safetensors: trits packed, scales (which divide) binary32, everything else bfloat16. Of
    transformers' layers BitLinear multiplies whole numbers, as training does here."""
    tensors: dict[str, Tensor] = {}
    for name, value in net.state_dict().items():
        if name.endswith("_proj.weight"):
            trits, scale = ternarise(value)
            tensors[f"model.{name}"] = pack(trits)
            tensors[f"model.{name}_scale"] = 1 / scale.reshape(1)
        else:
            tensors[f"model.{name}"] = value.bfloat16()
    config = {
        "architectures": ["BitNetForCausalLM"],
        "model_type": "bitnet",
        **asdict(net.s),
        "hidden_act": "relu2",
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "bos_token_id": None,
        "eos_token_id": None,
        "quantization_config": {
            "quant_method": "bitnet",
            "linear_class": "bitlinear",
            "quantization_mode": "offline",
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
