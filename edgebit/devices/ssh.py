"""A Linux board over ssh, with the system's own OpenSSH client: your keys, your known hosts, your ~/.ssh/config.

A login shell there may print what it likes before it does what it is told (an echo in ~/.bashrc is enough), so what is
asked there says BEGIN first, and what came before that is no answer.

Programs live under ROOT in the user's home there: versions/<image id>/program, and current and previous, links to two of them.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence

from edgebit.devices.process import ProcessTransport
from edgebit.errors import (
    EdgebitError,
    LinkError,
    NoBoardError,
    PortError,
    ToolchainError,
    UsageError,
    WrongBoardError,
)

ROOT = ".local/share/edgebit"
CONFIG = "EDGEBIT_SSH_CONFIG"
"""Environment variable: a file for `ssh -F`, instead of the user's."""
SCHEME = "ssh://"
BEGIN = "-- edgebit begins --"
"""A line that what is run on a host prints first, to standard output and standard error."""
_HOST = re.compile(r"(?:[A-Za-z0-9_.][A-Za-z0-9_.-]*@)?[A-Za-z0-9_.:\[\]][A-Za-z0-9_.:\[\]%-]*")
_LOST = 255  # ssh's own exit status, for everything between here and the remote command


def host_of(url: str) -> str:
    """The host in ssh://[user@]host[:port] or [user@]host; UsageError for what ssh could take for an option."""
    host = url.removeprefix(SCHEME).rstrip("/")
    if not _HOST.fullmatch(host):
        raise UsageError(f"{url!r} should read [USER@]HOST, or ssh://[USER@]HOST[:PORT]")
    return SCHEME + host if url.startswith(SCHEME) else host


def ssh_command(host: str, remote: Sequence[str], extra: Sequence[str] = ("-T",)) -> list[str]:
    """The command line that runs `remote`, words for a shell there. It never asks for a password: nobody may be there to
    answer. extra: options of ssh."""
    program = shutil.which("ssh")
    if program is None:
        raise ToolchainError(
            "ssh is not installed: install the OpenSSH client (Debian, Ubuntu: apt install openssh-client)"
        )
    config = os.environ.get(CONFIG)
    options = [*extra, "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=5"]
    return [program, *(["-F", config] if config else []), *options, "--", host_of(host), *remote]


