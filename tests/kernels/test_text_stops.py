"""Stop strings across chunks: what is let through, what is held back, and never half a character."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text_driver import Driver
from text_models import byte_level, char_table, table_of

FEW = settings(max_examples=150, deadline=None, derandomize=True)


@pytest.fixture(scope="module")
def driver() -> Driver:
    return Driver(char_table('["a"]'))


def plain(stops: Sequence[bytes], text: bytes) -> tuple[bytes, bool]:
    """The text before the stop string that ends first, the longest of those that end there."""
    for end in range(1, len(text) + 1):
        ending = [s for s in stops if text[:end].endswith(s)]
        if ending:
            return text[: end - max(map(len, ending))], True
    return text, False


WORDS = st.text("ab", min_size=1, max_size=6).map(str.encode)


@given(
    stops=st.lists(WORDS, max_size=4), chunks=st.lists(st.text("ab", max_size=8).map(str.encode), max_size=8)
)
@FEW
def test_any_stops_on_any_chunks(driver: Driver, stops: list[bytes], chunks: list[bytes]) -> None:
    pieces, stopped = driver.stop(stops, chunks)
    assert (b"".join(pieces), stopped) == plain(stops, b"".join(chunks))


def test_only_what_may_become_a_stop_string_is_held_back(driver: Driver) -> None:
    pieces, stopped = driver.stop([b"\n\nUser:", b"<end>"], [b"Hi\n", b"\nUs", b"e <e", b"n", b"d", b">x"])
    assert pieces == [b"Hi", b"", b"\n\nUse ", b"", b"", b"", b""]
    assert stopped
    assert driver.stop([b"END"], [b"THE E", b"N"]) == ([b"THE ", b"", b"EN"], False)


def test_pieces_are_whole_characters() -> None:
    ours = Driver(table_of(byte_level("gpt2")))
    text = "é è ê 日本日 🎉🎈🎊 abc" * 3
    (ids,) = ours.encode([text])
    chunks = ours.decode_pieces([ids])[0]
    stops = ["ê日", "🎉🎉", "日本\n"]
    pieces, stopped = ours.stop([s.encode() for s in stops], chunks)
    assert not stopped
    assert "".join(p.decode() for p in pieces) == text
    pieces, stopped = ours.stop(["🎈".encode(), "本語".encode()], chunks)
    assert stopped
    assert "".join(p.decode() for p in pieces) == text[: text.index("🎈")]


def test_long_text_and_a_bad_stop_string_take_linear_time(driver: Driver) -> None:
    text = (b"a" * 999 + b"b") * 500
    rng = random.Random(1)
    chunks = []
    while text:
        n = rng.randrange(1, 5000)
        chunks.append(text[:n])
        text = text[n:]
    pieces, stopped = driver.stop([b"a" * 1000, b"a" * 998 + b"ba" + b"c"], chunks)
    assert not stopped
    assert sum(map(len, pieces)) == 500_000
