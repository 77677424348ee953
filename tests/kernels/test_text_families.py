"""Sentencepiece models, the vocabularies of Llama 2 and Llama 3, added tokens, post-processors, and bounded time."""

from __future__ import annotations

import base64
import io
import json
import time
from pathlib import Path

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st
from test_text_unicode import TEXTS
from text_driver import MARKUP, Driver
from text_models import LLAMA3, VOCAB, byte_level, corpus, library, sentencepiece_json, table_of
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors

from edgebit.decoder.text import compile_files
from edgebit.decoder.text.hf_json import byte_alphabet

BYTE_TOKENS = 259
FEW = settings(max_examples=20, deadline=None, derandomize=True)


@pytest.fixture(scope="module")
def trained() -> tuple[sentencepiece.SentencePieceProcessor, Driver]:
    """A sentencepiece model trained here, with byte fallback."""
    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*corpus()[:200_000].splitlines(), "日本語の文字 中文 한국어"] * 2),
        model_writer=made,
        model_type="bpe",
        vocab_size=900,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        character_coverage=0.999,
        minloglevel=2,
    )
    theirs = sentencepiece.SentencePieceProcessor(model_proto=made.getvalue())
    table = compile_files({"tokenizer.model": made.getvalue()}, 900)
    assert table is not None
    assert table.prefix == [theirs.bos_id()]
    return theirs, Driver(table.to_bytes())


def test_a_sentencepiece_model_gives_the_ids_of_its_library(
    trained: tuple[sentencepiece.SentencePieceProcessor, Driver],
) -> None:
    theirs, ours = trained
    text = corpus()
    (ids,) = ours.encode([text])
    assert ids == theirs.encode(text)
    assert ours.decode([ids]) == [theirs.decode(ids)]


@given(texts=st.lists(TEXTS, min_size=20, max_size=30))
@FEW
def test_fuzzed_text_through_a_sentencepiece_model(
    trained: tuple[sentencepiece.SentencePieceProcessor, Driver], texts: list[str]
) -> None:
    theirs, ours = trained
    ids = ours.encode(texts)
    assert ids == theirs.encode(texts)
    assert ours.decode(ids) == theirs.decode(ids)


@given(ids=st.lists(st.lists(st.integers(3, 899) | st.integers(3, BYTE_TOKENS), max_size=20), max_size=20))
@FEW
def test_any_pieces_give_the_text_of_sentencepiece(
    trained: tuple[sentencepiece.SentencePieceProcessor, Driver], ids: list[list[int]]
) -> None:
    theirs, ours = trained
    assert ours.decode(ids) == [theirs.decode(i) for i in ids]


def test_llama_2_gives_the_ids_of_sentencepiece(shared: Path) -> None:
    path = shared / "data" / "tokenizers" / "llama2_tokenizer.model"
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(path))
    table = compile_files({"tokenizer.model": path.read_bytes()}, 32000)
    assert table is not None
    ours = Driver(table.to_bytes())
    texts = [corpus(), "日本語 🎉 \n\n  x  ", "▁ <s> <0x0A>", "e\u0301" * 50]
    ids = ours.encode(texts)
    assert ids == theirs.encode(texts)
    assert ours.decode(ids) == theirs.decode(ids)


@pytest.fixture(scope="module")
def llama3(shared: Path) -> tuple[Tokenizer, Driver]:
    """Llama 3 as a tokenizer.json made from its ranks: every split of a token into two is a merge of its rank."""
    ranks: dict[bytes, int] = {}
    for line in (
        (shared / "data" / "tokenizers" / "llama3_tiktoken_tokenizer.model").read_bytes().splitlines()
    ):
        word, rank = line.split()
        ranks[base64.b64decode(word)] = int(rank)
    shown = {b: c for c, b in byte_alphabet().items()}
    vocab = {"".join(shown[b] for b in w): r for w, r in ranks.items()}
    merges = sorted(
        (r, ranks[w[:k]], ranks[w[k:]], k)
        for w, r in ranks.items()
        for k in range(1, len(w))
        if w[:k] in ranks and w[k:] in ranks
    )
    words = list(vocab)
    pairs = [(words[a], words[b]) for _, a, b, _ in merges]
    theirs = Tokenizer(models.BPE(vocab=vocab, merges=pairs, ignore_merges=True))
    theirs.decoder = decoders.ByteLevel()
    theirs.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    theirs.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"])
    theirs.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", 128000)]
    )
    table = compile_files({"tokenizer.json": theirs.to_str().encode()}, 128256)
    assert table is not None
    assert table.prefix == [128000]
    assert table.suffix == []
    return theirs, Driver(table.to_bytes())


def test_llama_3_gives_the_ids_of_the_library(llama3: tuple[Tokenizer, Driver]) -> None:
    theirs, ours = llama3
    text = corpus()
    (ids,) = ours.encode([text])
    assert ids == library(theirs, text)
    assert ours.decode([ids]) == [text]


