"""Listens: a socket, uvicorn on it, and an end without a traceback."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
from types import FrameType

import uvicorn

from edgebit.errors import PortError, UsageError
from edgebit.serve.app import Service, build_app

_GRACE_SECONDS = 3


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on `port` of `host`; port 0: any that is free. PortError says why not."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as e:
        raise UsageError(f"--host {host}: no address of this machine ({e})") from e
    family, kind, protocol, _, address = found[0]
    s = socket.socket(family, kind, protocol)
    try:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(address)
        s.listen(128)
    except OSError as e:
        s.close()
        raise _refused(host, port, e) from e
    return s


def _refused(host: str, port: int, e: OSError) -> PortError | UsageError:
    if e.errno == errno.EADDRINUSE:
        return PortError(
            f"port {port} of {host} is in use by another program; choose another one with --port, or --port 0 for any"
        )
    if e.errno in (errno.EACCES, errno.EPERM):
        return PortError(f"port {port} of {host} is not permitted; choose one above 1023 with --port")
    if e.errno == errno.EADDRNOTAVAIL:
        return UsageError(f"--host {host}: no address of this machine; 127.0.0.1 is this machine alone")
    return PortError(f"port {port} of {host} cannot be listened on: {e.strerror or e}")


def url_of(s: socket.socket) -> str:
    """Where a client finds the server that listens on a socket."""
    host, port = s.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """Ends the answers under way when it is told to end."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._service.engine.stop()
        super().handle_exit(sig, frame)


def run(service: Service, s: socket.socket) -> None:
    """Serve until Ctrl-C or until told to end; the model stays open."""
    if not os.environ.get("EDGEBIT_TRACEBACK"):
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    config = uvicorn.Config(
        build_app(service),
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        http="h11",
        ws="none",
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    with contextlib.suppress(KeyboardInterrupt):
        _Server(config, service).run(sockets=[s])
