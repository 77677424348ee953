"""The C tokenizer gives the ids of the `tokenizers` and `sentencepiece` libraries."""

from __future__ import annotations

import json

import pytest
from text_driver import CHARACTER, DROP_UNKNOWN, Driver, Failed
from text_models import PATTERNS, byte_level, char_table, corpus, library, table_of

from edgebit.decoder.text import compile_files

TEXTS = [
    "",
    " ",
    "\n",
    "Hello, world!",
    "  two  spaces \n\n\n and lines \r\n\t tabs\t\t x  ",
    "I'll don't WE'RE 'twas 'S 'ſ '' 's's 'Ll 'rE'",
    "0 12 123 1234 12345678 ½ ² ٣٤٥ Ⅷ 3.14 1,000,000",
    "日本語のテキスト と 中文 한국어 각 ㄱㅏ",
    "🎉👩‍👩‍👧‍👦🏳️‍🌈 e\u0301\u0323 \u212b \uac00\u11a8 \u1112\u1161\u11ab a\u0315\u0300\u05ae\u0300b",
    "<|end|> text <|im_start|> <s> </s> <0x0A> ▁ ▁▁x",
    "_foo(bar) => {baz};  //!? @#$%^&*",
    "\u00a0\u2003\u3000x\u0085y\u2028z \x00\x1c\x7f",
    "a" * 5000,
    " " * 3000 + "x",
    "\u0301\u0323" * 200,
]


@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_byte_level_ids_are_those_of_the_library(name: str) -> None:
    theirs = byte_level(name)
    ours = Driver(table_of(theirs))
    text = corpus()
    texts = [*TEXTS, text]
    ids = ours.encode(texts)
    for t, found in zip(texts, ids, strict=True):
        assert found == library(theirs, t), t[:100]
    assert ours.decode([ids[-1]]) == [theirs.decode(ids[-1])]


def test_characters_are_ids_and_the_unknown_is_an_error_or_left_out() -> None:
    chars = "\n !abc日"
    ours = Driver(char_table(json.dumps({"chars": chars})))
    ids = ours.encode(["cab 日!\n", ""])
    assert ids == [[chars.index(c) for c in "cab 日!\n"], []]
    assert ours.decode(ids) == ["cab 日!\n", ""]
    assert ours.encode_raw(["abéc".encode()]) == [(CHARACTER, [3, 4])]
    assert ours.encode(["abéc"], flags=DROP_UNKNOWN) == [[3, 4, 5]]
    for same in (list(chars), {c: i for i, c in enumerate(chars)}, {"itos": dict(enumerate(chars))}):
        assert char_table(json.dumps(same)) == ours.table


def test_a_damaged_table_is_refused() -> None:
    table = bytearray(table_of(byte_level("gpt2")))
    table[4] ^= 1
    with pytest.raises(Failed, match="-20"):
        Driver(bytes(table)).encode(["x"])


def test_no_tokenizer_files_give_no_table() -> None:
    assert compile_files({}, 100) is None
