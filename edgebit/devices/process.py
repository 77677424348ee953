"""A program as a device: the host build itself, or a Linux build under qemu-user."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Sequence

from edgebit.devices.transport import Pump
from edgebit.errors import LinkError, ToolchainError


def end_process(process: subprocess.Popen[bytes]) -> None:
    """Close a child's input, which ends it; kill it when it does not go within two seconds."""
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    try:
        process.wait(timeout=2.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class ProcessTransport:
    """Speaks through the standard input and output of a child process."""

    def __init__(self, command: Sequence[str], *, where: str | None = None, hint: str = "") -> None:
        self.where = where or f"{os.path.basename(command[0])}"
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        try:
            self._process = subprocess.Popen(
                list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, bufsize=0
            )
        except OSError as e:
            self._errors.close()
            raise ToolchainError(f"cannot start {command[0]}: {e.strerror or e}{hint}") from e
        out = self._process.stdout
        assert out is not None
        descriptor = out.fileno()
        self._pump = Pump(lambda: os.read(descriptor, 65536))

    def write(self, data: bytes) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        view = memoryview(data)
        try:
            while view:
                view = view[pipe.write(view) :]
        except (OSError, ValueError) as e:
            raise self._gone() from e

    def read(self, timeout: float) -> bytes:
        data = self._pump.read(timeout)
        if not data and self._pump.ended:
            raise self._gone()
        return data

    def _gone(self) -> LinkError:
        """Why the program ended, in its own words when it left some on its standard error."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=2.0)
        code = self._process.poll()
        how = "is gone" if code is None else f"ended by signal {-code}" if code < 0 else f"ended with {code}"
        words = ""
        if not self._errors.closed:
            self._errors.seek(0, os.SEEK_END)
            self._errors.seek(max(0, self._errors.tell() - 2000))
            words = self._errors.read().decode("utf-8", "replace").strip()
        return LinkError(f"{self.where} {how}" + (f": {words}" if words else ""))

    def close(self) -> None:
        """Close the program's input, which ends it; kill it when it does not go."""
        end_process(self._process)
        self._pump.join(2.0)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()
