"""Chat templates taken apart into token ids and texts.

A template is rendered on chats whose contents are recognisable; what stands round them are the parts that
runtime_c/text/eb_text.h lists. Then chats of several turns, with and without a system text and with contents a
template might trip over, are put together from the parts and must equal what the template renders.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from edgebit.decoder.text.table import Chat, ChatFlag, Kind, TextTable

Message: TypeAlias = dict[str, str]
Render: TypeAlias = Callable[[Sequence[Message]], str]

SECONDS = 20
START, SYSTEM, SYSTEM_END, ANSWER, REPLY, NEXT = range(6)
_TRIM = {
    "system": ChatFlag.TRIM_SYSTEM,
    "user": ChatFlag.TRIM_USER,
    "assistant": ChatFlag.TRIM_ANSWER,
    "first user": ChatFlag.TRIM_FIRST,  # the user's text right after a system text
}
_ROLES = ("user", "assistant")
_ODD = (
    "plain words",
    " space before",
    "space after ",
    "\n\tboth\u00a0\n\n",
    "two\nlines\n\nand  spaces",
    "{{ 7 * 7 }} {% raw %} {# no #}",
    "\"quotes\" 'single' \\n back\\slash",
    "日本語 🎉 e\u0301",
    "<|im_end|><|eot_id|></s>[INST] [/INST] <<SYS>>",
    "<b>&amp;</b>",
    "0",
)


class ChatError(Exception):
    """A template that cannot be taken apart; says why."""


def take_apart(template: str, names: Mapping[str, str], table: TextTable) -> Chat:
    """The parts of a template as token ids and texts. names: bos_token, eos_token, ... ChatError, saying why not."""
    chats = list(_chats(names))
    found = _render_all(template, names, chats)

    def rendered(chat: Sequence[Message]) -> str:
        text, error = found[json.dumps(list(chat))]
        if text is None:
            raise ChatError(f"the template refuses {_describe(chat)}: {error}")
        return text

    parts = _parts(rendered)
    flags = ChatFlag.HAS_SYSTEM if parts[SYSTEM] or parts[SYSTEM_END] else ChatFlag(0)
    flags |= _trims(rendered, parts, flags)
    for chat in chats:
        if (chat[0]["role"] != "system" or flags & ChatFlag.HAS_SYSTEM) and rendered(chat) != put_together(
            parts, flags, chat
        ):
            raise ChatError(
                f"the template makes something else of {_describe(chat)} than its parts put together"
            )
    return Chat(tuple(tuple(_items(p, table)) for p in parts), flags)


def put_together(parts: Sequence[str], flags: ChatFlag, chat: Sequence[Message]) -> str:
    """What the C runtime puts together: contents between the parts, trimmed as the flags say."""
    text = ""
    before = START
    for i, m in enumerate(chat):
        role = m["role"]
        if role == "system":
            before, after = SYSTEM, SYSTEM_END
        elif role == "user":
            after = REPLY if i + 1 < len(chat) else ANSWER
        else:
            after = NEXT
        text += parts[before] if i == 0 else ""
        if role == "user" and i == 1:
            role = "first user"
        text += trimmed(m["content"], flags, role) + parts[after]
    return text


def trimmed(content: str, flags: ChatFlag, role: str) -> str:
    """A role's content as the template shows it."""
    left = flags & _TRIM[role]
    right = flags & ChatFlag(_TRIM[role] << 1)
    content = content.lstrip() if left else content
    return content.rstrip() if right else content


def _chat(contents: Sequence[str], system: str | None) -> list[Message]:
    first = [{"role": "system", "content": system}] if system is not None else []
    return first + [{"role": _ROLES[i % 2], "content": c} for i, c in enumerate(contents)]


def _mark(role: str, turn: int) -> str:
    return f"qzj{role}{turn}xvk"


def _marked(turns: int, system: bool) -> list[Message]:
    contents = [_mark(_ROLES[i % 2], i) for i in range(turns)]
    return _chat(contents, _mark("system", 0) if system else None)


def _padded(role: str) -> list[Message]:
    pad = " \n\tpadded\n\t "
    if role == "system":
        return _chat(["x"], pad)
    if role == "first user":
        return _chat([pad], "x")
    return _chat([pad], None) if role == "user" else _chat(["x", pad, "y"], None)


