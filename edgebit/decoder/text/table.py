"""The tokenizer table that the C runtime reads (runtime_c/text/table.h states it byte by byte)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from itertools import accumulate

import numpy as np

from edgebit.errors import ModelError

MAGIC = 0x58544245
VERSION = 1
NONE = 0xFFFFFFFF
MAX_VOCAB = 1 << 20
MAX_STEPS = 4


class Kind(IntEnum):
    """How the vocabulary makes tokens of text."""

    CHARS = 0
    BYTE_BPE = 1
    SENTENCEPIECE = 2


class Flag(IntFlag):
    """Flags of a table, EB_TABLE_* in C."""

    NFC = 1
    WHOLE_WORDS = 2
    SPACE_FIRST = 4
    PREPEND = 8
    PREPEND_START = 16
    PREPEND_ONCE = 32
    SPACES = 64
    SPLIT = 128
    FUSE_UNK = 256
    ADDED_AFTER = 512
    STRIP = 1024


class TokenFlag(IntFlag):
    """Flags of a token, EB_TOKEN_* in C."""

    SPECIAL = 1
    BYTE = 2
    MARKUP = 4
    ABSENT = 8


class ChatFlag(IntFlag):
    """EB_CHAT_* in C; each trim flag is followed by the one for the right side, twice its value."""

    HAS_SYSTEM = 1
    TRIM_SYSTEM = 2
    TRIM_USER = 8
    TRIM_ANSWER = 32
    TRIM_FIRST = 128


_NO_FLAGS = Flag(0)
_PLAIN = TokenFlag(0)


@dataclass(frozen=True)
class Chat:
    """A chat template taken apart: six parts (EB_CHAT_START ... in C), each of token ids and texts."""

    parts: tuple[tuple[int | str, ...], ...]
    flags: ChatFlag


@dataclass
class TextTable:
    """Everything a C tokenizer needs. Ids are below `vocab`, the rows of the model's embedding.

    tokens: the bytes a token adds to text, by id. pairs: (left, right, rank, result). chars: (code point, id).
    added: (id, text) that plain text may contain. special: id by text of every added token.
    stripping: added tokens that take the white space beside them along. source: for messages.
    """

    kind: Kind
    vocab: int
    source: str
    flags: Flag = _NO_FLAGS
    unk: int = NONE
    tokens: dict[int, bytes] = field(default_factory=dict)
    token_flags: dict[int, TokenFlag] = field(default_factory=dict)
    pairs: list[tuple[int, int, int, int]] = field(default_factory=list)
    chars: list[tuple[int, int]] = field(default_factory=list)
    byte_ids: list[int] | None = None
    whole_words: list[int] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    added: list[tuple[int, str]] = field(default_factory=list)
    special: dict[str, int] = field(default_factory=dict)
    stripping: set[int] = field(default_factory=set)
    prefix: list[int] = field(default_factory=list)
    suffix: list[int] = field(default_factory=list)
    eos: list[int] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)
    chat: Chat | None = None
    notes: list[str] = field(default_factory=list)

    def refuse(self, why: str) -> ModelError:
        """An error that names the file."""
        return ModelError(f"{self.source}: {why}")

    def check_id(self, what: str, value: object) -> int:
        """`value` as an id of the model, or ModelError."""
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < self.vocab:
            raise self.refuse(f"{what} has id {value!r:.40}, but the model has rows 0 to {self.vocab - 1}")
        return value

    def flag(self, token: int) -> TokenFlag:
        """The flags of a token."""
        return self.token_flags.get(token, _PLAIN)

    def special_id(self, text: str) -> int | None:
        """The id of an added token by its text."""
        return self.special.get(text)

    def to_bytes(self) -> bytes:
        """The table, little endian. Same content, same bytes."""
        return _Writer(self).finish()


class _Writer:
    """Lays sections out one after another."""

    def __init__(self, table: TextTable) -> None:
        self.table = table
        self.blob = bytearray()
        self.places: dict[bytes, int] = {}

    def place(self, text: bytes) -> tuple[int, int]:
        """Where a string lies in the blob, and its length; equal strings lie in one place."""
        if text not in self.places:
            self.places[text] = len(self.blob)
            self.blob += text
        return self.places[text], len(text)

    def tokens(self) -> tuple[bytes, bytes]:
        """Ends and flags of the tokens, whose bytes start the blob."""
        t = self.table
        for i in range(t.vocab):
            self.blob += t.tokens.get(i, b"")
        lengths = accumulate((len(t.tokens.get(i, b"")) for i in range(t.vocab)), initial=0)
        flags = bytearray([TokenFlag.ABSENT]) * t.vocab
        for i in t.tokens:
            flags[i] = t.token_flags.get(i, 0)
        return _words(lengths), bytes(flags)

    def pairs(self) -> tuple[bytes, bytes]:
        """Starts by left token, and (right, rank, id)."""
        if not self.table.pairs:
            return b"", b""
        rows = np.array(self.table.pairs, np.int64)
        rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
        starts = np.searchsorted(rows[:, 0], np.arange(self.table.vocab + 1))
        return starts.astype("<u4").tobytes(), rows[:, 1:].astype("<u4").tobytes()

    def strings(self, found: Iterable[tuple[int, str]]) -> bytes:
        """{id, at, length}, in the order of their bytes."""
        rows = sorted((text.encode(), i) for i, text in found)
        return _words(v for text, i in rows for v in (i, *self.place(text)))

    def chat(self) -> tuple[bytes, bytes]:
        """Items, and where each part starts among them."""
        chat = self.table.chat
        if chat is None:
            return b"", b""
        rows: list[int] = []
        starts = [0]
        for part in chat.parts:
            for item in part:
                rows += [NONE, *self.place(item.encode())] if isinstance(item, str) else [item, 0, 0]
            starts.append(len(rows) // 3)
        return _words(rows), _words(starts)

    def finish(self) -> bytes:
        """Header and sections."""
        t = self.table
        ends, flags = self.tokens()
        starts, pairs = self.pairs()
        by_bytes = sorted(t.whole_words, key=lambda i: t.tokens[i])
        added, special = self.strings(t.added), self.strings((i, s) for s, i in t.special.items())
        stops = _words(v for s in t.stops for v in (NONE, *self.place(s.encode())))
        items, parts = self.chat()
        sections: list[tuple[bytes, int]] = [
            (bytes(self.blob), 1),
            (ends, 4),
            (flags, 1),
            (starts, 4),
            (pairs, 12),
            (_words(v for row in sorted(t.chars) for v in row), 8),
            (_words(t.byte_ids or []), 4),
            (_words(by_bytes), 4),
            (_words(t.steps), 4),
            (added, 12),
            (_words(t.prefix), 4),
            (_words(t.suffix), 4),
            (_words(sorted(set(t.eos))), 4),
            (stops, 12),
            (items, 12),
            (parts, 4),
            (special, 12),
        ]
        at = 32 + 8 * len(sections)
        directory: list[int] = []
        body = bytearray()
        for data, element in sections:
            directory += [at if data else 0, len(data) // element]
            body += data + b"\0" * (-len(data) % 4)
            at += len(data) + -len(data) % 4
        if at >= 1 << 31:
            raise t.refuse("the vocabulary does not fit a table of 2 GB")
        chat_flags = int(t.chat.flags) if t.chat else 0
        head = [MAGIC, VERSION, at, int(t.kind), int(t.flags), t.vocab, t.unk, chat_flags]
        return _words([*head, *directory]) + bytes(body)


def _words(values: Iterable[int]) -> bytes:
    return np.fromiter(values, np.uint32).astype("<u4").tobytes()


def ranked_pairs(
    table: TextTable, found: Sequence[tuple[int, int, int, int]]
) -> list[tuple[int, int, int, int]]:
    """Pairs that may happen to text: those with a special token are left out, so text never becomes one."""
    special = {i for i, f in table.token_flags.items() if f & TokenFlag.SPECIAL}
    return [p for p in found if not special & {p[0], p[1], p[3]}]
