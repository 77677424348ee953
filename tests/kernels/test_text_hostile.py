"""Files that lie: tokenizers are refused in one sentence, damaged tables by a status, and nothing is read outside."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from c_harness import WARNINGS
from hypothesis import given, settings
from hypothesis import strategies as st
from text_driver import Driver, Failed
from text_models import VOCAB, byte_level, char_table, sentencepiece_json, table_of

from edgebit.decoder.model import Decoder, DecoderSpec
from edgebit.decoder.text import compile_files, compile_text
from edgebit.decoder.text.spm_model import parse
from edgebit.errors import ModelError
from edgebit.resources import data_dir

FEW = settings(max_examples=60, deadline=None, derandomize=True)


def edited(edit: Callable[[dict[str, Any]], object], base: str = "gpt2") -> dict[str, bytes]:
    """The files of a good tokenizer, with one thing changed."""
    theirs = sentencepiece_json() if base == "sentencepiece" else byte_level(base)
    data = json.loads(theirs.to_str())
    edit(data)
    return {"tokenizer.json": json.dumps(data).encode()}


def put(*path: Any, to: Any) -> Callable[[dict[str, Any]], object]:
    """An edit: data[path[0]][path[1]]... = to."""

    def edit(data: Any) -> None:
        for key in path[:-1]:
            data = data[key]
        data[path[-1]] = to

    return edit


SPLIT = {"type": "Split", "pattern": {"Regex": r"\w+|\s"}, "behavior": "Isolated", "invert": False}
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
ADDED = {"id": 0, "content": "x", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
JSON_LIES: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
    ("gpt2", put("model", to=[]), "its model is not a JSON object"),
    ("gpt2", put("model", "type", to="WordPiece"), "supported is BPE"),
    ("gpt2", put("model", "vocab", to=[1]), "its vocabulary is not a JSON object"),
    ("gpt2", put("model", "vocab", "zz", to=-1), "token 'zz' has id -1"),
    ("gpt2", put("model", "vocab", "zz", to=1 << 70), "token 'zz' has id 11805"),
    ("gpt2", put("model", "vocab", "zz", to=True), "token 'zz' has id True"),
    ("gpt2", put("model", "vocab", "zz", to=5), "share id 5"),
    ("gpt2", put("model", "merges", 3, to=["q", "nosuch"]), "merge 3 .* needs 'nosuch', which is no token"),
    ("gpt2", put("model", "merges", 3, to=["", "a"]), "merge 3 is not a pair"),
    ("gpt2", put("model", "merges", 3, to=["a"]), "merge 3 is not a pair"),
    ("gpt2", put("model", "merges", 3, to="a b c"), "merge 3 is not a pair"),
    ("gpt2", put("model", "merges", 3, to=None), "merge 3 is not a pair"),
    ("gpt2", put("model", "merges", to={}), "its merges are not a list"),
    ("gpt2", put("model", "dropout", to=0.5), "dropout 0.5"),
    ("gpt2", put("model", "end_of_word_suffix", to="</w>"), "end_of_word_suffix"),
    ("gpt2", put("model", "unk_token", to="nosuch"), "unk_token"),
    (
        "gpt2",
        put("pre_tokenizer", to={"type": "Sequence", "pretokenizers": [SPLIT, BYTES]}),
        "is not one of those of",
    ),
    (
        "gpt2",
        put("pre_tokenizer", to={"type": "Sequence", "pretokenizers": [BYTES, SPLIT]}),
        "after ByteLevel",
    ),
    ("gpt2", put("pre_tokenizer", to={"type": "Sequence"}), "a Sequence without pretokenizers"),
    ("gpt2", put("pre_tokenizer", to={"type": "BertPreTokenizer"}), "pre-tokenizer 'BertPreTokenizer'"),
    ("gpt2", put("pre_tokenizer", to=7), "a step is not a JSON object"),
    ("gpt2", put("normalizer", to={"type": "Lowercase"}), "normalizer 'Lowercase'"),
    ("gpt2", put("decoder", to=None), "its decoder is not ByteLevel"),
    ("gpt2", put("post_processor", to={"type": "BertProcessing"}), "post-processor 'BertProcessing'"),
    ("gpt2", put("added_tokens", 0, "id", to=9999), "added token .* has id 9999"),
    ("gpt2", put("added_tokens", 0, "id", to=77), "which the vocabulary says otherwise"),
    ("gpt2", put("added_tokens", 0, "content", to=""), "has no content"),
    ("gpt2", put("added_tokens", 0, "content", to="\ud800"), "has no content"),
    (
        "gpt2",
        put("added_tokens", 0, to=ADDED | {"id": VOCAB, "content": "x y", "lstrip": True}),
        "has lstrip",
    ),
    ("sentencepiece", put("model", "vocab", "<0x1F>", to=None), "token '<0x1F>' has id None"),
    ("sentencepiece", lambda d: d["model"]["vocab"].pop("<0x1F>"), "<0x1F>"),
    ("sentencepiece", put("decoder", to={"type": "WordPiece"}), "is not that of a sentencepiece vocabulary"),
    ("sentencepiece", put("normalizer", to={"type": "NFKC"}), "normalizer 'NFKC'"),
]


@pytest.mark.parametrize(("base", "edit", "why"), JSON_LIES)
def test_a_tokenizer_that_lies_or_is_unknown_is_refused(
    base: str, edit: Callable[[dict[str, Any]], object], why: str
) -> None:
    with pytest.raises(ModelError, match=why) as caught:
        compile_files(edited(edit, base), VOCAB + 8, source="folder")
    message = str(caught.value)
    assert message.startswith("folder/tokenizer.json: ")
    assert "\n" not in message
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"tokenizer.json": b"{"}, "is not JSON"),
        ({"tokenizer.json": b"[" * 100_000}, "is not JSON"),
        ({"tokenizer.json": b"\xff\xfe\x00"}, "is not JSON"),
        ({"tokenizer.json": b" " * (65 << 20)}, "the limit is 40 MB"),
        ({"tokenizer.json": b"1" * 10_000}, "is not JSON"),
        ({"tokenizer.model": b""}, "it holds no pieces"),
        ({"tokenizer.model": b"\x0a\xff\xff\xff\xff\x0f"}, "ends within a field"),
        ({"tokenizer.model": b"\x0a" + b"\xff" * 20}, "ends within a number"),
        ({"tokenizer.model": b"\x0b"}, "wire type 3"),
        ({"tokenizer.model": b"\x0a\x03\x0a\x01\xff"}, "not a sentencepiece model"),
        ({"tokenizer.model": b"\x0a\x03\x0a\x01a"}, "its model type is not BPE"),
        ({"char_vocab.json": b"3"}, "neither a list nor a dict"),
        ({"char_vocab.json": b"[]"}, "no characters"),
        ({"char_vocab.json": b'["a", "bc"]'}, "'bc' is not one character"),
        ({"char_vocab.json": b'["a", "a"]'}, "is there twice"),
        ({"char_vocab.json": b'{"a": 0, "b": 0}'}, "is there twice"),
        ({"char_vocab.json": b'{"a": 5000}'}, "has id 5000"),
        ({"char_vocab.json": b'["\\ud800"]'}, "is not one character"),
    ],
)
def test_files_that_are_none_are_refused(files: dict[str, bytes], why: str) -> None:
    began = time.monotonic()
    with pytest.raises(ModelError, match=why) as caught:
        compile_files(files, VOCAB)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - began < 5


def piece(text: str, score: float = 0.0, kind: int = 1) -> bytes:
    body = b"\x0a" + bytes([len(text.encode())]) + text.encode() + b"\x15" + struct.pack("<f", score)
    body += bytes([0x18, kind])
    return b"\x0a" + bytes([len(body)]) + body


MODEL_END = b"\x12\x02\x18\x02" + b"\x1a\x02\x20\x00"  # BPE; extra white space stays


@pytest.mark.parametrize(
    ("pieces", "why"),
    [
        (piece("a") + piece("a"), "is there twice"),
        (piece("a") + piece("ab"), "has the character 'b', which is no piece"),
        (piece("a", kind=4), "user-defined or unused"),
        (piece("zz", kind=6), "is said to be a byte"),
        (piece("a", float("nan")), "a score that is no number"),
        (b"".join(piece(chr(200 + i)) for i in range(300)), "has id 200"),
    ],
)
def test_a_sentencepiece_model_that_lies_is_refused(pieces: bytes, why: str) -> None:
    with pytest.raises(ModelError, match=why):
        compile_files({"tokenizer.model": pieces + MODEL_END}, 200)
    assert compile_files({"tokenizer.model": piece("a") + piece("aa") + MODEL_END}, 200) is not None


@given(raw=st.binary(max_size=200))
@FEW
def test_any_bytes_as_a_sentencepiece_model(raw: bytes) -> None:
    for data in (raw, piece("a") + raw, raw + MODEL_END):
        with contextlib.suppress(ValueError):
            assert parse(data).pieces


def test_an_end_token_the_model_lacks_is_refused() -> None:
    spec = DecoderSpec("x", VOCAB, 8, 1, 1, 1, 8, 8, 8, 1e-5, "silu", eos=(VOCAB,))
    files = {"tokenizer.json": byte_level("gpt2").to_str().encode()}
    weights: Any = None
    with pytest.raises(ModelError, match=f"an end-of-sequence token has id {VOCAB}"):
        compile_text(Decoder(spec, weights, files, source="m"))


def test_a_merge_that_makes_a_special_token_is_left_out() -> None:
    theirs = byte_level("gpt2")
    data = json.loads(theirs.to_str())
    word, token = next(
        (w, i) for w, i in data["model"]["vocab"].items() if len(w) > 2 and w.isascii() and w.isalpha()
    )
    assert token in theirs.encode(word).ids
    data["added_tokens"].append(ADDED | {"id": token, "content": word, "special": True})
    data["added_tokens"].sort(key=lambda a: a["id"])
    table = compile_files({"tokenizer.json": json.dumps(data).encode()}, VOCAB + 8)
    assert table is not None
    assert token not in Driver(table.to_bytes()).encode([word])[0]


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_table_is_refused_or_stays_inside_its_bytes(seed: int) -> None:
    rng = random.Random(seed)
    tables = (
        table_of(byte_level("qwen")),
        table_of(sentencepiece_json()),
        char_table('["a", "b", "日"]'),
    )
    table = bytearray(tables[seed % 3])
    header = 32 + 8 * 17
    for _ in range(rng.choice([1, 1, 3])):
        at = (
            rng.randrange(header // 4) * 4
            if rng.random() < 0.5
            else rng.randrange(header, len(table) - 4) // 4 * 4
        )
        value = rng.choice([0, 1, 3, 0xFFFFFFFF, 0x7FFFFFFF, rng.randrange(1 << 32), len(table)])
        table[at : at + 4] = struct.pack("<I", value)
    if rng.random() < 0.2:
        del table[rng.randrange(len(table)) :]
    ours = Driver(bytes(table))
    status = 0
    try:
        found = ours.encode_raw(
            ["to be 日本 <|end|> e\u0301 \U0001f389 abab".encode(), b"", b"\xff"], flags=3
        )
        ours.decode_pieces([[i for _, ids in found for i in ids]], flags=1)
    except Failed as e:
        status = e.status
    assert status in (0, -20, -25)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("define", ["-DEB_TEXT_WITH_ALL", "-DEB_TEXT_WITHOUT_NFC"])
def test_the_sources_compile_without_a_warning(compiler: str, define: str, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    runtime = data_dir("runtime_c")
    for source in sorted((runtime / "text").glob("*.c")):
        command = [compiler, *WARNINGS, "-Wshadow", "-O2", define, f"-I{runtime}", f"-I{runtime / 'include'}"]
        subprocess.run([*command, "-c", str(source), "-o", str(tmp_path / "x.o")], check=True)
    header = tmp_path / "both.cpp"
    header.write_text('#include "text/eb_text.h"\n#include "text/sample.h"\nint main() { return 0; }\n')
    subprocess.run([compiler, "-x", "c++", "-fsyntax-only", f"-I{runtime}", str(header)], check=True)