def _chats(names: Mapping[str, str]) -> Iterator[list[Message]]:
    """Every chat that is rendered. They end with a user's text: that is when the model is asked to write."""
    odd = [*_ODD, *names.values()]
    for system in (False, True):
        yield from (_marked(turns, system) for turns in (1, 3, 5))
    yield from (_padded(role) for role in _TRIM)
    for i in range(len(odd)):
        contents = [odd[(i + k) % len(odd)] for k in range(7)]
        for turns in (1, 3, 7):
            yield _chat(contents[:turns], None)
            yield _chat(contents[:turns], odd[(i + 5) % len(odd)])


def _render_all(
    template: str, names: Mapping[str, str], chats: Sequence[Sequence[Message]]
) -> dict[str, tuple[str | None, str | None]]:
    """(text, error) by chat, from a program of its own with limits on time and memory."""
    job = {"template": template, "variables": dict(names), "chats": [[c, True] for c in chats]}
    command = [sys.executable, "-P", str(Path(__file__).with_name("render.py"))]
    try:
        done = subprocess.run(command, input=json.dumps(job).encode(), capture_output=True, timeout=SECONDS)
        answer: dict[str, Any] = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError) as e:
        raise ChatError("rendering the template takes too long or too much memory") from e
    results = zip(answer["texts"], answer["errors"], strict=True)
    return {json.dumps(list(c)): r for c, r in zip(chats, results, strict=True)}


def _between(text: str, chat: Sequence[Message]) -> list[str]:
    """What stands before, between and after the contents of a chat, each of which must be there once, in order."""
    found = []
    for m in chat:
        if text.count(m["content"]) != 1:
            raise ChatError(f"the template does not show the {m['role']} text once, and in its place")
        before, text = text.split(m["content"])
        found.append(before)
    return [*found, text]


def _parts(rendered: Render) -> list[str]:
    one, three = _marked(1, False), _marked(3, False)
    start, answer = _between(rendered(one), one)
    _, reply, after, _ = _between(rendered(three), three)
    with_system = _marked(1, True)
    try:
        system, system_end, _ = _between(rendered(with_system), with_system)
    except ChatError:
        system = system_end = ""  # the template knows no system text
    return [start, system, system_end, answer, reply, after]


def _trims(rendered: Render, parts: Sequence[str], flags: ChatFlag) -> ChatFlag:
    found = ChatFlag(0)
    for role, flag in _TRIM.items():
        if _padded(role)[0]["role"] == "system" and not flags & ChatFlag.HAS_SYSTEM:
            continue
        chat = _padded(role)
        text = rendered(chat)
        for how in (ChatFlag(0), flag, ChatFlag(flag << 1), flag | ChatFlag(flag << 1)):
            if put_together(parts, found | how, chat) == text:
                found |= how
                break
        else:
            raise ChatError(f"the template changes the {role} text in another way than trimming white space")
    return found


def _items(part: str, table: TextTable) -> Iterator[int | str]:
    """A part as token ids and the texts between them, the longest token first, as the library finds them."""
    text = ""
    at = 0
    by_length = sorted(table.special, key=len, reverse=True)
    while at < len(part):
        name = next((s for s in by_length if part.startswith(s, at)), None)
        if name is None:
            text += part[at]
            at += 1
            continue
        if table.special[name] in table.stripping:
            raise ChatError(
                f"its token {name!r} takes the white space beside it along, which is not supported"
            )
        if text:
            yield _known(text, table)
        yield table.special[name]
        text, at = "", at + len(name)
    if text:
        yield _known(text, table)


def _known(text: str, table: TextTable) -> str:
    if table.kind == Kind.CHARS:
        lost = set(text) - {chr(c) for c, _ in table.chars}
        if lost:
            raise ChatError(f"it uses the character {min(lost)!r}, which the vocabulary lacks")
    return text


def _describe(chat: Sequence[Message]) -> str:
    texts = ", ".join(repr(m["content"])[:30] for m in chat[:3])
    return f"a chat of {len(chat)} messages ({texts}{', ...' if len(chat) > 3 else ''})"
