"""char_vocab.json: a vocabulary of single characters."""

from __future__ import annotations

from edgebit.decoder.text.table import Kind, TextTable


def compile_chars(data: object, vocab: int, source: str) -> TextTable:
    """A table from a list (or string) of characters, whose places are their ids, or a dict of character to id.

    Either may lie under the key "chars", "vocab", "itos" or "stoi". ModelError for anything else, for entries that
    are not one character, and for ids that the model does not have.
    """
    table = TextTable(Kind.CHARS, vocab, source)
    for key in ("chars", "vocab", "stoi", "itos"):
        if isinstance(data, dict) and isinstance(data.get(key), (dict, list, str)):
            data = data[key]
            break
    if isinstance(data, dict) and data and all(isinstance(v, str) for v in data.values()):
        pairs: list[tuple[object, object]] = [(v, int(k) if k.isdecimal() else k) for k, v in data.items()]
    elif isinstance(data, dict):
        pairs = list(data.items())
    elif isinstance(data, (list, str)):
        pairs = [(c, i) for i, c in enumerate(data)]
    else:
        raise table.refuse("it holds neither a list nor a dict of characters")
    if not pairs:
        raise table.refuse("it holds no characters")
    seen: set[int] = set()
    for character, number in pairs:
        if not isinstance(character, str) or len(character) != 1 or 0xD800 <= ord(character) < 0xE000:
            raise table.refuse(f"{character!r:.40} is not one character")
        token = table.check_id(f"character {character!r}", number)
        if token in table.tokens or ord(character) in seen:
            raise table.refuse(f"character {character!r} or its id {token} is there twice")
        seen.add(ord(character))
        table.tokens[token] = character.encode()
        table.chars.append((ord(character), token))
    return table
