"""Shapes that follow from a decoder's spec."""

from __future__ import annotations

from edgebit.decoder.model import DecoderSpec


def projection_shape(spec: DecoderSpec, role: str) -> tuple[int, int]:
    """(out, in) of one of PROJECTIONS."""
    q, kv = spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim
    return {
        "q": (q, spec.width),
        "k": (kv, spec.width),
        "v": (kv, spec.width),
        "o": (spec.width, q),
        "gate": (spec.ffn, spec.width),
        "up": (spec.ffn, spec.width),
        "down": (spec.width, spec.ffn),
    }[role]


def norm_roles(spec: DecoderSpec) -> list[str]:
    """Which of NORMS every layer has."""
    roles = ["attn_norm", "ffn_norm"]
    roles += ["q_norm", "k_norm"] if spec.qk_norm else []
    return roles + (["attn_sub_norm", "ffn_sub_norm"] if spec.sub_norms else [])


def norm_width(spec: DecoderSpec, role: str) -> int:
    """Elements of one of NORMS, or of "final_norm"."""
    return {
        "q_norm": spec.head_dim,
        "k_norm": spec.head_dim,
        "attn_sub_norm": spec.heads * spec.head_dim,
        "ffn_sub_norm": spec.ffn,
    }.get(role, spec.width)