def remote(
    host: str, command: Sequence[str], data: bytes, *, seconds: float = 60.0, doing: str
) -> tuple[int, str]:
    """Run a command there with `data` on its standard input; (its exit status, what it printed).

    `sh -s` takes `data` for a script, whose output alone counts; of other commands a login shell's words are part of it.
    Raises what explain() says when the connection could not be made or was lost.
    """
    script = list(command) == ["sh", "-s"]
    try:
        done = subprocess.run(
            ssh_command(host, command),
            input=f"echo '{BEGIN}'\n".encode() + data if script else data,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as e:
        raise LinkError(f"{host}: no answer within {seconds:g} s while {doing}") from e
    if done.returncode == _LOST:
        raise explain(host, done.stderr.decode("utf-8", "replace"), doing)
    said = done.stdout.decode("utf-8", "replace")
    return done.returncode, _answer(host, said, doing) if script else said


def _answer(host: str, said: str, doing: str) -> str:
    """What was printed after BEGIN; LinkError when that never came."""
    before, begun, answer = said.partition(f"{BEGIN}\n")
    if not begun:
        words = f" but says {' '.join(before.split())[:200]!r}" if before.strip() else " and says nothing"
        raise LinkError(f"{host} does not run commands for {doing}{words}: is a shell its login shell?")
    return answer


def since_begin(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """What comes after BEGIN, as it comes; nothing when that does not come."""
    mark, before = f"{BEGIN}\n".encode(), b""
    it = iter(pieces)
    for piece in it:
        before += piece
        _, begun, after = before.partition(mark)
        if begun:
            yield after
            yield from it
            return
        before = before[-len(mark) :]


_RUN = 'trap : INT; "$0" "$@"; exit $?'
"""The shell stays, so that a program killed by a signal is no lost connection; Ctrl-C is for the program alone."""
_MARKED = f"echo '{BEGIN}'; echo '{BEGIN}' >&2; "


def program_command(host: str, program: str, *, terminal: bool = False) -> list[str]:
    """The command line that runs a program there, named below ROOT; arguments that are added must be quoted.

    terminal: the program gets a terminal there, which shows its standard error among its output, and no BEGIN.
    """
    extra = ("-t" if terminal else "-T", "-o", "LogLevel=ERROR")
    run = _RUN if terminal else _MARKED + _RUN
    return ssh_command(host, ["exec", "sh", "-c", shlex.quote(run), shlex.quote(f"{ROOT}/{program}")], extra)


def program_failure(host: str, code: int, said: str, doing: str) -> EdgebitError | None:
    """Why a program of program_command() ended, if its own sentence cannot say it."""
    if code == _LOST:
        return explain(host, said, doing)
    if code > 128:
        why = "; the memory there may have run out" if code == 128 + 9 else ""
        return EdgebitError(f"the program on {host} was ended by signal {code - 128}{why}")
    return None


def send(host: str, script: str, pieces: Iterable[bytes], *, doing: str) -> tuple[int, str]:
    """Run a script of sh there and stream bytes to its standard input; (its exit status, what it printed).

    Raises what explain() says when the connection could not be made or was lost.
    """
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            ssh_command(host, ["exec", "sh", "-c", shlex.quote(f"echo '{BEGIN}'; {script}")]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            bufsize=0,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            try:
                for piece in pieces:
                    view = memoryview(piece)
                    while view:
                        view = view[process.stdin.write(view) :]
                process.stdin.close()
            except (BrokenPipeError, ConnectionResetError):
                pass  # its exit status says why
            out = process.stdout.read()
            process.wait()
        except BaseException:
            process.kill()
            raise
        if process.returncode == _LOST:
            errors.seek(0)
            raise explain(host, errors.read().decode("utf-8", "replace"), doing)
        return process.returncode, _answer(host, out.decode("utf-8", "replace"), doing)


def explain(host: str, said: str, doing: str) -> EdgebitError:
    """What keeps ssh from a host, and the exact way out."""
    name = host.removeprefix(SCHEME).rpartition("@")[2]
    number = re.fullmatch(r"(.*):(\d+)", name)
    known = f"[{number.group(1)}]:{number.group(2)}" if number else name
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith("@")]
    words = lines[-1] if lines else "it said nothing"
    if "IDENTIFICATION HAS CHANGED" in said:
        return PortError(
            f"{host} shows another host key than before: if it was installed anew, run `ssh-keygen -R '{known}'` and then "
            f"`ssh {host}` once; if not, somebody may stand between you and it"
        )
    if "Host key verification failed" in said:
        return PortError(
            f"{host} is not known yet: run `ssh {host}` once, compare its host key, and accept it"
        )
    if "Permission denied" in said:
        return PortError(f"{host} does not let us in: run `ssh-copy-id {host}` once ({words})")
    if "Could not resolve" in said or "Name or service not known" in said:
        return NoBoardError(f"there is no host {name!r} ({words}); is it on, and on this network?")
    if any(w in said for w in ("Connection refused", "timed out", "No route to host", "unreachable")):
        return NoBoardError(
            f"{host} does not answer ({words}); is it on, and is its ssh server enabled (raspi-config)?"
        )
    return LinkError(f"{host}: the connection was lost while {doing} ({words})")


def open_remote(host: str) -> ProcessTransport:
    """The current program of a host, spoken to through its standard input and output; WrongBoardError when it is a language
    model's, which cannot be."""
    looked = f"test -x {ROOT}/current/program || exit 1; test ! -e {ROOT}/current/edgebit.json || exit 2"
    status, _ = remote(host, [looked], b"", doing="looking for the program")
    if status == 2:
        raise WrongBoardError(
            f"{host} holds a language model and no network: run edgebit flash --host {host} with the network's folder"
        )
    if status:
        raise LinkError(f"{host} has no program of EdgeBit's: run edgebit flash --host {host}")
    return ProcessTransport(ssh_command(host, ["exec", f"{ROOT}/current/program"]), where=host)
