"""The tokenizer in a GGUF's metadata, written as the files a Hugging Face folder would have.

Byte-level BPE ("gpt2") becomes a tokenizer.json, sentencepiece ("llama") a tokenizer.model; both get a
tokenizer_config.json with the special tokens, and the chat template its chat_template.jinja.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

from edgebit.decoder.text.patterns import GPT2
from edgebit.errors import ModelError
from edgebit.importers._gguf_config import Metadata
from edgebit.importers.base import printable
from edgebit.ir.graph import Array

NORMAL, UNKNOWN, CONTROL, USER = 1, 2, 3, 4
MAX_TOKEN = 1 << 16

_LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
SPLITS = {
    "llama-bpe": (_LLAMA3, True), "llama3": (_LLAMA3, True), "llama-v3": (_LLAMA3, True), "falcon3": (_LLAMA3, True),
    "qwen2": (_QWEN2, False), "gpt-2": (GPT2, False),
}  # fmt: skip
"""By tokenizer.ggml.pre: the pattern that cuts text into words, and whether whole words skip the merges."""
ADD_BOS = ("llama-bpe", "llama3", "llama-v3", "falcon3")
"""Of these, the ones whose text starts with the bos token where the file does not say."""
RECOGNISED = {
    "llama-bpe": (b"<|begin_of_text|>", b"<|eot_id|>"),
    "qwen2": (b"<|endoftext|>", b"<|im_start|>", b"<|im_end|>"),
}
"""Tokens that tell a vocabulary whose file leaves tokenizer.ggml.pre out, as the published GGUF of 2B-4T does."""


def tokenizer_files(m: Metadata) -> tuple[dict[str, bytes], list[str]]:
    """Files by name, and notes for the user. Empty when there is no vocabulary or it is of a kind not read."""
    kind, tokens = m.text("tokenizer.ggml.model"), m.strings("tokenizer.ggml.tokens")
    if kind is None or kind == "no_vocab" or not tokens:
        return {}, ["the file holds no tokenizer"]
    if any(len(t) > MAX_TOKEN for t in tokens):
        raise ModelError(f"{m.name}: tokenizer.ggml.tokens holds a token of more than {MAX_TOKEN} bytes")
    types = _types(m, len(tokens))
    notes = ["the tokenizer is rebuilt from the file's metadata"]
    if kind == "llama":
        add_bos = m.flag("tokenizer.ggml.add_bos_token", True)
        main = {"tokenizer.model": _sentencepiece(m, tokens, types)}
    elif kind == "gpt2":
        pre = m.text("tokenizer.ggml.pre")
        if pre in (None, "default"):
            known = set(tokens)
            pre = next((name for name, marks in RECOGNISED.items() if known.issuperset(marks)), None)
            if pre is None:
                return {}, [
                    "the file does not say by which rules its tokenizer splits words, so it is left out"
                ]
            notes.append(f"the file does not say how its tokenizer splits words; by its tokens it is {pre}")
        if pre not in SPLITS:
            return {}, [
                f"the file's tokenizer splits words by the rules of {printable(pre)!r}, which are not known"
            ]
        add_bos = m.flag("tokenizer.ggml.add_bos_token", pre in ADD_BOS)
        main = {"tokenizer.json": _bpe(m, tokens, types, *SPLITS[pre], add_bos)}
    else:
        return {}, [f"the file's tokenizer is of the kind {printable(kind)!r}, which is not read"]
    files = {**main, "tokenizer_config.json": _config(m, tokens, add_bos)}
    template = m.raw("tokenizer.chat_template")
    if isinstance(template, bytes):
        files["chat_template.jinja"] = template
    return files, notes


def _types(m: Metadata, count: int) -> Array:
    value = m.raw("tokenizer.ggml.token_type")
    if value is None:
        return np.ones(count, np.int32)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iu" or len(value) != count:
        raise ModelError(f"{m.name}: tokenizer.ggml.token_type does not have a number for each token")
    if ((value < 1) | (value > 6)).any():
        raise ModelError(f"{m.name}: tokenizer.ggml.token_type holds a number that is no type of token")
    return value


def _texts(m: Metadata, tokens: list[bytes]) -> list[str]:
    try:
        return [t.decode("utf-8") for t in tokens]
    except UnicodeDecodeError:
        raise ModelError(f"{m.name}: tokenizer.ggml.tokens holds a token that is not UTF-8") from None


def _dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _special(m: Metadata, name: str, count: int) -> int | None:
    token = m.whole(f"tokenizer.ggml.{name}_token_id", -1)
    return token if 0 <= token < count else None


def _config(m: Metadata, tokens: list[bytes], add_bos: bool) -> bytes:
    texts = _texts(m, tokens)
    config: dict[str, Any] = {}
    for name, key in (
        ("bos", "bos_token"),
        ("eos", "eos_token"),
        ("unknown", "unk_token"),
        ("padding", "pad_token"),
    ):
        token = _special(m, name, len(tokens))
        if token is not None:
            config[key] = texts[token]
    config["add_bos_token"] = add_bos
    config["add_eos_token"] = m.flag("tokenizer.ggml.add_eos_token", False)
    sentencepiece = m.text("tokenizer.ggml.model") == "llama"
    config["tokenizer_class"] = "LlamaTokenizer" if sentencepiece else "PreTrainedTokenizerFast"
    return _dump(config)


def _bpe(
    m: Metadata, tokens: list[bytes], types: Array, pattern: str, ignore_merges: bool, add_bos: bool
) -> bytes:
    """A tokenizer.json of byte-level BPE."""
    texts = _texts(m, tokens)
    vocab = {t: i for i, t in enumerate(texts)}
    if len(vocab) != len(texts):
        raise ModelError(f"{m.name}: tokenizer.ggml.tokens holds a token twice")
    merges: list[list[str]] = []
    for index, raw in enumerate(m.strings("tokenizer.ggml.merges") or []):
        pair = raw.decode("utf-8", "replace").split(" ")
        if len(pair) != 2 or any(p not in vocab for p in (*pair, "".join(pair))):
            raise ModelError(
                f"{m.name}: merge {index} of tokenizer.ggml.merges is not of two tokens into a third"
            )
        merges.append(pair)
    if not merges:
        raise ModelError(f"{m.name}: there are no tokenizer.ggml.merges for its BPE tokens")
    added = [
        {
            "id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": bool(types[i] == CONTROL),
        }
        for i, t in enumerate(texts)
        if types[i] in (CONTROL, USER)
    ]  # fmt: skip
    bos = _special(m, "bos", len(tokens))
    post: dict[str, Any] = {
        "type": "ByteLevel",
        "add_prefix_space": True,
        "trim_offsets": False,
        "use_regex": True,
    }
    if bos is not None and add_bos:
        token = {"SpecialToken": {"id": texts[bos], "type_id": 0}}
        a, b = {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}
        post = {
            "type": "TemplateProcessing",
            "single": [token, a],
            "pair": [token, a, {"SpecialToken": {"id": texts[bos], "type_id": 1}}, b],
            "special_tokens": {texts[bos]: {"id": texts[bos], "ids": [bos], "tokens": [texts[bos]]}},
        }
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return _dump(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": added,
            "normalizer": {"type": "NFC"} if pattern == _QWEN2 else None,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, level]},
            "post_processor": post,
            "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
            "model": {
                "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                "ignore_merges": ignore_merges, "vocab": vocab, "merges": merges,
            },
        }
    )  # fmt: skip


def _varint(n: int) -> bytes:
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def _bytes(field: int, raw: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(raw)) + raw


def _int(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value & 0xFFFFFFFFFFFFFFFF)


def _sentencepiece(m: Metadata, tokens: list[bytes], types: Array) -> bytes:
    """A sentencepiece ModelProto (sentencepiece_model.proto) of BPE pieces: field numbers are those of that file."""
    scores = m.raw("tokenizer.ggml.scores")
    if scores is None:
        scores = -np.arange(len(tokens), dtype=np.float32)
    if not isinstance(scores, np.ndarray) or len(scores) != len(tokens) or scores.dtype.kind != "f":
        raise ModelError(f"{m.name}: tokenizer.ggml.scores does not have a score for each token")
    if not np.isfinite(scores).all():
        raise ModelError(f"{m.name}: tokenizer.ggml.scores holds NaN or infinity")
    _texts(m, tokens)
    out = bytearray()
    for token, score, kind in zip(tokens, scores.tolist(), types.tolist(), strict=True):
        piece = _bytes(1, token) + b"\x15" + struct.pack("<f", score) + _int(3, kind)
        out += _bytes(1, piece)
    unknown = _special(m, "unknown", len(tokens))
    if unknown is None:
        unknown = int(np.argmax(types == UNKNOWN))
    if types[unknown] != UNKNOWN:
        raise ModelError(f"{m.name}: no token of tokenizer.ggml.tokens is the unknown one")
    trainer = _int(3, 2) + _int(35, 1) + _int(40, unknown)
    for field, name in ((41, "bos"), (42, "eos"), (43, "padding")):
        token_id = _special(m, name, len(tokens))
        trainer += _int(field, -1 if token_id is None else token_id)
    normalizer = _bytes(1, b"identity") + _int(3, m.flag("tokenizer.ggml.add_space_prefix", True))
    normalizer += _int(4, m.flag("tokenizer.ggml.remove_extra_whitespaces", False)) + _int(5, 1)
    charsmap = m.raw("tokenizer.ggml.precompiled_charsmap")
    if isinstance(charsmap, np.ndarray):
        normalizer += _bytes(2, charsmap.tobytes())
    return bytes(out) + _bytes(2, trainer) + _bytes(3, normalizer)
