"""What GGUF metadata says about a decoder, and what of it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from decoder_files import Shape, random_trits
from gguf_files import (
    Blob,
    f32_blob,
    gguf_metadata,
    ternary_blob,
    write_gguf,
    write_gguf_model,
)

from edgebit.errors import ModelError
from edgebit.importers._gguf_read import read_gguf
from edgebit.importers.base import load_decoder, load_model

WIDE = Shape(vocab=67, width=256, layers=2, heads=2, kv_heads=1, head_dim=128, ffn=512)


ROPES: dict[str, tuple[dict[str, Any], str]] = {
    "factor one": ({"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 1.0}, "default"),
    "linear": ({"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0}, "linear"),
    "yarn": (
        {
            "llama.rope.scaling.type": "yarn", "llama.rope.scaling.factor": 4.0,
            "llama.rope.scaling.original_context_length": 16,
        },
        "yarn",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ROPES)
def test_rotary_scaling(tmp_path: Path, case: str) -> None:
    metadata, kind = ROPES[case]
    write_gguf_model(tmp_path / "m.gguf", "llama", 35, WIDE, metadata=metadata)
    rope = load_decoder(tmp_path / "m.gguf").spec.rope
    assert (rope.kind, rope.theta) == (kind, 500000.0)
    assert rope.factor == (1.0 if kind == "default" else 4.0)


@pytest.mark.parametrize("factor", [8.0, 32.0])
def test_the_frequency_table_of_llama3(tmp_path: Path, factor: float) -> None:
    wave = 2 * np.pi * 500000.0 ** (np.arange(0, 128, 2) / 128)
    table = np.where(wave < 8192 / 4, 1.0, factor)
    smooth = (8192 / wave - 1) / 3
    middle = (wave >= 8192 / 4) & (wave <= 8192)
    table = np.where(middle, 1 / ((1 - smooth) / factor + smooth), table)
    extra = {"rope_freqs.weight": f32_blob(table)}
    write_gguf_model(tmp_path / "m.gguf", "llama", 35, WIDE, extra=extra)
    rope = load_decoder(tmp_path / "m.gguf").spec.rope
    assert (rope.kind, rope.factor, rope.original_max_position) == ("llama3", factor, 8192)
    extra = {"rope_freqs.weight": f32_blob(table * 1.1)}
    write_gguf_model(tmp_path / "m.gguf", "llama", 35, WIDE, extra=extra)
    with pytest.raises(ModelError, match=r"rope_freqs\.weight: not the table"):
        load_decoder(tmp_path / "m.gguf")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "hadamard": ({"prism.hadamard.version": 1}, r"prism\.hadamard\.version: .*Hadamard"),
    "split": ({"split.count": 2}, "split file"),
    "architecture": ({"general.architecture": "gemma3"}, "gemma3' is not supported"),
    "window": ({"llama.attention.sliding_window": 512}, "sliding_window"),
    "experts": ({"llama.expert_count": 8}, "expert_count"),
    "values": ({"llama.attention.value_length": 64}, "differ in size"),
    "rotated part": ({"llama.rope.dimension_count": 64}, "differ in size"),
    "rope": (
        {"llama.rope.scaling.type": "longrope", "llama.rope.scaling.factor": 2.0},
        "longrope is not supported",
    ),
    "more layers": ({"llama.block_count": 3}, "there is no tensor blk.2"),
    "fewer layers": ({"llama.block_count": 1}, "blk.1.*no such tensor"),
    "width": ({"llama.embedding_length": 512}, r"shape is \[67, 256\]"),
    "huge": ({"llama.feed_forward_length": 0xFFFFFFFF}, "ffn is 4294967295"),
    "heads": ({"llama.attention.head_count": 0}, "with 0 heads"),
    "text": ({"llama.block_count": "two"}, "block_count is no whole number"),
    "epsilon": ({"llama.attention.layer_norm_rms_epsilon": float("nan")}, "epsilon"),
    "theta": ({"llama.rope.freq_base": float("inf")}, "theta"),
    "token": ({"tokenizer.ggml.eos_token_id": 67}, "outside of the vocabulary"),
    "tokens": ({"tokenizer.ggml.tokens": [str(i) for i in range(70)]}, "70 tokens"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_metadata_that_is_refused(tmp_path: Path, case: str) -> None:
    metadata, match = REFUSED[case]
    write_gguf_model(tmp_path / "m.gguf", "llama", 35, WIDE, metadata=metadata)
    with pytest.raises(ModelError, match=match) as e:
        load_decoder(tmp_path / "m.gguf")
    assert str(e.value).startswith("m.gguf: ")
    assert str(e.value).isprintable()


TENSORS: dict[str, tuple[dict[str, Blob], str]] = {
    "TL1": ({"blk.0.attn_q.weight": Blob(38, (256, 256), bytes(256 * 64))}, "stored as TL1, whose layout"),
    "TL2 or MXFP4": ({"blk.0.attn_q.weight": Blob(39, (256, 256), bytes(256 * 136))}, r"TL2 \(or MXFP4"),
    "unknown": ({"blk.0.attn_q.weight": Blob(99, (256, 256), bytes(4))}, "type 99"),
    "Q2_K": ({"blk.0.attn_q.weight": Blob(10, (256, 256), bytes(256 * 84))}, "type 10"),
    "Q4_0": ({"blk.0.attn_q.weight": Blob(2, (256, 256), bytes(256 * 8 * 18))}, "Q4_0, which is not ternary"),
    "code 3": ({"blk.0.attn_q.weight": Blob(35, (256, 256), b"\xff" * (256 * 66))}, "code 3|scale that is"),
    "negative scale": (
        {"blk.0.attn_q.weight": Blob(35, (256, 256), (b"\x55" * 64 + b"\x00\xbc") * 256)}, "negative, NaN or infinite",
    ),
    "not-a-number scale": ({"blk.0.attn_q.weight": Blob(36, (256, 256), b"\x55" * 16384 + b"\xff" * 32)}, "its scale is"),
    "extra": ({"blk.0.ffn_gate_exps.weight": f32_blob(np.ones(4))}, "would be lost"),
    "id 42 of 256": ({"blk.0.attn_q.weight": Blob(42, (256, 256), bytes(256 * 42))}, "type 42 is used for several"),
    "embedding": ({"token_embd.weight": Blob(36, (67, 256), bytes(67 * 64 + 32))}, "its scale is 0.0"),
    "NaN": ({"blk.0.attn_norm.weight": f32_blob(np.full(256, np.nan))}, "NaN or infinity"),
}  # fmt: skip


@pytest.mark.parametrize("case", TENSORS)
def test_tensors_that_are_refused(tmp_path: Path, case: str) -> None:
    extra, match = TENSORS[case]
    write_gguf_model(tmp_path / "m.gguf", "llama", 35, WIDE, extra=extra)

    def read_some() -> None:
        weights = load_decoder(tmp_path / "m.gguf").weights
        weights.matrix("embed")
        weights.norm("attn_norm", 0)

    with pytest.raises(ModelError, match=match) as e:
        read_some()
    assert str(e.value).startswith(f"m.gguf: tensor {next(iter(extra))}")


def test_q2_0_of_which_the_size_says_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    trits = random_trits(rng, (2, 128))
    tensors = {"a": ternary_blob(42, trits, np.ones((2, 2)))}
    metadata = {"general.architecture": "qwen3", "general.alignment": 64}
    write_gguf(tmp_path / "m.gguf", metadata, tensors, 64)
    with pytest.raises(ModelError, match="too small to tell"):
        read_gguf(tmp_path / "m.gguf")


def test_gguf_is_no_graph(tmp_path: Path) -> None:
    write_gguf_model(tmp_path / "m.gguf", "llama", 35, WIDE)
    with pytest.raises(ModelError, match="a language model"):
        load_model(tmp_path / "m.gguf")
    (tmp_path / "m.bin").write_bytes((tmp_path / "m.gguf").read_bytes())
    assert load_decoder(tmp_path / "m.bin").spec.layers == 2


def test_a_number_for_each_layer(tmp_path: Path) -> None:
    metadata = gguf_metadata("llama", WIDE)
    heads = {"llama.attention.head_count": np.array([2, 2], np.int32)}
    write_gguf_model(tmp_path / "m.gguf", "llama", 35, WIDE, metadata=heads)
    assert load_decoder(tmp_path / "m.gguf").spec.heads == 2
    heads = {"llama.attention.head_count": np.array([2, 1], np.int32)}
    write_gguf_model(tmp_path / "m.gguf", "llama", 35, WIDE, metadata=heads)
    with pytest.raises(ModelError, match="head_count is no whole number"):
        load_decoder(tmp_path / "m.gguf")
    assert metadata["llama.attention.head_count"] == 2
