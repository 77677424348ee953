"""tokenizer.json of the `tokenizers` library: byte-level BPE, and sentencepiece BPE written that way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from edgebit.decoder.text import patterns
from edgebit.decoder.text.table import MAX_STEPS, MAX_VOCAB, Flag, Kind, TextTable, TokenFlag, ranked_pairs

SPACE = "\u2581"
MAX_MERGES = 1 << 22
_MARKUP = re.compile(r"<\S+>|\[\S+\]")


def byte_alphabet() -> dict[str, int]:
    """The character that stands for each byte in byte-level vocabularies (Radford et al., GPT-2)."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [b for b in range(256) if b not in shown]
    return {chr(b): b for b in shown} | {chr(256 + i): b for i, b in enumerate(hidden)}


def compile_json(data: object, vocab: int, source: str) -> TextTable:
    """A table from a parsed tokenizer.json. ModelError, naming what, for everything that is not supported."""
    table = TextTable(Kind.BYTE_BPE, vocab, source)
    root = _dict(table, data, "it")
    model = _dict(table, root.get("model"), "its model")
    if model.get("type", "BPE") != "BPE" or "merges" not in model:
        raise table.refuse(f"its model is {model.get('type')!r:.40}; supported is BPE")
    for key in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(key):
            raise table.refuse(f"its model has {key} {model[key]!r:.40}, which is not supported")
    words = _vocabulary(table, model.get("vocab"))
    steps = _flatten(table, root.get("pre_tokenizer"), "pretokenizers")
    if any(s.get("type") == "ByteLevel" for s in steps):
        _byte_level(table, root, words, steps)
    else:
        _sentencepiece(table, root, model, words, steps)
    _added_tokens(table, root.get("added_tokens"), words)
    if model.get("unk_token") is not None:
        if model["unk_token"] not in words:
            raise table.refuse(f"its unk_token {model['unk_token']!r:.40} is not in the vocabulary")
        table.unk = words[model["unk_token"]]
    if model.get("fuse_unk"):
        table.flags |= Flag.FUSE_UNK
    _alphabet(table, words, bool(model.get("byte_fallback")))
    table.pairs = ranked_pairs(table, _merges(table, model["merges"], words))
    if model.get("ignore_merges"):
        if table.kind != Kind.BYTE_BPE:
            raise table.refuse("ignore_merges is supported for byte-level vocabularies only")
        table.flags |= Flag.WHOLE_WORDS
        alphabet = byte_alphabet().keys()
        table.whole_words = [
            i for s, i in words.items() if s and set(s) <= alphabet and not table.flag(i) & TokenFlag.SPECIAL
        ]
    _post_processor(table, root.get("post_processor"))
    return table


