"""A board with an RP2040 in rp2040js, which runs on Node.js and emulates its USB too (https://github.com/wokwi/rp2040js).

A script (rp2040js.mjs) runs the UF2 image and is the USB host: it enumerates the device as an operating system does, opens
its serial port, and passes bytes on. UART0 is there as well.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import struct
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from edgebit.board import Board
from edgebit.devices.bootrom import refusal
from edgebit.devices.process import end_process
from edgebit.errors import LinkError, ToolchainError
from edgebit.resources import cache_dir
from edgebit.toolchain.uf2 import read_uf2

NAME = "rp2040js"
VERSION = "1.4.1"
PLACE = "EDGEBIT_RP2040JS"
"""Environment variable: the folder that rp2040js was installed into, instead of EdgeBit's cache folder."""
CYCLES = "rp2040js cycles"
_START_SECONDS = 60.0
_HEADER = struct.Struct("<cI")


def place() -> Path:
    """The folder rp2040js is looked for in, as npm's --prefix."""
    return Path(os.environ.get(PLACE) or cache_dir() / NAME)


def find_rp2040js() -> tuple[str, Path]:
    """(Node.js, the folder of the rp2040js package); ToolchainError that says how to get what is missing."""
    package = place() / "node_modules" / NAME
    install = f"npm install --prefix {place()} {NAME}@{VERSION}"
    node = shutil.which("node")
    if node is None:
        raise ToolchainError(
            f"Node.js is not installed, which {NAME} runs on: `apt install nodejs npm`, `brew install node`, or "
            f"https://nodejs.org; then `{install}`; or use --emulate=unicorn, which needs neither"
        )
    if not (package / "package.json").is_file():
        raise ToolchainError(
            f"{NAME} is not installed: `{install}`; or use --emulate=unicorn, which needs nothing"
        )
    return node, package


class Rp2040js:
    """An emulated board; a Transport. over: "usb" or "uart", which of its links bytes go through.

    mark: the address of eb_mark, for counting. seen: what the USB host has read from the device when it was plugged in.
    """

    def __init__(self, board: Board, uf2: Path, *, mark: int = 0, over: str = "usb") -> None:
        self.where = f"{NAME} as {board.name}"
        self._kind = {"usb": b"D", "uart": b"U"}[over]
        node, package = find_rp2040js()
        try:
            image = read_uf2(uf2.read_bytes(), int(board.flash_methods["uf2"]["family"]))[1]
        except OSError as e:
            raise ToolchainError(f"cannot read {uf2}: {e.strerror}; build it first") from e
        problem = refusal(board, image)
        if problem:
            raise LinkError(f"the {board.title} would not start this image: {problem}")
        self._events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._data: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._why = ""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        script = Path(__file__).with_name("rp2040js.mjs")
        self._process = subprocess.Popen(
            [node, str(script), str(package), str(uf2), str(mark)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.seen = self.event("enumerated", _START_SECONDS)
        except BaseException:
            self.close()
            raise

    def _read(self) -> None:
        """On a thread: sorts what the script says."""
        pipe = self._process.stdout
        assert pipe is not None
        with contextlib.suppress(OSError, ValueError):
            while head := _exactly(pipe, _HEADER.size):
                kind, size = _HEADER.unpack(head)
                body = _exactly(pipe, size)
                if kind == self._kind:
                    self._data.put(body)
                elif kind == b"E":
                    event: dict[str, Any] = json.loads(body)
                    if event["event"] == "error":
                        self._why = str(event["why"])
                    self._events.put(event)
        self._data.put(None)
        self._events.put({"event": "end"})

    def event(self, name: str, seconds: float) -> dict[str, Any]:
        """The next event of a name; LinkError when it does not come in time or the emulation ends."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                found = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise LinkError(f"{self.where}: no {name} within {seconds:g} s") from None
            if found["event"] == name:
                return found
            if found["event"] in ("end", "error"):
                raise self._gone()

    def ask(self, what: str) -> None:
        """Have the script do something: "touch" or "counts"."""
        self._send(b"E", json.dumps({"do": what}).encode())

    def _send(self, kind: bytes, data: bytes) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        view = memoryview(_HEADER.pack(kind, len(data)) + data)
        try:
            while view:
                view = view[pipe.write(view) :]
        except (OSError, ValueError) as e:
            raise self._gone() from e

    def write(self, data: bytes) -> None:
        self._send(self._kind, data)

    def read(self, timeout: float) -> bytes:
        try:
            data = self._data.get(timeout=max(timeout, 0.0))
        except queue.Empty:
            return b""
        if data is None:
            self._data.put(None)
            raise self._gone()
        return data

    def _gone(self) -> LinkError:
        """Why the emulation ended: what the script found wrong, else its last words."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=2.0)
        words = self._why
        if not words and not self._errors.closed:
            self._errors.seek(0)
            words = self._errors.read().decode("utf-8", "replace").strip()[-1000:]
        return LinkError(f"{self.where} ended: {words or 'it said nothing'}")

    def close(self) -> None:
        """End the emulation."""
        end_process(self._process)
        self._reader.join(2.0)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()


class Rp2040jsCounter:
    """Cycles a layer of the last run, as rp2040js counts them; like counting.Counter."""

    metric = CYCLES

    def __init__(self, machine: Rp2040js) -> None:
        self._machine = machine

    def enable(self, on: bool) -> None:
        """Runs are always counted."""

    def layers(self) -> list[tuple[int, int]]:
        """(layer, cycles) of the last run, in the order the layers ran."""
        self._machine.ask("counts")
        found = self._machine.event("counts", _START_SECONDS)["layers"]
        return [(int(layer), int(cycles)) for layer, cycles in found]


def _exactly(pipe: Any, size: int) -> bytes:
    """So many bytes of a pipe; b"" when it ends before."""
    data = b""
    while len(data) < size:
        part: bytes = pipe.read(size - len(data))
        if not part:
            return b""
        data += part
    return data
