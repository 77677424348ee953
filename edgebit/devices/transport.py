"""What the link needs from the wire: bytes out, bytes in, and a way to let go."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable
from typing import Protocol

from edgebit.errors import LinkError, PortError


class Transport(Protocol):
    """A byte stream to a device.

    `where` names the other end for error messages ("/dev/ttyACM0", "the emulated pico").
    """

    @property
    def where(self) -> str: ...

    def write(self, data: bytes) -> None:
        """Send all of `data`; LinkError when the other end is gone."""
        ...

    def read(self, timeout: float) -> bytes:
        """Bytes that have arrived, at least one; b"" when `timeout` seconds passed or nothing can come.

        LinkError when the other end is gone.
        """
        ...

    def close(self) -> None:
        """Let go of the port, process or machine. May be called twice."""
        ...


class Pump:
    """Reads a blocking source on a thread, so that reads can have a timeout on every system.

    `source` returns b"" at the end of the stream.
    """

    def __init__(self, source: Callable[[], bytes]) -> None:
        self._queue: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._source = source
        self.ended = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                data = self._source()
            except (OSError, ValueError):  # the descriptor was closed under us
                data = b""
            self._queue.put(data)
            if not data:
                return

    def read(self, timeout: float) -> bytes:
        """The next bytes, or b"" on a timeout or (then `ended` is set) at the end of the stream."""
        if self.ended:
            return b""
        try:
            data = self._queue.get(timeout=max(timeout, 0.0))
        except queue.Empty:
            return b""
        self.ended = not data
        return data

    def join(self, timeout: float) -> None:
        """Wait for the thread to notice that its source was closed."""
        self._thread.join(timeout)


class SocketTransport:
    """A TCP connection, as offered by emulators and serial servers (`socket://host:port`)."""

    def __init__(self, host: str, port: int, *, where: str | None = None, timeout: float = 5.0) -> None:
        self.where = where or f"socket://{host}:{port}"
        try:
            self._socket = socket.create_connection((host, port), timeout=timeout)
        except OSError as e:
            raise PortError(
                f"cannot connect to {self.where}: {e.strerror or e}; is the other end listening?"
            ) from e
        # Requests are small and wait for their replies: without this each costs a delayed ACK (40 ms).
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def write(self, data: bytes) -> None:
        try:
            self._socket.settimeout(10.0)
            self._socket.sendall(data)
        except OSError as e:
            raise LinkError(f"{self.where}: the connection broke while writing: {e}") from e

    def read(self, timeout: float) -> bytes:
        try:
            self._socket.settimeout(max(timeout, 0.001))
            data = self._socket.recv(65536)
        except TimeoutError:
            return b""
        except OSError as e:
            raise LinkError(f"{self.where}: the connection broke while reading: {e}") from e
        if not data:
            raise LinkError(f"{self.where}: the other end closed the connection")
        return data

    def close(self) -> None:
        self._socket.close()
