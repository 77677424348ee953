"""GGUF metadata: the shape of a decoder, and what its architecture leaves open."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgebit.decoder.model import Activation, DecoderSpec, Rope
from edgebit.errors import ModelError
from edgebit.importers._decoder_spec import check_spec
from edgebit.importers._gguf_read import GgufFile, Value
from edgebit.importers.base import DecoderOptions, printable
from edgebit.ir.graph import F32Array


@dataclass(frozen=True)
class Arch:
    """An architecture. activation: None where its files do not record it. permuted: q and k rows are in the order of
    rotation by neighbouring elements. act_quant: None where models of both kinds use it."""

    activation: Activation | None
    sub_norms: bool = False
    qk_norm: bool = False
    permuted: bool = False
    act_quant: Literal["token", "none"] | None = None


ARCHS = {
    "bitnet": Arch(None, sub_norms=True, act_quant="token"),
    "bitnet-b1.58": Arch("relu2", sub_norms=True, act_quant="token"),
    "bitnet-25": Arch("relu2", sub_norms=True, act_quant="token"),
    "llama": Arch("silu", permuted=True),
    "qwen3": Arch("silu", qk_norm=True, act_quant="none"),
}

KNOWN_BITNETS: dict[tuple[int, int, int, int], Activation] = {
    (30, 2560, 6912, 20): "relu2",  # microsoft/bitnet-b1.58-2B-4T
    (24, 1536, 4096, 16): "silu",  # 1bitLLM/bitnet_b1_58-large
    (24, 2048, 5460, 32): "silu",  # 1bitLLM/bitnet_b1_58-xl
    (26, 3200, 8640, 32): "silu",  # 1bitLLM/bitnet_b1_58-3B
}
"""Activation of published models by (layers, width, ffn, heads)."""

REFUSED_KEYS = {
    "prism.hadamard.": "its inputs are rotated by Hadamard transforms, which EdgeBit does not compute",
    "adapter.": "it is an adapter, not a whole model",
}
LLAMA3_FACTORS = (
    (8.0, 1.0, 4.0, 8192),
    (32.0, 1.0, 4.0, 8192),
    (4.0, 1.0, 4.0, 8192),
    (16.0, 1.0, 4.0, 8192),
)
"""(factor, low_freq_factor, high_freq_factor, original context) of published models, to recognise tables by."""


class Metadata:
    """Typed look-ups in a file's metadata; what is missing or of another type is a ModelError."""

    def __init__(self, file: GgufFile) -> None:
        self.name, self._values = file.name, file.metadata
        for key in self._values:
            for prefix, why in REFUSED_KEYS.items():
                if key.startswith(prefix):
                    raise ModelError(f"{self.name}: has the key {printable(key)}: {why}")
        if self._values.get("split.count", 1) not in (0, 1):
            raise ModelError(
                f"{self.name}: is one part of a split file; join the parts with llama-gguf-split --merge"
            )
        self.arch = self.text("general.architecture") or ""
        if self.arch not in ARCHS:
            raise ModelError(
                f"{self.name}: architecture {printable(self.arch)!r} is not supported; EdgeBit reads ternary models of "
                f"{', '.join(ARCHS)}"
            )

    def raw(self, key: str) -> Value | None:
        return self._values.get(key)

    def text(self, key: str) -> str | None:
        value = self.raw(key)
        if value is None:
            return None
        if not isinstance(value, bytes):
            raise ModelError(f"{self.name}: {printable(key)} is no text")
        return value.decode("utf-8", "replace")

    def whole(self, key: str, default: int | None = None) -> int:
        value = self.raw(key)
        if (
            isinstance(value, np.ndarray)
            and value.dtype.kind in "iu"
            and value.size
            and (value == value[0]).all()
        ):
            value = int(value[0])  # one number for each layer, all equal
        if value is None and default is not None:
            return default
        if type(value) is not int:
            raise ModelError(
                f"{self.name}: {printable(key)} is {'missing' if value is None else 'no whole number'}"
            )
        return value

    def real(self, key: str, default: float | None = None) -> float:
        value = self.raw(key)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ModelError(
                f"{self.name}: {printable(key)} is {'missing' if value is None else 'no number'}"
            )
        return float(value)

    def size(self, key: str, default: int | None = None) -> int:
        """A whole number under the architecture's own prefix."""
        return self.whole(f"{self.arch}.{key}", default)

    def strings(self, key: str) -> list[bytes] | None:
        value = self.raw(key)
        if value is not None and not isinstance(value, list):
            raise ModelError(f"{self.name}: {printable(key)} is no list of texts")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self.raw(key)
        return value if isinstance(value, bool) else default