@given(texts=st.lists(TEXTS, min_size=30, max_size=60))
@FEW
def test_fuzzed_text_through_llama_3(llama3: tuple[Tokenizer, Driver], texts: list[str]) -> None:
    theirs, ours = llama3
    ids = ours.encode(texts)
    assert ids == [library(theirs, t) for t in texts]
    assert ours.decode(ids) == theirs.decode_batch(ids)


@pytest.mark.parametrize("scheme", ["always", "first", "never"])
@pytest.mark.parametrize("split", [True, False])
def test_metaspace(scheme: str, split: bool) -> None:
    theirs = Tokenizer.from_str(sentencepiece_json().to_str())
    theirs.normalizer = None
    theirs.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split)
    ours = Driver(table_of(theirs))
    texts = ["to be or not", " to be", "▁to  be ", "", "日本 x", "   "]
    assert ours.encode(texts) == [library(theirs, t) for t in texts]
    theirs.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    assert Driver(table_of(theirs)).prompt([(3, 0, b""), (1, 0, b"to be")]) == theirs.encode("to be").ids
    later = ours.encode(texts, flags=0)
    if scheme == "first":
        assert later[0] != ours.encode(texts)[0]
    else:
        assert later == ours.encode(texts)


@pytest.mark.parametrize(
    ("family", "normalized"), [("gpt2", True), ("gpt2", False), ("qwen", True), ("qwen", False)]
)
def test_plain_added_tokens_are_found_the_longest_first(family: str, normalized: bool) -> None:
    theirs = Tokenizer.from_str(byte_level(family).to_str())
    added = ["  ", "    ", "ab", "abc", "bcd", "é", "\n\n"]
    theirs.add_tokens([AddedToken(a, normalized=normalized) for a in added])
    ours = Driver(table_of(theirs, VOCAB + 20))
    texts = [
        "xabcd ab abcbcd",
        " " * 11 + "x",
        "a\n\n\nb",
        "e\u0301é\u0323 ab\u0301 abc\u0301",
        "<|end|>abc",
        "abab",
    ]
    assert ours.encode(texts) == [library(theirs, t) for t in texts]
    ids = ours.encode(texts)
    assert ours.decode(ids) == theirs.decode_batch(ids, skip_special_tokens=True)


def test_markup_is_text_unless_it_is_asked_for() -> None:
    theirs = Tokenizer.from_str(byte_level("qwen").to_str())
    theirs.add_tokens([AddedToken("<think>", normalized=False), AddedToken("</think>", normalized=False)])
    ours = Driver(table_of(theirs, VOCAB + 20))
    text = "<think>so</think> <|end|>"
    assert ours.encode([text], flags=MARKUP) == [library(theirs, text)]
    assert theirs.token_to_id("<think>") not in ours.encode([text])[0]
    assert ours.special("<think>") == theirs.token_to_id("<think>")


def test_words_that_are_tokens_need_no_merges() -> None:
    data = json.loads(byte_level("gpt2").to_str())
    data["model"]["ignore_merges"] = True
    data["model"]["merges"] = data["model"]["merges"][::2]
    known = set(data["model"]["vocab"])
    made = lambda m: all("".join(p if isinstance(p, list) else p.split(" ")) in known for p in [m])  # noqa: E731
    data["model"]["merges"] = [m for m in data["model"]["merges"] if made(m)]
    theirs = Tokenizer.from_str(json.dumps(data))
    ours = Driver(table_of(theirs))
    assert ours.encode([corpus()[:50_000]]) == [library(theirs, corpus()[:50_000])]


def test_bytes_the_vocabulary_lacks_are_left_out_as_the_library_does() -> None:
    vocab = {c: i for i, c in enumerate("abcĠ")} | {"ab": 4, "<unk>": 5}
    for options in ({}, {"unk_token": "<unk>"}, {"unk_token": "<unk>", "fuse_unk": True}):
        theirs = Tokenizer(models.BPE(vocab=vocab, merges=[("a", "b")], **options))
        theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        theirs.decoder = decoders.ByteLevel()
        texts = ["abxyzcab", "xx", "a日b", "  a"]
        assert Driver(table_of(theirs)).encode(texts) == [library(theirs, t) for t in texts]


@pytest.mark.parametrize("name", ["gpt2", "qwen", "sentencepiece"])
@pytest.mark.parametrize("what", ["a", " ", "\u0301", "ab", "\n", "日"])
def test_a_long_run_takes_little_more_than_twice_the_time_of_half_of_it(name: str, what: str) -> None:
    theirs = sentencepiece_json() if name == "sentencepiece" else byte_level(name)
    ours = Driver(table_of(theirs))
    ours.encode(["x"])  # compiled and loaded

    def seconds(n: int) -> float:
        began = time.perf_counter()
        ours.encode([what * (n // len(what.encode()))])
        return time.perf_counter() - began

    assert seconds(1 << 20) < 60  # quadratic steps would be 10^12
    short, long = min(seconds(1 << 17) for _ in range(2)), min(seconds(1 << 19) for _ in range(2))
    assert long < 10 * short + 1
