"""What a ternary language model is: its shape, its weights as a stream of tensors, its tokenizer's files.

Importers make a `Decoder`; the reference runs it and the exporter packs it. Weights are asked for one at a
time, by role and layer, so no importer or exporter needs the whole model in memory.

A layer computes, for the hidden vector h of a token (widths in brackets):

    a = norm(h, attn_norm)                                       [width]
    q, k, v = a Q, a K, a V  (q_norm, k_norm per head when present, then rotary position embedding)
    o = attention(q, keys so far, values so far)                 [heads * head_dim]
    o = norm(o, attn_sub_norm) when present;  h = h + o O
    b = norm(h, ffn_norm);  f = act(b GATE) * (b UP)             [ffn]
    f = norm(f, ffn_sub_norm) when present;  h = h + f DOWN

and the logits are norm(h, final_norm) HEAD, HEAD being the embedding when `tied`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from edgebit.ir.graph import Array, F32Array, S8Array

Activation: TypeAlias = Literal["silu", "relu2"]
RopeKind: TypeAlias = Literal["default", "linear", "llama3", "yarn"]

PROJECTIONS = ("q", "k", "v", "o", "gate", "up", "down")
"""Roles of a layer's ternary matrices."""
NORMS = ("attn_norm", "ffn_norm", "q_norm", "k_norm", "attn_sub_norm", "ffn_sub_norm")
"""Roles of a layer's normalisation weights; the last four only where the spec says so."""
GLOBAL = ("embed", "head", "final_norm")
"""Roles outside layers, asked for with layer None; "head" only when the embedding is not tied."""


@dataclass(frozen=True)
class Rope:
    """Rotary position embedding over pairs (i, i + head_dim / 2) of each head, as Hugging Face Llama has it.

    theta: base of the frequencies. factor: of positions ("linear") or frequencies ("llama3", "yarn"). The
    other fields are those of the same names in Hugging Face's rope parameters.
    """

    theta: float = 10000.0
    kind: RopeKind = "default"
    factor: float = 1.0
    original_max_position: int = 0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float | None = None


@dataclass(frozen=True)
class DecoderSpec:
    """Shape and meaning of a decoder. All sizes are checked by `check` before anything is allocated by them.

    act_quant: "token": the input of every ternary projection is quantised to int8 by its token's largest
    magnitude, as in BitNet b1.58 (scale 127 / max(absmax, 1e-5), round half to even, clamp -128..127); "none":
    the model was trained with float activations.
    """

    name: str
    vocab: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    max_context: int
    norm_eps: float
    activation: Activation
    rope: Rope = Rope()
    qk_norm: bool = False
    sub_norms: bool = False
    tied: bool = False
    act_quant: Literal["token", "none"] = "token"
    bos: int | None = None
    eos: tuple[int, ...] = ()


@dataclass(frozen=True)
class TernaryMatrix:
    """trits (out, in) int8 in {-1, 0, +1}, times scales: w[o, i] = scale[o or 0, i // group or 0] * trits[o, i].

    scale: (1, 1), (out, 1), (1, in / group) or (out, in / group) binary32. bias: (out,) or None, added after
    the scale (an importer whose source adds it before multiplies it by the scale). divisor: the number that a source
    divides by, where scale (1, 1) is its rounded inverse.
    """

    trits: S8Array
    scale: F32Array
    group: int = 0
    bias: F32Array | None = None
    divisor: float | None = None


@dataclass(frozen=True)
class FloatTensor:
    """A tensor that stays float, in its source precision: data float32, float16, or bfloat16 as uint16 bits."""

    data: Array
    dtype: Literal["f32", "f16", "bf16"]


class WeightSource(Protocol):
    """Where tensors come from, one at a time."""

    def projection(self, role: str, layer: int) -> TernaryMatrix:
        """One of PROJECTIONS of a layer."""

    def norm(self, role: str, layer: int | None) -> F32Array:
        """One of NORMS of a layer, or "final_norm" (layer None), widened to binary32."""

    def matrix(self, role: str) -> FloatTensor:
        """ "embed" or "head", (vocab, width)."""


@dataclass(frozen=True)
class Decoder:
    """A language model as an importer found it.

    tokenizer: contents of the tokenizer's files by their usual names (tokenizer.json, tokenizer.model,
    tokenizer_config.json, special_tokens_map.json, chat_template.jinja, char_vocab.json), empty when there are none.
    source: what to call the model's files in messages. notes: what the importer decided, for the user to read.
    """

    spec: DecoderSpec
    weights: WeightSource
    tokenizer: Mapping[str, bytes] = field(default_factory=dict)
    source: str = ""
    notes: tuple[str, ...] = ()
