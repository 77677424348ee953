"""Compiles a model's tokenizer, chat template and stop tokens into one table for the C runtime."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from edgebit.decoder.model import Decoder
from edgebit.decoder.text.chars import compile_chars
from edgebit.decoder.text.chat import NEXT, ChatError, take_apart
from edgebit.decoder.text.hf_json import add_token, compile_json
from edgebit.decoder.text.spm_model import compile_model
from edgebit.decoder.text.table import TextTable
from edgebit.errors import ModelError

__all__ = ["TextTable", "compile_files", "compile_text"]

MAX_FILE = 40 << 20
MAX_SMALL_FILE = 4 << 20


def compile_text(decoder: Decoder) -> TextTable | None:
    """The table of a decoder's tokenizer files, or None when it has none. ModelError for what is not supported.

    A chat template that cannot be taken apart is left out, and the table's `notes` say why.
    """
    return compile_files(decoder.tokenizer, decoder.spec.vocab, decoder.spec.eos, decoder.source)


def compile_files(
    files: Mapping[str, bytes], vocab: int, eos: Iterable[int] = (), source: str = ""
) -> TextTable | None:
    """The same from file contents by name; vocab: rows of the embedding, eos: ids that end a generation."""

    def name(file: str) -> str:
        return f"{source.rstrip('/')}/{file}" if source else file

    def load(file: str, limit: int = MAX_SMALL_FILE) -> Any:
        return _json(files[file], name(file), limit)

    config = load("tokenizer_config.json") if "tokenizer_config.json" in files else {}
    names = load("special_tokens_map.json") if "special_tokens_map.json" in files else {}
    if not isinstance(config, dict) or not isinstance(names, dict):
        raise ModelError(f"{name('tokenizer_config.json')}: it is not a JSON object")
    if "tokenizer.json" in files:
        table = compile_json(load("tokenizer.json", MAX_FILE), vocab, name("tokenizer.json"))
    elif "tokenizer.model" in files:
        if len(files["tokenizer.model"]) > MAX_FILE:
            raise ModelError(f"{name('tokenizer.model')}: it is larger than {MAX_FILE >> 20} MB")
        table = compile_model(files["tokenizer.model"], vocab, name("tokenizer.model"))
        _added_to_model(table, config)
        if (
            config.get("add_bos_token", True)
            and (bos := _named(table, config, names, "bos_token", "<s>")) is not None
        ):
            table.prefix.append(bos)
    elif "char_vocab.json" in files:
        table = compile_chars(load("char_vocab.json"), vocab, name("char_vocab.json"))
    else:
        return None
    table.eos = [table.check_id("an end-of-sequence token", i) for i in eos]
    end = _named(table, config, names, "eos_token", None)
    if end is not None and end not in table.eos:
        table.eos.append(end)
    _chat(table, files, config, names, name)
    return table


def _json(raw: bytes, name: str, limit: int) -> Any:
    if len(raw) > limit:
        raise ModelError(f"{name}: it has {len(raw) >> 20} MB; the limit is {limit >> 20} MB")
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as e:
        raise ModelError(f"{name}: it is not JSON: {str(e) or 'nested too deeply':.80}") from e


def _token_text(value: object) -> str | None:
    """A special token as configurations write it: a string or {"content": string}."""
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else None


def special_names(config: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, str]:
    """bos_token, eos_token, ... by name."""
    found = {}
    for key in ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"):
        text = _token_text(config.get(key)) or _token_text(names.get(key))
        if text is not None:
            found[key] = text
    return found


def _named(
    table: TextTable, config: Mapping[str, Any], names: Mapping[str, Any], key: str, default: str | None
) -> int | None:
    text = special_names(config, names).get(key, default)
    return None if text is None else table.special_id(text)


def _added_to_model(table: TextTable, config: Mapping[str, Any]) -> None:
    """Tokens that tokenizer_config.json adds to a sentencepiece model."""
    entries = config.get("added_tokens_decoder", {})
    if not isinstance(entries, dict):
        raise table.refuse("added_tokens_decoder of tokenizer_config.json is not a JSON object")
    for key, entry in entries.items():
        text = _token_text(entry)
        token = table.check_id(f"added token {text!r:.40}", int(key) if key.isdecimal() else key)
        if not text:
            raise table.refuse(f"added token {token} has no content")
        if table.special_id(text) == token:
            continue
        if token in table.tokens or table.special_id(text) is not None:
            raise table.refuse(f"added token {text!r:.40} takes id {token}, which another token has")
        add_token(table, token, text, special=True)


def _chat(
    table: TextTable,
    files: Mapping[str, bytes],
    config: Mapping[str, Any],
    names: Mapping[str, Any],
    name: Any,
) -> None:
    template: object = config.get("chat_template")
    where = name("tokenizer_config.json")
    if "chat_template.jinja" in files:
        where = name("chat_template.jinja")
        try:
            template = files["chat_template.jinja"].decode()
        except UnicodeDecodeError as e:
            raise ModelError(f"{where}: it is not UTF-8") from e
    if isinstance(template, list):
        found = [t.get("template") for t in template if isinstance(t, dict) and t.get("name") == "default"]
        template = found[0] if found else None
    if not isinstance(template, str):
        return
    try:
        table.chat = take_apart(template, special_names(config, names), table)
    except ChatError as e:
        table.notes.append(f"{where}: no chat, because {e}")
        return
    # The token that ends a turn ends the answer, even where a base model's configuration does not list it.
    end = table.chat.parts[NEXT][:1]
    if end and isinstance(end[0], int) and end[0] not in table.eos:
        table.eos.append(end[0])
