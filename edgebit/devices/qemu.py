"""QEMU: a whole microcontroller board over a TCP serial line, or a Linux program under user emulation."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from edgebit.board import Board
from edgebit.devices.process import ProcessTransport
from edgebit.devices.transport import SocketTransport
from edgebit.errors import LinkError, PortError, ToolchainError

_START_SECONDS = 15.0
_PACKAGES = {
    "qemu-system-arm": "install QEMU: `apt install qemu-system-arm`, `dnf install qemu-system-arm`, "
    "`brew install qemu`, or https://www.qemu.org/download",
    "qemu-arm": "install QEMU's user emulation (Linux only): `apt install qemu-user` or "
    "`dnf install qemu-user`; or use --emulate=unicorn, which needs nothing",
    "qemu-aarch64": "install QEMU's user emulation (Linux only): `apt install qemu-user` or "
    "`dnf install qemu-user`; or use --emulate=unicorn, which needs nothing",
}


def find_program(name: str) -> str:
    """Where a QEMU program is; ToolchainError that says how to get it."""
    found = shutil.which(name) or shutil.which(f"{name}-static")
    if found is None:
        raise ToolchainError(f"{name} is not installed: {_PACKAGES.get(name, 'install QEMU')}")
    return found


def open_user(board: Board, elf: Path) -> ProcessTransport:
    """A Linux program under qemu-user; board.toml names program and CPU."""
    options = board.emulators["qemu"]
    program = find_program(options["program"])
    return ProcessTransport(
        [program, "-cpu", options["cpu"], str(elf)], where=f"{options['program']} as {board.name}"
    )


class QemuSystem:
    """A board emulated by qemu-system, its UART on a TCP connection; a Transport. more: options for QEMU."""

    def __init__(self, board: Board, elf: Path, more: Sequence[str] = ()) -> None:
        options = board.emulators["qemu"]
        self.where = f"{options['program']} as {board.name}"
        program = find_program(options["program"])
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._process = subprocess.Popen(
            [
                *(program, "-M", options["machine"], "-display", "none", "-monitor", "none"),
                *("-chardev", f"socket,id=link,host=127.0.0.1,port={port},server=on,wait=on,nodelay=on"),
                *("-serial", "chardev:link", "-kernel", str(elf), *more),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
        )
        try:
            self._socket = self._connect(port)
        except BaseException:
            self._stop()
            raise

    def _connect(self, port: int) -> SocketTransport:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            self._check()
            try:
                return SocketTransport("127.0.0.1", port, where=self.where)
            except PortError:
                if time.monotonic() > deadline:
                    raise LinkError(f"{self.where} did not start within {_START_SECONDS:g} s") from None
                time.sleep(0.05)

    def _check(self) -> None:
        """LinkError in QEMU's own words when it has ended."""
        code = self._process.poll()
        if code is not None:
            self._errors.seek(0)
            words = self._errors.read().decode("utf-8", "replace").strip()[-1000:]
            raise LinkError(f"{self.where} ended with {code}: {words or 'it said nothing'}")

    def write(self, data: bytes) -> None:
        self._check()
        self._socket.write(data)

    def read(self, timeout: float) -> bytes:
        try:
            return self._socket.read(timeout)
        except LinkError:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=2.0)
            self._check()
            raise

    def _stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._errors.close()

    def close(self) -> None:
        self._socket.close()
        if not self._errors.closed:
            self._stop()
