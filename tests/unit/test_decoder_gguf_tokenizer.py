"""Tokenizers in GGUF metadata give the ids of the libraries they come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from decoder_files import Shape
from gguf_files import (
    write_gguf_model,
)

from edgebit.decoder.text import compile_text
from edgebit.errors import ModelError
from edgebit.importers._gguf_tokenizer import SPLITS
from edgebit.importers.base import load_decoder

WIDE = Shape(vocab=67, width=256, layers=2, heads=2, kv_heads=1, head_dim=128, ffn=512)


def test_sentencepiece_in_metadata(tmp_path: Path, shared: Path) -> None:
    """Llama 2's tokenizer, through GGUF metadata and back, gives the same ids."""
    spm = pytest.importorskip(
        "sentencepiece", reason="sentencepiece is not installed: it cannot be the oracle"
    )
    source = shared / "data" / "tokenizers" / "llama2_tokenizer.model"
    if not source.is_file():
        pytest.skip("Llama 2's tokenizer is not among the shared files")
    sp = spm.SentencePieceProcessor(model_file=str(source))
    n = sp.vocab_size()
    kinds = [
        2
        if sp.is_unknown(i)
        else 3
        if sp.is_control(i)
        else 6
        if sp.is_byte(i)
        else 5
        if sp.is_unused(i)
        else 1
        for i in range(n)
    ]
    metadata = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [sp.id_to_piece(i) for i in range(n)],
        "tokenizer.ggml.scores": np.array([sp.get_score(i) for i in range(n)], np.float32),
        "tokenizer.ggml.token_type": np.array(kinds, np.int32),
        "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2, "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.chat_template": "{{ messages }}",
    }  # fmt: skip
    s = Shape(vocab=n, width=256, layers=1, heads=2, kv_heads=1, head_dim=128, ffn=256)
    write_gguf_model(tmp_path / "m.gguf", "llama", 35, s, metadata=metadata)
    decoder = load_decoder(tmp_path / "m.gguf")
    assert decoder.spec.eos == (2,)
    assert decoder.tokenizer["chat_template.jinja"] == b"{{ messages }}"
    config = json.loads(decoder.tokenizer["tokenizer_config.json"])
    assert (config["bos_token"], config["eos_token"], config["add_bos_token"]) == ("<s>", "</s>", True)
    rebuilt = spm.SentencePieceProcessor(model_proto=decoder.tokenizer["tokenizer.model"])
    assert (rebuilt.bos_id(), rebuilt.eos_id(), rebuilt.unk_id(), rebuilt.pad_id()) == (1, 2, 0, -1)
    for text in (
        "Hello world",
        "  two  spaces\n\tand tabs",
        "naïve Ünïcödé 漢字 🙂",
        "",
        "x" * 200,
        "a\u0301 é",
    ):
        assert rebuilt.encode(text) == sp.encode(text), text


