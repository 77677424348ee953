"""A program at a terminal of its own, and the person who sits there."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Terminal:
    """A person at a terminal."""

    def __init__(self, file: int) -> None:
        self.file, self.seen = file, ""

    def key(self, keys: bytes) -> None:
        os.write(self.file, keys)

    def wait(self, text: str, seconds: float = 60) -> str:
        """What comes before `text`, which is to be seen behind what was waited for last."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < end, f"no {text!r} in {self.seen[-500:]!r}"
            if select.select([self.file], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self.file, 65536).decode(errors="replace")
                except OSError:  # the other end is gone
                    assert text in self.seen, f"no {text!r} in {self.seen[-500:]!r}"
        before, _, self.seen = self.seen.partition(text)
        return before

    def something(self) -> None:
        """Wait until anything comes behind what was waited for last."""
        if not self.seen:
            assert select.select([self.file], [], [], 60)[0], "nothing came"


OWN_TERMINAL = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)


@contextmanager
def at_terminal(*command: object) -> Iterator[tuple[Terminal, subprocess.Popen[bytes]]]:
    """A program whose terminal, keys that interrupt included, is somebody's."""
    ours, its = pty.openpty()
    start = [sys.executable, "-c", OWN_TERMINAL, *map(str, command)]
    with subprocess.Popen(start, stdin=its, stdout=its, stderr=its) as process:
        os.close(its)
        try:
            yield Terminal(ours), process
        finally:
            process.kill()
            os.close(ours)
