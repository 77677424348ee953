"""Tokenizers for tests: trained here by the `tokenizers` library, and those of ../shared when they are there."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from edgebit.decoder.text import compile_files

SHARED = Path(__file__).resolve().parents[3] / "shared"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN = LLAMA3.replace("{1,3}", "")
PATTERNS = {"gpt2": "", "gpt2-space": "", "llama3": LLAMA3, "qwen": QWEN}
VOCAB = 1024


@cache
def corpus() -> str:
    """English text: Shakespeare when it is at hand, otherwise the documents of this project."""
    path = SHARED / "data" / "text" / "tinyshakespeare.txt"
    if path.is_file():
        return path.read_text()
    docs = Path(__file__).resolve().parents[2] / "docs"
    return "\n".join(p.read_text() for p in sorted(docs.glob("*.md")))


def library(tokenizer: Tokenizer, text: str) -> list[int]:
    """What the library makes of plain text, special tokens being text."""
    tokenizer.encode_special_tokens = True
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


@cache
def byte_level(name: str) -> Tokenizer:
    """A byte-level BPE tokenizer of a family in PATTERNS, trained on the corpus and some other scripts."""
    t = Tokenizer(models.BPE())
    t.decoder = decoders.ByteLevel()
    if PATTERNS[name]:
        t.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(PATTERNS[name]), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    else:
        t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=name == "gpt2-space")
    if name == "qwen":
        t.normalizer = normalizers.NFC()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=["<|end|>", "<|im_start|>", "<|im_end|>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    t.train_from_iterator([*corpus()[:300_000].splitlines(keepends=True), *_others()], trainer)
    return t


@cache
def sentencepiece_json() -> Tokenizer:
    """A BPE tokenizer with byte fallback as Llama 2 has it in tokenizer.json."""
    t = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256))],
        limit_alphabet=120,
        show_progress=False,
    )
    words = [w for line in corpus()[:300_000].splitlines() for w in line.split(" ")]
    t.train_from_iterator([*words, *_others()], trainer)
    return t


def _others() -> list[str]:
    return [
        "日本語の文字 中文 한국어 ",
        "Ελληνικά и русский ",
        "e\u0301 a\u0300 🎉🎉 ",
        "1234 5678 \n\n\n",
    ] * 40


def table_of(tokenizer: Tokenizer, vocab: int = VOCAB + 8) -> bytes:
    """The C table of a tokenizer of the library."""
    table = compile_files({"tokenizer.json": tokenizer.to_str().encode()}, vocab)
    assert table is not None
    return table.to_bytes()


def char_table(vocabulary: str, vocab: int = 100) -> bytes:
    """The C table of a char_vocab.json."""
    table = compile_files({"char_vocab.json": vocabulary.encode()}, vocab)
    assert table is not None
    return table.to_bytes()