def bpe_metadata(tokenizers: Any, pre: str, pattern: str) -> tuple[dict[str, Any], Any]:
    """A small byte-level BPE trained here, as metadata and as the library's tokenizer."""
    t = tokenizers.Tokenizer(tokenizers.models.BPE(ignore_merges=pre == "llama-bpe"))
    t.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated"),
            tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    t.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<|begin|>", "<|end|>"], show_progress=False,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    t.train_from_iterator(
        ["the quick brown fox, and 12345 other things that the fox did; don't!"] * 20, trainer
    )
    model = json.loads(t.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    metadata = {
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": pre, "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.merges": [" ".join(m) for m in model["merges"]],
        "tokenizer.ggml.token_type": np.array([3, 3] + [1] * (len(tokens) - 2), np.int32),
        "tokenizer.ggml.bos_token_id": 0, "tokenizer.ggml.eos_token_id": 1,
    }  # fmt: skip
    return metadata, t


@pytest.mark.parametrize("pre", ["llama-bpe", "qwen2", "gpt-2"])
def test_bpe_in_metadata(tmp_path: Path, pre: str) -> None:
    tokenizers = pytest.importorskip(
        "tokenizers", reason="tokenizers is not installed: it cannot be the oracle"
    )
    metadata, library = bpe_metadata(tokenizers, pre, SPLITS[pre][0])
    n = len(metadata["tokenizer.ggml.tokens"])
    s = Shape(vocab=n, width=256, layers=1, heads=2, kv_heads=1, head_dim=128, ffn=256)
    write_gguf_model(tmp_path / "m.gguf", "llama", 35, s, metadata=metadata)
    decoder = load_decoder(tmp_path / "m.gguf")
    rebuilt = tokenizers.Tokenizer.from_str(decoder.tokenizer["tokenizer.json"].decode())
    for text in ("the quick fox", "don't 1234567 \n\n x", "naïve 漢字 🙂", "<|end|>the", ""):
        assert rebuilt.encode(text, add_special_tokens=False).ids == library.encode(text).ids, text
        first = [0] if pre == "llama-bpe" else []
        assert rebuilt.encode(text).ids == first + library.encode(text).ids
    assert rebuilt.decode(rebuilt.encode("the 漢字").ids, skip_special_tokens=True) == "the 漢字"
    table = compile_text(decoder)
    assert table is not None
    assert table.prefix == first


BAD_TOKENIZERS: dict[str, tuple[dict[str, Any], str]] = {
    "merge of nothing": ({"tokenizer.ggml.merges": ["zz qq"]}, "merge 0"),
    "merge of one": ({"tokenizer.ggml.merges": ["t"]}, "merge 0"),
    "no merges": ({"tokenizer.ggml.merges": []}, r"no tokenizer\.ggml\.merges"),
    "twice": ({"tokenizer.ggml.tokens": ["a"] * 67}, "a token twice"),
    "types": ({"tokenizer.ggml.token_type": np.ones(3, np.int32)}, "token_type"),
    "type 9": ({"tokenizer.ggml.token_type": np.full(67, 9, np.int32)}, "no type of token"),
    "scores": ({"tokenizer.ggml.model": "llama", "tokenizer.ggml.scores": np.ones(3, np.float32)}, "scores"),
    "no unknown": ({"tokenizer.ggml.model": "llama"}, "the unknown one"),
    "tokens": ({"tokenizer.ggml.tokens": "abc"}, "no list"),
}


@pytest.mark.parametrize("case", BAD_TOKENIZERS)
def test_tokenizers_that_are_refused(tmp_path: Path, case: str) -> None:
    metadata = {
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "qwen2",
        "tokenizer.ggml.tokens": [chr(97 + i) if i < 26 else f"t{i}" for i in range(67)],
        "tokenizer.ggml.merges": ["a b"],
    }  # fmt: skip
    more, match = BAD_TOKENIZERS[case]
    write_gguf_model(tmp_path / "m.gguf", "llama", 35, WIDE, metadata={**metadata, **more})
    with pytest.raises(ModelError, match=match):
        load_decoder(tmp_path / "m.gguf")


def test_unknown_tokenizers_are_left_out_and_said(tmp_path: Path) -> None:
    metadata = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "superbpe",
        "tokenizer.ggml.tokens": ["a"],
    }
    write_gguf_model(tmp_path / "m.gguf", "llama", 35, WIDE, metadata=metadata)
    decoder = load_decoder(tmp_path / "m.gguf")
    assert decoder.tokenizer == {}
    assert any("superbpe" in n for n in decoder.notes)


def test_a_file_that_does_not_say_how_words_are_split(tmp_path: Path) -> None:
    """As the published GGUF of 2B-4T: its tokens tell; else there is no tokenizer rather than a wrong one."""
    tokenizers = pytest.importorskip(
        "tokenizers", reason="tokenizers is not installed: it cannot be the oracle"
    )
    metadata, library = bpe_metadata(tokenizers, "llama-bpe", SPLITS["llama-bpe"][0])
    del metadata["tokenizer.ggml.pre"]
    n = len(metadata["tokenizer.ggml.tokens"])
    s = Shape(vocab=n + 2, width=256, layers=1, heads=2, kv_heads=1, head_dim=128, ffn=256)
    write_gguf_model(tmp_path / "m.gguf", "llama", 35, s, metadata=metadata)
    decoder = load_decoder(tmp_path / "m.gguf")
    assert decoder.tokenizer == {}
    assert any("does not say by which rules" in note for note in decoder.notes)
    metadata["tokenizer.ggml.tokens"] += ["<|begin_of_text|>", "<|eot_id|>"]
    metadata["tokenizer.ggml.token_type"] = np.append(metadata["tokenizer.ggml.token_type"], [3, 3]).astype(
        np.int32
    )
    metadata |= {"tokenizer.ggml.pre": "default", "tokenizer.ggml.bos_token_id": n}
    write_gguf_model(tmp_path / "m.gguf", "llama", 35, s, metadata=metadata)
    decoder = load_decoder(tmp_path / "m.gguf")
    assert any("by its tokens it is llama-bpe" in note for note in decoder.notes)
    rebuilt = tokenizers.Tokenizer.from_str(decoder.tokenizer["tokenizer.json"].decode())
    text = "the 1234567 don't"
    assert rebuilt.encode(text).ids == [n, *library.encode(text).ids]