def read_spec(
    file: GgufFile, m: Metadata, options: DecoderOptions, rope_freqs: F32Array | None
) -> DecoderSpec:
    """The decoder that the metadata of `file` describes. rope_freqs: contents of its rope_freqs.weight, if any."""
    arch = ARCHS[m.arch]
    width, heads, layers = m.size("embedding_length"), m.size("attention.head_count"), m.size("block_count")
    if width < 1 or heads < 1:
        raise ModelError(f"{m.name}: {width} wide with {heads} heads")
    head_dim = m.size("attention.key_length", width // heads)
    if (
        m.size("attention.value_length", head_dim) != head_dim
        or m.size("rope.dimension_count", head_dim) != head_dim
    ):
        raise ModelError(
            f"{m.name}: heads whose keys, values and rotated parts differ in size are not supported"
        )
    for key in ("attention.sliding_window", "expert_count"):
        if m.size(key, 0):
            raise ModelError(f"{m.name}: {m.arch}.{key} is {m.size(key)}, which EdgeBit does not support")
    tokens = m.strings("tokenizer.ggml.tokens")
    embed = file.tensors.get("token_embd.weight")
    if embed is None or len(embed.shape) != 2:
        raise ModelError(f"{m.name}: there is no matrix token_embd.weight")
    vocab = m.size("vocab_size", embed.shape[0])
    if tokens is not None and len(tokens) > vocab:
        raise ModelError(f"{m.name}: {len(tokens)} tokens for a vocabulary of {vocab}")
    ffn = m.size("feed_forward_length")
    context = m.size("context_length")
    eos = [m.whole(f"tokenizer.ggml.{k}_token_id", -1) for k in ("eos", "eot", "eom")]
    bos = m.whole("tokenizer.ggml.bos_token_id", -1)
    spec = DecoderSpec(
        name=options.name
        or re.sub(r"[^A-Za-z0-9_.\-]", "_", file.name.removesuffix(".gguf"))[:64]
        or "model",
        vocab=vocab,
        width=width,
        layers=layers,
        heads=heads,
        kv_heads=m.size("attention.head_count_kv", heads),
        head_dim=head_dim,
        ffn=ffn,
        max_context=context,
        norm_eps=float(np.float32(m.real(f"{m.arch}.attention.layer_norm_rms_epsilon"))),
        activation=_activation(m, arch, options, (layers, width, ffn, heads)),
        rope=_rope(m, context, head_dim, rope_freqs),
        qk_norm=arch.qk_norm,
        sub_norms=arch.sub_norms,
        tied="output.weight" not in file.tensors,
        act_quant=arch.act_quant or "token",
        bos=None if bos in (-1, 0xFFFFFFFF) else bos,
        eos=tuple(dict.fromkeys(t for t in eos if t not in (-1, 0xFFFFFFFF))),
    )
    return check_spec(spec, m.name)


def _activation(
    m: Metadata, arch: Arch, options: DecoderOptions, shape: tuple[int, int, int, int]
) -> Activation:
    if options.activation is not None:
        return options.activation
    recorded = m.text(f"{m.arch}.hidden_activation") or m.text(f"{m.arch}.hidden_act")
    if recorded is not None:
        known: dict[str, Activation] = {
            "silu": "silu",
            "swish": "silu",
            "relu2": "relu2",
            "relu_sqr": "relu2",
        }
        if recorded not in known:
            raise ModelError(
                f"{m.name}: activation {printable(recorded)} is not supported; silu and relu2 are"
            )
        return known[recorded]
    if m.arch.startswith("bitnet") and shape in KNOWN_BITNETS:
        return KNOWN_BITNETS[shape]
    if arch.activation is None:
        raise ModelError(
            f"{m.name}: files of architecture {m.arch} do not record their activation, and models of this shape are "
            "not known to EdgeBit; say which it is with --activation relu2 (as bitnet-b1.58-2B-4T) or --activation "
            "silu (as 1bitLLM's models)"
        )
    return arch.activation


def _rope(m: Metadata, context: int, head_dim: int, freqs: F32Array | None) -> Rope:
    key = f"{m.arch}.rope"
    theta = m.real(f"{key}.freq_base", 10000.0)
    kind = m.text(f"{key}.scaling.type") or "none"
    factor = m.real(f"{key}.scaling.factor", m.real(f"{key}.scale_linear", 1.0))
    if freqs is not None:
        if kind not in ("none", "linear") or factor != 1.0:
            raise ModelError(f"{m.name}: both a table of rotary frequencies and {printable(kind)} scaling")
        return _from_table(m, theta, head_dim, freqs)
    if kind == "none" or factor == 1.0:
        return Rope(theta=theta)
    if kind == "linear":
        return Rope(theta=theta, kind="linear", factor=factor)
    if kind != "yarn":
        raise ModelError(
            f"{m.name}: rotary embedding {printable(kind)} is not supported; none, linear, llama3 and yarn are"
        )
    for name, usual in (
        ("attn_factor", 1.0),
        ("yarn_attn_factor", 1.0),
        ("yarn_ext_factor", 1.0),
        ("yarn_log_multiplier", 0.0),
    ):
        if m.real(f"{key}.scaling.{name}", usual) != usual:
            raise ModelError(f"{m.name}: {key}.scaling.{name} is not supported")
    return Rope(
        theta=theta,
        kind="yarn",
        factor=factor,
        original_max_position=m.whole(f"{key}.scaling.original_context_length", context),
        beta_fast=m.real(f"{key}.scaling.yarn_beta_fast", 32.0),
        beta_slow=m.real(f"{key}.scaling.yarn_beta_slow", 1.0),
    )


def _from_table(m: Metadata, theta: float, head_dim: int, freqs: F32Array) -> Rope:
    """The rotary parameters whose table of divisors a file holds: those of Llama 3.1 and later, or none."""
    where = f"{m.name}: tensor rope_freqs.weight"
    if freqs.shape != (head_dim // 2,):
        raise ModelError(f"{where}: {list(freqs.shape)} frequencies for heads of {head_dim}")
    if (freqs == 1).all():
        return Rope(theta=theta)
    wave = 2 * np.pi * np.float64(theta) ** (np.arange(0, head_dim, 2) / head_dim)
    for factor, low, high, original in LLAMA3_FACTORS:
        smooth = np.clip((original / wave - low) / (high - low), 0, 1)
        if np.allclose(freqs, 1 / ((1 - smooth) / factor + smooth), rtol=1e-4, atol=0):
            return Rope(theta, "llama3", factor, original, low, high)
    raise ModelError(f"{where}: not the table of a Llama 3 model with a factor of 4, 8, 16 or 32")
