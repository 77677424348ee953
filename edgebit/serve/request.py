"""What a client asks for: the body of POST /v1/chat/completions, read and checked field by field.

Fields are those of OpenAI's API; top_k, min_p and repetition_penalty are known besides, as other servers have them.
What this server cannot do is refused, unless the client says that it does not want it either.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from edgebit.decoder.sampling import Sampling
from edgebit.serve.library import MAX_STOP_BYTES

MAX_STOPS = 4
_NOTHING: tuple[Any, ...] = (None, [], {}, "")
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "n": (None, 1),
    "presence_penalty": (None, 0),
    "frequency_penalty": (None, 0),
    "logit_bias": (None, {}),
    "logprobs": (None, False),
    "top_logprobs": (None, 0),
    "response_format": (None, {"type": "text"}),
    "tools": (None, []),
    "tool_choice": (None, "none", "auto"),
    "parallel_tool_calls": (None, True, False),
    "modalities": (None, ["text"]),
    "service_tier": (None, "auto", "default"),
    "store": (None, False),
}
"""Fields that are known and not supported, with what may stand in them."""
_IGNORED = ("user", "safety_identifier", "metadata", "prompt_cache_key")
_KNOWN = (
    "model", "messages", "temperature", "top_p", "top_k", "min_p", "repetition_penalty", "seed", "max_tokens",
    "max_completion_tokens", "stop", "stream", "stream_options",
)  # fmt: skip


class RequestError(Exception):
    """A request that cannot be answered; how OpenAI's API would say so."""

    def __init__(
        self,
        message: str,
        param: str | None = None,
        *,
        status: int = 400,
        code: str | None = None,
        kind: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}


@dataclass(frozen=True)
class ChatRequest:
    """A checked request. texts: a system text if `system`, then a user's and an answer by turns, a user's last."""

    texts: tuple[str, ...]
    system: bool
    sampling: Sampling
    seed: int | None
    tokens: int | None
    stops: tuple[str, ...]
    stream: bool
    include_usage: bool


def read_request(raw: bytes, model: str, defaults: Sampling, seed: int | None) -> ChatRequest:
    """A request to `model`; defaults and seed: for what it does not say. RequestError names what is wrong."""
    found = _object(raw)
    for key in found:
        if key not in _KNOWN and key not in _NEUTRAL and key not in _IGNORED:
            raise RequestError(
                f"Unknown parameter: {_shown(key)}.", _shown(key)[1:-1], code="unknown_parameter"
            )
    for key, fine in _NEUTRAL.items():
        value = found.get(key)
        if not any((value == v and type(value) is not bool) or value is v for v in fine):
            raise RequestError(
                f"{key} is not supported by this server; leave it out.", key, code="unsupported_parameter"
            )
    _model(found.get("model"), model)
    texts, system = _messages(found.get("messages"))
    stream = _flag(found, "stream")
    return ChatRequest(
        texts=texts,
        system=system,
        sampling=_sampling(found, defaults),
        seed=_whole(found, "seed", -(2**63), 2**63 - 1, seed),
        tokens=_tokens(found),
        stops=_stops(found.get("stop")),
        stream=stream,
        include_usage=_include_usage(found.get("stream_options"), stream),
    )


def _object(raw: bytes) -> dict[str, Any]:
    def refuse(name: str) -> NoReturn:
        raise ValueError(f"{name} is no number of JSON")

    try:
        found = json.loads(raw.decode(), parse_constant=refuse)
    except RecursionError:
        raise RequestError("The body is nested too deeply.") from None
    except UnicodeDecodeError as e:
        raise RequestError(f"The body is not UTF-8 (byte {e.start} is 0x{raw[e.start]:02x}).") from None
    except ValueError as e:
        raise RequestError(f"The body is not JSON: {str(e)[:120]}.") from None
    if not isinstance(found, dict):
        raise RequestError("The body is not a JSON object.")
    return found


def _shown(value: object, most: int = 40) -> str:
    """A value of the client's in a message, in printable characters and not at length."""
    try:
        text = json.dumps(value)
    except (ValueError, RecursionError):
        text = str(type(value).__name__)
    return text if len(text) <= most else text[:most] + "..."


def _wrong(param: str, wanted: str, value: object) -> RequestError:
    return RequestError(f"{param} must be {wanted}, not {_shown(value)}.", param, code="invalid_value")


def _model(asked: object, model: str) -> None:
    if asked is None:
        raise RequestError("You must provide a model parameter.", "model")
    if not isinstance(asked, str):
        raise _wrong("model", "a string", asked)
    if asked != model:
        raise RequestError(
            f"The model {_shown(asked)} does not exist; this server has {model!r}.",
            "model",
            status=404,
            code="model_not_found",
        )


