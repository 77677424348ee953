"""Bytes that a token of bitnet-b1.58-2B-4T's exact shape reads, by head, on the boards that run it."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from edgebit.decoder.canonical import norm_width, shape_of
from edgebit.decoder.model import Decoder, DecoderSpec, FloatTensor, TernaryMatrix
from edgebit.ir.graph import F32Array

traffic: Any = importlib.import_module("edgebit.exporters.decoder_traffic").traffic
SPEC = DecoderSpec(
    "big", vocab=128256, width=2560, layers=30, heads=20, kv_heads=5, head_dim=128, ffn=6912, max_context=4096,
    norm_eps=1e-5, activation="relu2", sub_norms=True, tied=True,
)  # fmt: skip


class Hollow:
    """Zeros of the right shapes: sizes need no more."""

    def projection(self, role: str, layer: int) -> TernaryMatrix:
        return TernaryMatrix(np.zeros(shape_of(SPEC, role), np.int8), np.ones((1, 1), np.float32))

    def norm(self, role: str, layer: int | None) -> F32Array:
        return np.ones(SPEC.width if role == "final_norm" else norm_width(SPEC, role), np.float32)

    def matrix(self, role: str) -> FloatTensor:
        return FloatTensor(np.broadcast_to(np.uint16(0), (SPEC.vocab, SPEC.width)), "bf16")


@pytest.mark.parametrize(
    ("target", "head", "most"),
    [
        ("rpi5", "int4", 600e6),
        ("rpi5", "int8", 750e6),
        ("rpi5", "source", 1080e6),
        ("rpi4", "int8", 750e6),
        ("host", "int4", 600e6),
    ],
)
def test_weights_of_a_token(target: str, head: str, most: float) -> None:
    t = traffic(Decoder(SPEC, Hollow()), target, context=None, kv="f16", matrix=head)
    assert 0.97 * most < t.bytes_per_token <= most
    assert t.bits_per_weight < 1.61
    assert t.plan.kv_bytes_per_position == 2 * 30 * 5 * 128 * 2  # beside the weights, in binary16
