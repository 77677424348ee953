"""tokenizer.model: a sentencepiece BPE model, read field by field from its protobuf encoding."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from edgebit.decoder.text.table import MAX_VOCAB, Flag, Kind, TextTable, TokenFlag, ranked_pairs

SPACE = "\u2581"
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
_MAX_PIECE = 512


@dataclass
class Model:
    """What is read of a model: pieces (text, score, type) by id, and settings by (message, field)."""

    pieces: list[tuple[str, float, int]] = field(default_factory=list)
    settings: dict[tuple[str, int], int | bytes] = field(default_factory=dict)

    def number(self, message: str, key: int, default: int) -> int:
        """A setting that is an integer."""
        value = self.settings.get((message, key), default)
        return value if isinstance(value, int) else default


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("it ends within a number")
        value |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128:
            return value, at
        shift += 7


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of every field of a message; bytes for length-delimited and fixed-width ones."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        wire = tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        if wire not in (1, 2, 5):
            raise ValueError(f"it has a field of wire type {wire}")
        length = 8 if wire == 1 else 4
        if wire == 2:
            length, at = _varint(data, at)
        if length > len(data) - at:
            raise ValueError("it ends within a field")
        yield tag >> 3, data[at : at + length]
        at += length


def _piece(data: bytes) -> tuple[str, float, int]:
    text, score, kind = "", 0.0, NORMAL
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            text = value.decode()
        elif number == 2 and isinstance(value, bytes) and len(value) == 4:
            (score,) = struct.unpack("<f", value)
        elif number == 3 and isinstance(value, int):
            kind = value
    return text, score, kind


def parse(data: bytes) -> Model:
    """The model in a file. ValueError, saying why, when it is none."""
    model = Model()
    messages = {2: "trainer", 3: "normalizer", 5: "denormalizer"}
    for number, value in _fields(data):
        if not isinstance(value, bytes):
            continue
        if number == 1:
            if len(model.pieces) >= MAX_VOCAB:
                raise ValueError(f"it has more than {MAX_VOCAB} pieces")
            model.pieces.append(_piece(value))
        elif number in messages:
            model.settings |= {(messages[number], k): v for k, v in _fields(value)}
    if not model.pieces:
        raise ValueError("it holds no pieces")
    return model


def compile_model(data: bytes, vocab: int, source: str) -> TextTable:
    """A table from tokenizer.model. ModelError for what is not a BPE model with an identity normalisation."""
    table = TextTable(Kind.SENTENCEPIECE, vocab, source)
    try:
        model = parse(data)
    except ValueError as e:  # UnicodeDecodeError is one
        raise table.refuse(f"it is not a sentencepiece model: {e}") from e
    if model.number("trainer", 3, 1) != 2:
        raise table.refuse("its model type is not BPE; unigram, word and character models are not supported")
    if model.settings.get(("normalizer", 2)) or model.settings.get(("denormalizer", 2)):
        raise table.refuse("it normalises text by a table of its own, which is not supported")
    if model.number("normalizer", 4, 1):
        raise table.refuse("it removes extra white space, which is not supported")
    if not model.number("normalizer", 5, 1) or model.number("trainer", 24, 0):
        raise table.refuse("it does not mark words by U+2581 at their start, which is not supported")
    table.flags = Flag.SPACES | Flag.FUSE_UNK
    if model.number("normalizer", 3, 1):
        table.flags |= Flag.PREPEND | Flag.STRIP
    _enter_pieces(table, model)
    table.pairs = ranked_pairs(table, _pairs(table, model))
    return table


def _enter_pieces(table: TextTable, model: Model) -> None:
    byte_ids: dict[int, int] = {}
    seen: set[str] = set()
    for i, (text, _, kind) in enumerate(model.pieces):
        table.check_id(f"piece {text!r:.40}", i)
        if not text or text in seen or len(text) > _MAX_PIECE:
            raise table.refuse(f"piece {i} ({text!r:.40}) is empty, is there twice, or is too long")
        seen.add(text)
        table.tokens[i] = text.replace(SPACE, " ").encode()
        if kind == BYTE:
            if len(text) != 6 or text != f"<0x{text[3:5].upper()}>" or not _is_hex(text[3:5]):
                raise table.refuse(f"piece {i} ({text!r:.40}) is said to be a byte")
            byte_ids[int(text[3:5], 16)] = i
            table.tokens[i] = bytes([int(text[3:5], 16)])
            table.token_flags[i] = TokenFlag.BYTE
        elif kind in (UNKNOWN, CONTROL):
            table.token_flags[i] = TokenFlag.SPECIAL
            table.special[text] = i
            if kind == UNKNOWN:
                table.unk = i
        elif kind != NORMAL:
            raise table.refuse(f"piece {i} ({text!r:.40}) is user-defined or unused, which is not supported")
        elif len(text) == 1:
            table.chars.append((ord(text), i))
    if model.number("trainer", 35, 0):
        missing = [b for b in range(256) if b not in byte_ids]
        if missing:
            raise table.refuse(f"byte_fallback without the piece <0x{missing[0]:02X}>")
        table.byte_ids = [byte_ids[b] for b in range(256)]


def _is_hex(text: str) -> bool:
    return all(c in "0123456789ABCDEF" for c in text)


def _pairs(table: TextTable, model: Model) -> list[tuple[int, int, int, int]]:
    """Every way to put a piece together of two, ranked by its score; pieces of one score share a rank."""
    normal = {text: i for i, (text, _, kind) in enumerate(model.pieces) if kind == NORMAL}
    scores = sorted({model.pieces[i][1] for i in normal.values()}, reverse=True)
    rank = {score: r for r, score in enumerate(scores)}
    found = []
    for text, i in normal.items():
        score = model.pieces[i][1]
        if score != score:
            raise table.refuse(f"piece {i} has a score that is no number")
        lost = next((c for c in text if len(text) > 1 and c not in normal), None)
        if lost is not None:
            raise table.refuse(f"piece {i} ({text!r:.40}) has the character {lost!r}, which is no piece")
        for k in range(1, len(text)):
            left, right = normal.get(text[:k]), normal.get(text[k:])
            if left is not None and right is not None:
                found.append((left, right, rank[score], i))
    return found