def _messages(found: object) -> tuple[tuple[str, ...], bool]:
    if not isinstance(found, list) or not found:
        raise RequestError("messages must be a list of at least one message.", "messages")
    texts = []
    system = False
    for i, message in enumerate(found):
        where = f"messages[{i}]"
        if not isinstance(message, dict):
            raise _wrong(where, "an object", message)
        role = message.get("role")
        if role in ("system", "developer") and i == 0:
            system = True
        elif role != ("user", "assistant")[(i - system) % 2]:
            raise RequestError(
                f"{where}.role is {_shown(role)}: after a system message, which may come first, a user's and an "
                "assistant's take turns.",
                f"{where}.role",
            )
        for key, value in message.items():
            if key not in ("role", "content") and value not in _NOTHING:
                raise RequestError(
                    f"{where}.{_shown(key)[1:-1]} is not supported by this server; leave it out.", where
                )
        texts.append(_content(message.get("content"), f"{where}.content"))
    if (len(texts) - system) % 2 == 0:
        raise RequestError("The last message must be the user's.", "messages")
    return tuple(texts), system


def _content(found: object, where: str) -> str:
    parts = [{"type": "text", "text": found}] if isinstance(found, str) else found
    if not isinstance(parts, list):
        raise _wrong(where, "a string or a list of text parts", found)
    texts = []
    for part in parts:
        if not (isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)):
            raise _wrong(where, "text: this model reads nothing else", part)
        texts.append(part["text"])
    return _unicode("".join(texts), where)


def _unicode(text: str, where: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RequestError(f"{where} has half a surrogate pair, which is no character.", where) from None
    return text


def _flag(found: Mapping[str, Any], key: str) -> bool:
    value = found.get(key)
    if value is not None and type(value) is not bool:
        raise _wrong(key, "true or false", value)
    return bool(value)


def _include_usage(found: object, stream: bool) -> bool:
    if found is None:
        return False
    if not isinstance(found, dict):
        raise _wrong("stream_options", "an object", found)
    if not stream:
        raise RequestError("stream_options is for stream: true.", "stream_options")
    for key in found:
        if key not in ("include_usage", "include_obfuscation"):
            raise RequestError(f"Unknown parameter: stream_options.{_shown(key)}.", "stream_options")
    if _flag(found, "include_obfuscation"):
        raise RequestError("include_obfuscation is not supported by this server.", "stream_options")
    return _flag(found, "include_usage")


def _whole(found: Mapping[str, Any], key: str, low: int, high: int, default: int | None) -> int | None:
    value = found.get(key)
    if value is None:
        return default
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not low <= value <= high:
        raise _wrong(key, f"a whole number from {low} to {high}", found[key])
    return value


def _tokens(found: Mapping[str, Any]) -> int | None:
    old = _whole(found, "max_tokens", 1, 2**31 - 1, None)
    new = _whole(found, "max_completion_tokens", 1, 2**31 - 1, None)
    if old is not None and new is not None and old != new:
        raise RequestError("max_tokens and max_completion_tokens say different things.", "max_tokens")
    return new if old is None else old


def _sampling(found: Mapping[str, Any], defaults: Sampling) -> Sampling:
    def number(key: str, low: float, high: float) -> float | None:
        value = found.get(key)
        if value is None:
            return None
        if type(value) not in (int, float) or not low <= value <= high or not math.isfinite(value):
            raise _wrong(key, f"a number from {low:g} to {high:g}", value)
        return float(value)

    given: dict[str, Callable[[], float | None]] = {
        "temperature": lambda: number("temperature", 0, 2),
        "top_p": lambda: number("top_p", 0, 1),
        "min_p": lambda: number("min_p", 0, 1),
        "repetition_penalty": lambda: number("repetition_penalty", 2.0**-10, 2.0**10),
        "top_k": lambda: _whole(found, "top_k", 0, 2**31 - 1, None),
    }
    changes: dict[str, Any] = {k: v for k, v in ((k, read()) for k, read in given.items()) if v is not None}
    if "top_p" in changes:
        changes["top_p"] = max(changes["top_p"], 2.0**-20)
    return replace(defaults, **changes)


def _stops(found: object) -> tuple[str, ...]:
    if found is None:
        return ()
    stops = [found] if isinstance(found, str) else found
    if not isinstance(stops, list) or len(stops) > MAX_STOPS or not all(isinstance(s, str) for s in stops):
        raise _wrong("stop", f"a string or a list of at most {MAX_STOPS} strings", found)
    for s in stops:
        _unicode(s, "stop")
        if not s or "\0" in s:
            raise RequestError("A stop string is empty or has a zero byte.", "stop")
    if sum(len(s.encode()) for s in stops) > MAX_STOP_BYTES:
        raise RequestError(f"The stop strings have more than {MAX_STOP_BYTES} bytes.", "stop")
    return tuple(stops)
