"""edgebit serve: requests that are wrong or hostile get a sentence and harm nobody."""

from __future__ import annotations

from typing import Any

import pytest
from serving import CONTEXT, Server, ask
from talker import NAME, messages

pytest.importorskip("uvicorn", reason="edgebit serve is not installed: pip install 'edgebit[serve]'")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"messages": []}, "at least one message"),
    ({"messages": "hello"}, "messages must be a list"),
    ({"messages": [1]}, "messages[0] must be an object"),
    ({"messages": [{"role": "user"}]}, "messages[0].content must be a string"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "nothing else"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "take turns"),
    ({"messages": messages("a", "b")}, "last message must be the user's"),
    ({"messages": [*messages("a"), *messages("a")]}, "take turns"),
    ({"messages": [{"role": "user", "content": "x", "tool_calls": [1]}]}, "tool_calls is not supported"),
    ({"messages": [{"role": "user", "content": "\ud800"}]}, "surrogate"),
    ({"temperature": -0.1}, "temperature must be a number from 0 to 2"),
    ({"temperature": True}, "temperature must be"),
    ({"temperature": "1"}, "temperature must be"),
    ({"temperature": 10**400}, "temperature must be"),
    ({"top_p": 1.5}, "top_p must be a number from 0 to 1"),
    ({"top_k": -1}, "top_k must be a whole number"),
    ({"min_p": 2}, "min_p must be"),
    ({"repetition_penalty": 0}, "repetition_penalty must be"),
    ({"seed": 1.5}, "seed must be a whole number"),
    ({"seed": 2**70}, "seed must be a whole number"),
    ({"max_tokens": 0}, "max_tokens must be a whole number from 1"),
    ({"max_tokens": -5}, "max_tokens must be"),
    ({"max_tokens": 1, "max_completion_tokens": 2}, "different things"),
    ({"stop": ["a"] * 5}, "at most 4 strings"),
    ({"stop": ""}, "is empty"),
    ({"stop": ["a\0b"]}, "zero byte"),
    ({"stop": ["x" * 5000]}, "more than 4096 bytes"),
    ({"stop": 1}, "stop must be"),
    ({"stream": 1}, "stream must be true or false"),
    ({"stream_options": {"include_usage": True}}, "for stream: true"),
    ({"stream": True, "stream_options": {"x": True}}, "stream_options"),
    ({"n": 2}, "n is not supported"),
    ({"logprobs": True}, "logprobs is not supported"),
    ({"tools": [{"type": "function"}]}, "tools is not supported"),
    ({"presence_penalty": 0.5}, "presence_penalty is not supported"),
    ({"response_format": {"type": "json_object"}}, "response_format is not supported"),
    ({"frobnicate": 1}, "Unknown parameter"),
    ({"model": 5}, "model must be a string"),
    ({"model": None}, "provide a model"),
]


@pytest.mark.parametrize(("change", "words"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_a_wrong_field_is_named(server: Server, change: dict[str, Any], words: str) -> None:
    status, found = server.call(ask("hello") | change)
    assert status == 400, found
    assert words in found["error"]["message"]
    assert found["error"]["type"] == "invalid_request_error"
    assert set(found["error"]) == {"message", "type", "param", "code"}
    assert len(found["error"]["message"]) < 300


def test_fields_that_ask_for_nothing_are_taken(server: Server) -> None:
    idle = {
        "n": 1,
        "logprobs": False,
        "presence_penalty": 0.0,
        "tools": [],
        "user": "me",
        "seed": None,
        "stop": None,
    }
    status, found = server.call(ask("hello", max_tokens=1, **idle, response_format={"type": "text"}))
    assert status == 200, found


@pytest.mark.parametrize(
    ("raw", "status", "words"),
    [
        (b"", 400, "not JSON"),
        (b"[]", 400, "not a JSON object"),
        (b"\xff\xfe{}", 400, "not UTF-8"),
        (b"[" * 100000, 400, "nested too deeply"),
        (b'{"a":' * 50000, 400, "nested too deeply"),
        (b'{"temperature": NaN}', 400, "NaN is no number"),
        (b'{"temperature": -Infinity}', 400, "-Infinity is no number"),
        (b'{"temperature": 1e999}', 400, "provide a model"),
        (b'{"seed": ' + b"9" * 5000 + b"}", 400, "not JSON"),
        (b'{"model": "talker", "model": ', 400, "not JSON"),
        (b" " * (5 << 20), 413, "bytes"),
    ],
    ids=[str(i) for i in range(11)],
)
def test_a_hostile_body_is_refused(server: Server, raw: bytes, status: int, words: str) -> None:
    try:
        code, found = server.call(raw)
    except (BrokenPipeError, ConnectionResetError):
        assert status == 413  # it was refused before all of it was sent
    else:
        assert (code, words in found["error"]["message"]) == (status, True), found
    assert server.get("/health") == (200, {"status": "ok"})


def test_other_addresses_and_names_are_refused(server: Server) -> None:
    assert server.call({}, headers={"Content-Type": "text/plain"})[0] == 415
    assert server.call(ask("x"), headers={"Host": "evil.example"})[0] == 403
    assert server.call(ask("x", max_tokens=1), headers={"Host": "localhost:1"})[0] == 200
    status, found = server.get("/v1/chat/completions")
    assert (status, found["error"]["type"]) == (405, "invalid_request_error")
    assert server.get("/")[0] == 404
    assert server.get("/v1/models/%22%0a")[0] == 404
    assert server.get(f"/v1/models/{NAME}")[1]["owned_by"] == "edgebit"


def test_a_prompt_longer_than_the_context_is_refused(server: Server) -> None:
    status, found = server.call(ask("a b " * CONTEXT))
    assert (status, found["error"]["code"]) == (400, "context_length_exceeded")
    assert f"has {CONTEXT} tokens; your messages have" in found["error"]["message"]
    status, found = server.call(ask(*["x"] * (CONTEXT + 1)))
    assert (status, found["error"]["code"]) == (400, "context_length_exceeded")
