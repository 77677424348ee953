"""A language model's program, here or on a host: started, shown as it speaks, its exit code an error of ours."""

from __future__ import annotations

import codecs
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import IO

from edgebit.devices.ssh import BEGIN, program_failure, since_begin
from edgebit.errors import EdgebitError, FitError, ModelError, UsageError, WrongBoardError

_ERRORS: dict[int, type[EdgebitError]] = {2: UsageError, 3: ModelError, 4: FitError, 7: WrongBoardError}


def with_options(command: Sequence[str], options: Sequence[str], host: str | None = None) -> list[str]:
    """A command of command_line() with the program's options; a shell on the host takes them apart."""
    return [*command, *(options if host is None else map(shlex.quote, options))]


def run_program(command: Sequence[str], name: str, *, show: bool = False, host: str | None = None) -> str:
    """Run a model's program to its end; its standard output, or "" when that was shown as it came.

    The program's own sentence becomes the error that its exit code stands for. host: where the command runs it.
    """
    sys.stdout.flush()
    plain = show and host is None
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=None if plain else subprocess.PIPE, stderr=errors
        ) as process,
    ):
        out = "" if plain else _output(process, host, show=show)
        code = process.wait()
        words = _words(errors, host)
    if code:
        raise program_error(code, words, name, host)
    if show:
        sys.stderr.write(words)
    return out


def _output(process: subprocess.Popen[bytes], host: str | None, *, show: bool) -> str:
    """Standard output of a program, as text that is shown as it comes or returned."""
    pipe = process.stdout
    assert pipe is not None
    pieces: Iterator[bytes] = iter(lambda: os.read(pipe.fileno(), 1 << 16), b"")
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    kept = []
    for piece in pieces if host is None else since_begin(pieces):
        text = decoder.decode(piece)
        if show:
            sys.stdout.write(text)
            sys.stdout.flush()
        else:
            kept.append(text)
    return "".join(kept)


def _words(errors: IO[bytes], host: str | None) -> str:
    """What a program wrote to standard error; what else a host says when the program never began."""
    errors.seek(0)
    words = errors.read().decode("utf-8", "replace")
    return words if host is None else words.rpartition(f"{BEGIN}\n")[2]


def chat_program(
    command: Sequence[str], name: str, *, show: bool, host: str | None = None, terminal: bool = False
) -> tuple[str, EdgebitError | None]:
    """Run a model's program in a chat: it reads this program's input, and Ctrl-C is for it alone.

    Its standard output, or "" when that was shown as it came, and why it ended if not because the person did. terminal:
    it has one on the host.
    """
    sys.stdout.flush()
    marked = host if not terminal else None
    plain = show and marked is None
    with subprocess.Popen(
        command, stdout=None if plain else subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            last = _LastLine(process, marked, show=show)
            out = "" if plain else _output(process, marked, show=show)
            process.wait()
            last.join()
        except BaseException:
            process.kill()
            raise
        finally:
            signal.signal(signal.SIGINT, before)
        code = process.returncode
    if code == -signal.SIGPIPE:  # whoever reads the answers has seen enough
        return out, None
    if code == -signal.SIGINT and host is not None:  # Ctrl-C in a chat without a terminal is for ssh
        raise KeyboardInterrupt
    if code:
        return out, program_error(code, last.words, name, host)
    sys.stderr.write(last.words)
    return out, None


class _LastLine(threading.Thread):
    """Shows what a program writes to standard error as it comes, all but the last line: that may be why it ends. words:
    that line, or all when nothing is shown. host: one whose login shell may write, too."""

    def __init__(self, process: subprocess.Popen[bytes], host: str | None, *, show: bool) -> None:
        super().__init__(daemon=True)
        assert process.stderr is not None
        self.words, self._pipe, self._host, self._show = "", process.stderr, host, show
        self.start()

    def run(self) -> None:
        begun = self._host is None
        for raw in self._pipe:
            line = raw.decode("utf-8", "replace")
            if not begun and line.endswith(f"{BEGIN}\n"):
                begun, self.words = True, ""
            elif self._show and begun:
                sys.stderr.write(self.words)
                self.words = line
            else:
                self.words += line


def program_error(code: int, words: str, name: str, host: str | None = None) -> EdgebitError:
    """The error that a program's exit code and its own sentence stand for. host: where it ran, if not here."""
    failure = None if host is None else program_failure(host, code, words, f"{name} was running")
    if failure is not None:
        return failure
    ended = f"the program ended with {code}"
    if host is not None:
        ended = f"the program on {host} ended with {code}; what it says above is why"  # at a terminal
    said = words.strip().removeprefix(f"{name}: ") or ended
    return _ERRORS.get(code, EdgebitError)(said)
