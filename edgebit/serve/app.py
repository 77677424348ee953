"""HTTP round an engine, as OpenAI's API has it: POST /v1/chat/completions, GET /v1/models, GET /health.

Nothing of a request stays but the keys and values of its tokens, which the next one may begin with.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from edgebit.decoder.sampling import Sampling
from edgebit.errors import EdgebitError, UsageError
from edgebit.serve.engine import Answer, Busy, Engine, Wish
from edgebit.serve.request import ChatRequest, RequestError, read_request

_BODY_SECONDS = 30.0
_LEAST_BODY, _MOST_BODY = 256 << 10, 4 << 20
_LOCAL = ("127.0.0.1", "::1", "localhost")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Service:
    """What is served. created: a time stamp of the model. hosts: names a client may call this server by; None: any.
    sampling, seed: for what a request does not say. say: told of each request, in a line without its text."""

    engine: Engine
    name: str
    created: int
    sampling: Sampling
    seed: int | None
    hosts: tuple[str, ...] | None
    say: Say

    @property
    def most_body(self) -> int:
        """Bytes of a request; what fills the context fits in."""
        return min(_MOST_BODY, _LEAST_BODY + 64 * self.engine.model.context)


def hosts_of(host: str) -> tuple[str, ...] | None:
    """The names of a server that listens on `host`; None for one that other machines reach, whatever they call it.

    A web page that has its own name point at this machine would else speak to a server that is not for it.
    """
    return _LOCAL if host in _LOCAL or host.startswith("127.") else None


def build_app(service: Service) -> Starlette:
    """The application of a service."""
    # One prompt at a time is turned into tokens: it may take some dozen bytes of memory for each of the text's.
    encoding = anyio.CapacityLimiter(1)

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def models(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [_about(service)]})

    async def one_model(request: Request) -> Response:
        asked = request.path_params["name"]
        if asked != service.name:
            message = f"The model {json.dumps(asked)[:60]} does not exist; this server has {service.name!r}."
            raise RequestError(message, "model", status=404, code="model_not_found")
        return JSONResponse(_about(service))

    async def complete(request: Request) -> Response | Stream:
        wanted = read_request(
            await _body(request, service.most_body), service.name, service.sampling, service.seed
        )
        wish = await _wish(service, wanted, encoding)
        try:
            answer = service.engine.submit(wish)
        except Busy:
            raise RequestError(
                "The server has as many requests waiting as it takes; try again later.",
                status=503,
                code="overloaded",
                kind="server_error",
            ) from None
        completion = _Completion(service, answer)
        if wanted.stream:
            return Stream(completion, wanted.include_usage)
        return await _whole(completion, request)

    app = Starlette(
        routes=[
            Route("/health", health),
            Route("/v1/models", models),
            Route("/v1/models/{name:path}", one_model),
            Route("/v1/chat/completions", complete, methods=["POST"]),
        ],
        exception_handlers={
            RequestError: _refuse,
            HTTPException: _refuse_http,
            EdgebitError: _fail,
            ClientDisconnect: _gone,
            Exception: _fail,
        },
    )
    app.state.service = service
    app.add_middleware(_OwnName, hosts=service.hosts)
    return app


class _OwnName:
    """Refuses requests that call the server by a name that it has not."""

    def __init__(self, app: Any, hosts: tuple[str, ...] | None) -> None:
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self.hosts is not None:
            asked = Request(scope).headers.get("host", "")
            name = asked.rpartition(":")[0] if asked.rpartition(":")[2].isdigit() else asked
            if name.strip("[]").lower() not in self.hosts:
                error = RequestError(
                    "This server answers to localhost only; to be reached by other names it is started with --host.",
                    status=403,
                    code="unknown_host",
                )
                await JSONResponse(error.body, error.status)(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _about(service: Service) -> dict[str, Any]:
    return {"id": service.name, "object": "model", "created": service.created, "owned_by": "edgebit"}


async def _refuse(request: Request, e: Exception) -> Response:
    assert isinstance(e, RequestError)
    headers = {"Retry-After": "1"} if e.status == 503 else {}
    return JSONResponse(e.body, e.status, headers)


async def _refuse_http(request: Request, e: Exception) -> Response:
    assert isinstance(e, HTTPException)
    words = {404: "There is nothing at this address.", 405: "This address takes another method."}
    error = RequestError(words.get(e.status_code, str(e.detail)), status=e.status_code)
    return JSONResponse(error.body, e.status_code, e.headers)


async def _fail(request: Request, e: Exception) -> Response:
    known = isinstance(e, EdgebitError)
    message = str(e) if known else f"internal error: {type(e).__name__}: {e}. This is a bug in EdgeBit"
    request.app.state.service.say(message)
    return JSONResponse(RequestError(message, kind="server_error").body, 500)


async def _gone(request: Request, e: Exception) -> Response:
    return Response(status_code=400)  # to nobody


async def _body(request: Request, most: int) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RequestError("The body must have Content-Type: application/json.", status=415)
    raw = bytearray()
    try:
        with anyio.fail_after(_BODY_SECONDS):
            async for part in request.stream():
                raw += part
                if len(raw) > most:
                    raise RequestError(f"The body has more than {most} bytes.", status=413)
    except TimeoutError:
        raise RequestError("The body did not arrive in time.", status=408) from None
    return bytes(raw)


async def _wish(service: Service, wanted: ChatRequest, encoding: anyio.CapacityLimiter) -> Wish:
    """The request in tokens; RequestError when the model cannot take it."""
    model = service.engine.model
    if wanted.system and not model.has_system:
        raise RequestError(
            "The chat template of this model has no place for a system message; leave it out.", "messages"
        )
    too_long = f"This model's context has {model.context} tokens"
    if len(wanted.texts) > model.context:
        raise RequestError(
            f"{too_long}; there are {len(wanted.texts)} messages.", "messages", code="context_length_exceeded"
        )
    try:
        ids = await anyio.to_thread.run_sync(
            lambda: model.prompt(wanted.texts, system=wanted.system), limiter=encoding
        )
    except UsageError as e:
        raise RequestError(f"{e}.", "messages") from None
    if len(ids) > model.context:
        raise RequestError(
            f"{too_long}; your messages have {len(ids)}. Please send less.",
            "messages",
            code="context_length_exceeded",
        )
    return Wish(ids, wanted.sampling, wanted.seed, wanted.tokens, wanted.stops)


class _Completion:
    """One answer in the words of the API."""

    def __init__(self, service: Service, answer: Answer) -> None:
        self.service, self.answer = service, answer
        self.id = f"chatcmpl-{secrets.token_hex(12)}"
        self.created = int(time.time())
        self.began = time.monotonic()

    def body(self, kind: str, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.service.name,
            "system_fingerprint": f"edgebit-{self.service.engine.model.model_id[:12]}",
            "choices": choices,
        } | more

    def usage(self) -> dict[str, Any]:
        prompt, made = len(self.answer.wish.ids), self.answer.made
        return {
            "prompt_tokens": prompt,
            "completion_tokens": made,
            "total_tokens": prompt + made,
            "prompt_tokens_details": {"cached_tokens": self.answer.kept},
        }

    def tell(self, finish: str) -> None:
        a = self.answer
        self.service.say(
            f"{len(a.wish.ids)} tokens of prompt, {a.kept} kept; {a.made} written in "
            f"{time.monotonic() - self.began:.1f} s ({finish})"
        )


async def _until_gone(receive: Callable[[], Awaitable[Any]], answer: Answer) -> None:
    """Returns when the client has gone, and nobody wants the answer any more."""
    while (await receive())["type"] != "http.disconnect":
        pass
    answer.cancel()


async def _whole(completion: _Completion, request: Request) -> Response:
    answer = completion.answer
    watch = asyncio.ensure_future(_until_gone(request.receive, answer))
    text, finish = "", "interrupted"
    try:
        async for piece in answer.pieces():
            text += piece.text
            finish = piece.finish or finish
    finally:
        answer.cancel()
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch
        completion.tell(finish)
    if finish == "interrupted":
        raise RequestError("The server stops.", status=503, code="stopped", kind="server_error")
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    return JSONResponse(completion.body("chat.completion", [choice], usage=completion.usage()))


class Stream:
    """An answer as server-sent events, one for each piece of text."""

    def __init__(self, completion: _Completion, include_usage: bool) -> None:
        self.completion, self.include_usage = completion, include_usage

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self.completion.answer
        watch = asyncio.ensure_future(_until_gone(receive, answer))
        work = asyncio.ensure_future(self._send(send))
        try:
            await asyncio.wait((watch, work), return_when=asyncio.FIRST_COMPLETED)
        finally:
            answer.cancel()
            for task in (watch, work):
                if not task.done():
                    task.cancel()
            await asyncio.gather(watch, work, return_exceptions=True)
        if not work.cancelled():
            work.result()

    async def _send(self, send: Send) -> None:
        c, finish = self.completion, "interrupted"
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            await self._event(send, {"role": "assistant", "content": "", "refusal": None})
            async for piece in c.answer.pieces():
                if piece.text:
                    await self._event(send, {"content": piece.text})
                if piece.finish:
                    finish = piece.finish
                    await self._event(send, {}, finish)
            if finish == "interrupted":
                await self._error(send, "The server stops.")
            elif self.include_usage:
                await self._data(send, c.body("chat.completion.chunk", [], usage=c.usage()))
        except EdgebitError as e:
            await self._error(send, str(e))
        finally:
            c.tell(finish)
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    async def _event(self, send: Send, delta: dict[str, Any], finish: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        more = {"usage": None} if self.include_usage else {}
        await self._data(send, self.completion.body("chat.completion.chunk", [choice], **more))

    async def _error(self, send: Send, message: str) -> None:
        await self._data(send, RequestError(message, kind="server_error").body)

    async def _data(self, send: Send, data: dict[str, Any]) -> None:
        raw = (
            b"data: " + json.dumps(data).encode() + b"\n\n"
        )  # in ASCII: some clients see ends of lines elsewhere
        await send({"type": "http.response.body", "body": raw, "more_body": True})