def _dict(table: TextTable, value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise table.refuse(f"{what} is not a JSON object")
    return value


def _flatten(table: TextTable, value: object, key: str) -> list[Mapping[str, Any]]:
    """The steps of a component that may be null, one step, or a Sequence of steps."""
    if value is None:
        return []
    one = _dict(table, value, "a step")
    if one.get("type") != "Sequence":
        return [one]
    inner = one.get(key)
    if not isinstance(inner, list):
        raise table.refuse(f"a Sequence without {key}")
    return [_dict(table, s, "a step") for s in inner]


def _vocabulary(table: TextTable, value: object) -> dict[str, int]:
    words = _dict(table, value, "its vocabulary")
    if len(words) > MAX_VOCAB:
        raise table.refuse(f"its vocabulary has {len(words)} tokens; the limit is {MAX_VOCAB}")
    by_id: dict[int, str] = {}
    for word, number in words.items():
        token = table.check_id(f"token {word!r:.40}", number)
        if token in by_id:
            raise table.refuse(f"tokens {by_id[token]!r:.40} and {word!r:.40} share id {token}")
        by_id[token] = word
    return dict(words)


def _only_nfc(table: TextTable, steps: list[Mapping[str, Any]]) -> None:
    for s in steps:
        if s.get("type") != "NFC":
            raise table.refuse(
                f"normalizer {s.get('type')!r:.40} is not supported with a byte-level vocabulary"
            )
        table.flags |= Flag.NFC


def _byte_level(
    table: TextTable, root: Mapping[str, Any], words: dict[str, int], steps: list[Mapping[str, Any]]
) -> None:
    _only_nfc(table, _flatten(table, root.get("normalizer"), "normalizers"))
    if steps[-1].get("type") != "ByteLevel":
        raise table.refuse("pre-tokenizer steps after ByteLevel are not supported")
    for s in steps[:-1]:
        table.steps.append(_split_step(table, s))
    last = steps[-1]
    if last.get("use_regex", True):
        found = patterns.step_of(patterns.GPT2)
        assert found is not None
        table.steps.append(found)
    if last.get("add_prefix_space", True):
        if len(steps) > 1:
            raise table.refuse("ByteLevel with add_prefix_space after other steps is not supported")
        table.flags |= Flag.SPACE_FIRST
    if len(table.steps) > MAX_STEPS:
        raise table.refuse(f"its pre-tokenizer has more than {MAX_STEPS} steps")
    decoder = _flatten(table, root.get("decoder"), "decoders")
    if [d.get("type") for d in decoder] != ["ByteLevel"]:
        raise table.refuse("its decoder is not ByteLevel")
    alphabet = byte_alphabet()
    for word, token in words.items():
        table.tokens[token] = _byte_text(word, alphabet)


def _byte_text(word: str, alphabet: Mapping[str, int]) -> bytes:
    """What the ByteLevel decoder makes of a token: bytes, or the text itself when it has other characters."""
    if all(c in alphabet for c in word):
        return bytes(alphabet[c] for c in word)
    return word.encode("utf-8", "replace")


def _split_step(table: TextTable, step: Mapping[str, Any]) -> int:
    kind = step.get("type")
    if kind == "Digits" and step.get("individual_digits"):
        return patterns.DIGITS
    if kind != "Split":
        raise table.refuse(f"pre-tokenizer {kind!r:.40} is not supported")
    pattern = step.get("pattern")
    expression = pattern.get("Regex") if isinstance(pattern, dict) else None
    how = (step.get("behavior"), bool(step.get("invert")))
    found = patterns.step_of(expression) if isinstance(expression, str) else None
    if found is None or how not in (("Isolated", False), ("Removed", True)):
        raise table.refuse(
            f"the pre-tokenizer expression {expression!r:.120} is not one of those of GPT-2, Llama 3 and Qwen"
        )
    return found


def _sentencepiece(
    table: TextTable,
    root: Mapping[str, Any],
    model: Mapping[str, Any],
    words: dict[str, int],
    steps: list[Mapping[str, Any]],
) -> None:
    table.kind = Kind.SENTENCEPIECE
    for s in _flatten(table, root.get("normalizer"), "normalizers"):
        if s.get("type") == "Prepend" and s.get("prepend") == SPACE and not table.flags & Flag.SPACES:
            table.flags |= Flag.PREPEND
        elif s == {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}:
            table.flags |= Flag.SPACES
        else:
            raise table.refuse(
                f"normalizer {s.get('type')!r:.40} is not supported with a sentencepiece vocabulary"
            )
    for s in steps:
        if s.get("type") != "Metaspace" or s.get("replacement") != SPACE or len(steps) > 1:
            raise table.refuse(f"pre-tokenizer {s.get('type')!r:.40} is not supported")
        scheme = s.get("prepend_scheme", "always" if s.get("add_prefix_space", True) else "never")
        if scheme not in ("always", "first", "never"):
            raise table.refuse(f"Metaspace with prepend_scheme {scheme!r:.40} is not supported")
        if scheme != "never":
            if table.flags & Flag.PREPEND:
                raise table.refuse("it prepends a space twice")
            table.flags |= Flag.PREPEND | Flag.PREPEND_ONCE
        if scheme == "first":
            table.flags |= Flag.PREPEND_START
        table.flags |= Flag.SPACES | (Flag.SPLIT if s.get("split", True) else Flag(0))
    _sentencepiece_decoder(table, _flatten(table, root.get("decoder"), "decoders"))
    fallback = bool(model.get("byte_fallback"))
    for word, token in words.items():
        if fallback and re.fullmatch("<0x[0-9A-F]{2}>", word):
            table.tokens[token] = bytes([int(word[3:5], 16)])
            table.token_flags[token] = TokenFlag.BYTE
        else:
            table.tokens[token] = word.replace(SPACE, " ").encode("utf-8", "replace")


def _sentencepiece_decoder(table: TextTable, decoder: list[Mapping[str, Any]]) -> None:
    kinds = [d.get("type") for d in decoder]
    if kinds == ["Metaspace"]:
        if decoder[0].get("prepend_scheme", "always") != "never":
            table.flags |= Flag.STRIP
        return
    strip = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
    known = kinds[:1] == ["Replace"] and kinds[1:3] == ["ByteFallback", "Fuse"]
    if not known or kinds[3:] not in ([], ["Strip"]) or (len(kinds) > 3 and decoder[3] != strip):
        raise table.refuse(f"its decoder {kinds!r:.80} is not that of a sentencepiece vocabulary")
    if decoder[0] != {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}:
        raise table.refuse("its decoder replaces something else than U+2581 by a space")
    if len(kinds) > 3:
        table.flags |= Flag.STRIP


def _added_tokens(table: TextTable, value: object, words: dict[str, int]) -> None:
    if value is None:
        return
    if not isinstance(value, list) or len(value) > MAX_VOCAB:
        raise table.refuse("its added_tokens is not a list of tokens")
    taken = {i: s for s, i in words.items()}
    after: set[bool] = set()
    for entry in value:
        one = _dict(table, entry, "an added token")
        text = one.get("content")
        if not isinstance(text, str) or not text or not _is_text(text):
            raise table.refuse(f"an added token has no content: {text!r:.40}")
        token = table.check_id(f"added token {text!r:.40}", one.get("id"))
        if taken.get(token, text) != text or words.get(text, token) != token:
            raise table.refuse(
                f"added token {text!r:.40} has id {token}, which the vocabulary says otherwise"
            )
        if table.special_id(text) is not None:
            raise table.refuse(f"added token {text!r:.40} is there twice")
        taken[token] = text
        add_token(table, token, text, special=bool(one.get("special")))
        strips = [k for k in ("single_word", "lstrip", "rstrip") if one.get(k)]
        if strips:
            table.stripping.add(token)
        if not one.get("special"):
            if strips:
                raise table.refuse(f"added token {text!r:.40} has {strips[0]}, which is not supported")
            after.add(bool(one.get("normalized")))
    if len(after) > 1:
        raise table.refuse("it has added tokens found before and others found after normalisation")
    if True in after and table.kind == Kind.SENTENCEPIECE and table.flags & (Flag.PREPEND | Flag.SPACES):
        raise table.refuse("it has added tokens that are found after normalisation")
    if True in after:
        table.flags |= Flag.ADDED_AFTER


def _is_text(text: str) -> bool:
    """Whether a string has no lone surrogates, which JSON can write."""
    return not any(0xD800 <= ord(c) < 0xE000 for c in text)


def add_token(table: TextTable, token: int, text: str, *, special: bool) -> None:
    """Enter one added token."""
    if table.kind == Kind.BYTE_BPE:
        table.tokens[token] = _byte_text(text, byte_alphabet())
    elif not table.flag(token) & TokenFlag.BYTE:
        table.tokens[token] = text.replace(SPACE, " ").encode("utf-8", "replace")
    table.special[text] = token
    if special:
        table.token_flags[token] = table.flag(token) | TokenFlag.SPECIAL
    else:
        table.added.append((token, text))
        if _MARKUP.fullmatch(text):
            table.token_flags[token] = table.flag(token) | TokenFlag.MARKUP


def _alphabet(table: TextTable, words: dict[str, int], byte_fallback: bool) -> None:
    """Bytes or characters that text starts from. A special token is one only if there is nothing else for it."""
    if table.kind == Kind.BYTE_BPE:
        by_byte = {b: words.get(c) for c, b in byte_alphabet().items()}
        table.byte_ids = [0xFFFFFFFF if (i := by_byte[b]) is None else i for b in range(256)]
        return
    table.chars = [
        (ord(s), i) for s, i in words.items() if len(s) == 1 and not table.flag(i) & TokenFlag.SPECIAL
    ]
    if byte_fallback:
        found = [words.get(f"<0x{b:02X}>") for b in range(256)]
        if None in found:
            raise table.refuse(f"byte_fallback without the token <0x{found.index(None):02X}>")
        table.byte_ids = [i for i in found if i is not None]


def _merges(table: TextTable, value: object, words: dict[str, int]) -> list[tuple[int, int, int, int]]:
    if not isinstance(value, list) or len(value) > MAX_MERGES:
        raise table.refuse(f"its merges are not a list of at most {MAX_MERGES} pairs")
    found: dict[tuple[int, int], tuple[int, int, int, int]] = {}
    for rank, entry in enumerate(value):
        parts = entry.split(" ") if isinstance(entry, str) else entry
        left, right = parts if isinstance(parts, list) and len(parts) == 2 else (None, None)
        if not isinstance(left, str) or not isinstance(right, str) or not left or not right:
            raise table.refuse(f"merge {rank} is not a pair of tokens: {entry!r:.60}")
        a, b, made = words.get(left), words.get(right), words.get(left + right)
        if a is None or b is None or made is None:
            lost = next(t for t in (left, right, left + right) if t not in words)
            raise table.refuse(
                f"merge {rank} ({left!r:.30} {right!r:.30}) needs {lost!r:.60}, which is no token"
            )
        found[a, b] = (a, b, rank, made)
    return list(found.values())


def _post_processor(table: TextTable, value: object) -> None:
    for s in _flatten(table, value, "processors"):
        if s.get("type") == "ByteLevel":
            continue
        if s.get("type") != "TemplateProcessing" or not isinstance(s.get("single"), list):
            raise table.refuse(f"post-processor {s.get('type')!r:.40} is not supported")
        into = table.prefix
        for item in s["single"]:
            one = _dict(table, item, "a template item")
            if "Sequence" in one:
                into = table.suffix
                continue
            name = _dict(table, one.get("SpecialToken"), "a template item").get("id")
            if not isinstance(name, str):
                raise table.refuse("a template item names no special token")
            entry = _dict(table, s.get("special_tokens"), "special_tokens").get(name)
            ids = _dict(table, entry, f"special token {name!r:.40}").get("ids")
            if not isinstance(ids, list):
                raise table.refuse(f"special token {name!r:.40} of the template has no ids")
            into += [table.check_id(f"special token {name!r:.40}", i) for i in ids]
