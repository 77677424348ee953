"""A server of the talking model, as a program of its own, and what clients say to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from talker import NAME, messages

CONTEXT = 20000


class Server:
    """`edgebit serve` as a program of its own. log: where what it says goes."""

    def __init__(self, folder: Path, log: Path, *more: object) -> None:
        self.log = log
        start = [
            sys.executable,
            "-c",
            "from edgebit.cli import main; main()",
            "serve",
            folder,
            "--port",
            0,
            "--json",
        ]
        with log.open("w") as words:
            self.process = subprocess.Popen(
                [str(a) for a in [*start, "--threads", 1, "--context", CONTEXT, *more]],
                stdout=subprocess.PIPE,
                stderr=words,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, log.read_text()
        self.about = json.loads(line)
        self.host, self.port = self.about["url"].removeprefix("http://").split(":")

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        code = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def call(
        self, body: object, *, headers: dict[str, str] | None = None, path: str = "/v1/chat/completions"
    ) -> tuple[int, dict[str, Any]]:
        """Status and JSON of a request; bytes go as they are."""
        with contextlib.closing(http.client.HTTPConnection(self.host, int(self.port), timeout=60)) as c:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            c.request("POST", path, raw, {"Content-Type": "application/json"} | (headers or {}))
            answer = c.getresponse()
            return answer.status, json.loads(answer.read())

    def call_in_turn(self, body: object) -> tuple[int, dict[str, Any]]:
        """As a client that tries again while the line is full: requests of tests before may still be leaving it."""
        end = time.monotonic() + 30
        while True:
            status, found = self.call(body)
            if status != 503 or time.monotonic() > end:
                return status, found
            time.sleep(0.1)

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        with contextlib.closing(http.client.HTTPConnection(self.host, int(self.port), timeout=60)) as c:
            c.request("GET", path)
            answer = c.getresponse()
            return answer.status, json.loads(answer.read())

    def stream(self, body: dict[str, Any]) -> socket.socket:
        """A connection over which a streamed request has been sent, and nothing read."""
        s = socket.create_connection((self.host, int(self.port)), timeout=60)
        raw = json.dumps(body | {"stream": True}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:{self.port}\r\nContent-Type: application/json\r\n"
        s.sendall(f"{head}Content-Length: {len(raw)}\r\n\r\n".encode() + raw)
        return s

    def said(self, words: str, seconds: float = 30) -> None:
        """Waits until the server's log says so."""
        end = time.monotonic() + seconds
        while words not in self.log.read_text():
            assert time.monotonic() < end, f"no {words!r} in {self.log.read_text()[-1000:]}"
            time.sleep(0.05)


def ask(*texts: str, system: str | None = None, **more: Any) -> dict[str, Any]:
    return {"model": NAME, "messages": messages(*texts, system=system), "temperature": 0, **more}


def events(raw: bytes) -> list[dict[str, Any]]:
    """The events of a stream, which ends as it should."""
    found = raw.decode().removesuffix("\n\n").split("\n\n")
    assert found[-1] == "data: [DONE]"
    assert all(e.startswith("data: ") and "\n" not in e for e in found)
    return [json.loads(e[6:]) for e in found[:-1]]
