"""Checks on what a model file says about a decoder, before anything is allocated by it."""

from __future__ import annotations

from math import isfinite

from edgebit.decoder.model import DecoderSpec, Rope
from edgebit.errors import ModelError

LIMITS = {
    "vocab": 1 << 20,
    "width": 1 << 16,
    "layers": 1 << 10,
    "heads": 1 << 10,
    "kv_heads": 1 << 10,
    "head_dim": 1 << 10,
    "ffn": 1 << 20,
    "max_context": 1 << 24,
}


def check_spec(spec: DecoderSpec, where: str) -> DecoderSpec:
    """`spec`, or a ModelError that says which of its numbers no decoder has. `where` names the file."""
    for field, limit in LIMITS.items():
        value = getattr(spec, field)
        if type(value) is not int or not 1 <= value <= limit:
            raise ModelError(f"{where}: {field} is {value}; EdgeBit takes 1 to {limit}")
    if spec.heads % spec.kv_heads:
        raise ModelError(
            f"{where}: {spec.heads} attention heads cannot share {spec.kv_heads} key/value heads"
        )
    if spec.head_dim % 2:
        raise ModelError(f"{where}: a head of {spec.head_dim} elements cannot be rotated in pairs")
    if not (isfinite(spec.norm_eps) and 0 < spec.norm_eps < 0.1):
        raise ModelError(f"{where}: the normalisation epsilon is {spec.norm_eps}")
    for token in (*spec.eos, *(() if spec.bos is None else (spec.bos,))):
        if not 0 <= token < spec.vocab:
            raise ModelError(f"{where}: token {token} is outside the vocabulary of {spec.vocab}")
    _check_rope(spec.rope, where)
    return spec


def _check_rope(rope: Rope, where: str) -> None:
    numbers = {
        "theta": (rope.theta, 1.0, 1e12),
        "factor": (rope.factor, 1e-3, 1e4),
        "low_freq_factor": (rope.low_freq_factor, 1e-3, 1e4),
        "high_freq_factor": (rope.high_freq_factor, 1e-3, 1e4),
        "beta_fast": (rope.beta_fast, 1e-3, 1e4),
        "beta_slow": (rope.beta_slow, 1e-3, 1e4),
        "attention_factor": (1.0 if rope.attention_factor is None else rope.attention_factor, 1e-3, 1e3),
    }
    for name, (value, low, high) in numbers.items():
        if not (isfinite(value) and low <= value <= high) or (name == "theta" and value <= 1.0):
            raise ModelError(f"{where}: the rotary embedding's {name} is {value}")
    if rope.kind in ("llama3", "yarn") and not 1 <= rope.original_max_position <= LIMITS["max_context"]:
        raise ModelError(
            f"{where}: the rotary embedding's original context is {rope.original_max_position} positions"
        )
    if rope.kind == "llama3" and rope.high_freq_factor <= rope.low_freq_factor:
        raise ModelError(f"{where}: the rotary embedding's high_freq_factor is not above its low_freq_factor")
    if rope.kind == "yarn" and rope.beta_fast < rope.beta_slow:
        raise ModelError(f"{where}: the rotary embedding's beta_fast is below its beta_slow")
