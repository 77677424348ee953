"""Linux boards over ssh: a folder a version, checked before it runs, switched to at once, and back if it does not answer.

    ~/.local/share/edgebit/versions/<image id>/program     never changed once it is there
    ~/.local/share/edgebit/current, previous               links to two of them

The program is copied to the side, its SHA-256 compared, the processor's features looked at and the program started once
before `current` is renamed into place; a lost connection leaves what was there running.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from edgebit.board import Board
from edgebit.core import Core
from edgebit.devices.link import Link
from edgebit.devices.open import open_device
from edgebit.devices.ssh import ROOT, open_remote, remote
from edgebit.errors import EdgebitError, LinkError, NoBoardError, ToolchainError, WriteError, WrongBoardError
from edgebit.flash.base import NOTHING, Built, Chosen, Need

_NEED = Need("ssh", "flashing Raspberry Pis (--host)", "install openssh-client")
_DIFFERS, _NO_START, _NO_SYSTEMD, _NO_OTHER = 41, 42, 43, 44
SERVICE_PORT = 7070

_LOOK = f"""uname -m
grep -m1 -i '^Features' /proc/cpuinfo || echo
tr -d '\\0' 2>/dev/null < /proc/device-tree/model || true
echo
cd {ROOT} 2>/dev/null || exit 0
readlink current || echo
sha256sum current/program 2>/dev/null || echo
"""

POINT = """rm -rf versions/@ID@
mv $part versions/@ID@
old=$(readlink current || true)
if [ -n "$old" ] && [ "$old" != versions/@ID@ ]; then
    ln -sfn "$old" previous.new
    mv -Tf previous.new previous
fi
ln -sfn versions/@ID@ current.new
mv -Tf current.new current
"""
"""The end of a script in $part's folder: version @ID@, which lies in $part, becomes the current one."""

_SWITCH = f"""set -eu
cd {ROOT}
part=versions/@ID@.part
[ "$(sha256sum $part/program | cut -c1-64)" = @SHA@ ] || exit {_DIFFERS}
chmod 755 $part/program
$part/program </dev/null >/dev/null 2>&1 || exit {_NO_START}
{POINT}"""

_BACK = f"""set -eu
cd {ROOT}
old=$(readlink previous || true)
if [ -n "$old" ]; then
    ln -sfn "$old" current.new
    mv -Tf current.new current
    echo "$old"
else
    rm -f current
fi
"""

_SWAP = f"""set -eu
cd {ROOT} 2>/dev/null || exit {_NO_OTHER}
now=$(readlink current || true)
old=$(readlink previous || true)
[ -n "$old" ] && [ -x "$old/program" ] && [ "$old" != "$now" ] || exit {_NO_OTHER}
ln -sfn "$old" current.new
mv -Tf current.new current
if [ -n "$now" ]; then
    ln -sfn "$now" previous.new
    mv -Tf previous.new previous
fi
echo "$old"
"""

TIDY = f"""cd {ROOT}/versions && for v in *; do
    [ "versions/$v" = "$(readlink ../current)" ] || [ "versions/$v" = "$(readlink ../previous)" ] || rm -rf "$v"
done
[ ! -d ../weights ] || find ../weights -type f -links 1 -delete
"""
"""A script that removes what neither the current version nor the one before needs."""

SOCKET = f"""[Unit]
Description=EdgeBit bench program, on this machine's own port {SERVICE_PORT}

[Socket]
ListenStream=127.0.0.1:{SERVICE_PORT}
Accept=yes

[Install]
WantedBy=sockets.target
"""
SERVICE = f"""[Unit]
Description=EdgeBit bench program

[Service]
ExecStart=%h/{ROOT}/current/program
StandardInput=socket
StandardOutput=socket
StandardError=journal
"""
_UNITS = f"""set -eu
command -v systemctl >/dev/null || exit {_NO_SYSTEMD}
mkdir -p .config/systemd/user
cat > .config/systemd/user/edgebit.socket <<'EOF'
{SOCKET}EOF
cat > .config/systemd/user/edgebit@.service <<'EOF'
{SERVICE}EOF
systemctl --user daemon-reload
systemctl --user enable --now edgebit.socket
"""


class SshFlasher:
    """Copies the program to a Linux board and switches to it."""

    name = "ssh"
    needs = (_NEED,)

    def can(self, board: Board) -> bool:
        return "ssh" in board.flash_methods

    def steps(self, board: Board, built: Built | None, chosen: Chosen = NOTHING) -> list[str]:
        host = host_of_board(board, chosen)
        name = "ID" if built is None else built.image_id
        steps = [
            f"ask {host} for its processor; it must have {' '.join(needed_features(board.core)) or 'nothing special'}",
            f"copy the program to {host}:{ROOT}/versions/{name}.part and compare its SHA-256",
            "start it there once",
            f"rename it to versions/{name} and point the link `current` to it",
            "ask it for its model and image; if it does not answer, point `current` back to the version before",
        ]
        return (
            [*steps, f"install the systemd unit edgebit.socket (port {SERVICE_PORT} there)"]
            if chosen.service
            else steps
        )

    def run(
        self, board: Board, built: Built, chosen: Chosen = NOTHING, *, model_id: str | None = None
    ) -> str:
        host = host_of_board(board, chosen)
        data = _program(built)
        digest = hashlib.sha256(data).hexdigest()
        there = look(host)
        check_machine(board, host, there)
        version = f"versions/{built.image_id}"
        if there.current == version and there.sha256 == digest:
            said = _confirm(board, built, host, model_id)
            return f"{host} already has this program, nothing copied; {said}{_service(host, chosen)}"
        _copy(host, built.image_id, data)
        _switch(board, host, built.image_id, digest)
        try:
            said = _confirm(board, built, host, model_id)
        except EdgebitError as e:
            raise type(e)(f"{e}; {_roll_back(host)}", details=e.details) from e
        remote(host, ["sh", "-s"], TIDY.encode(), doing="removing old versions")
        return f"{len(data)} bytes copied to {host}:{ROOT}/{version}; {said}{_service(host, chosen)}"


FLASHER = SshFlasher()


class Machine(NamedTuple):
    """What a host says of itself: `uname -m`, features of its processor, its model; the version that runs, with its SHA-256."""

    architecture: str
    features: frozenset[str]
    model: str
    current: str
    sha256: str


def host_of_board(board: Board, chosen: Chosen) -> str:
    """The host that was chosen; NoBoardError when none was."""
    if chosen.host is None:
        raise NoBoardError(
            f"say which {board.title} with --host [USER@]HOST, e.g. --host pi@raspberrypi.local; or use --emulate"
        )
    return chosen.host


def _program(built: Built) -> bytes:
    try:
        return built.elf.read_bytes()
    except OSError as e:
        raise ToolchainError(f"cannot read {built.elf}: {e.strerror}; build it first") from e


def look(host: str) -> Machine:
    """Ask a host what it is and what runs there."""
    _, said = remote(host, ["sh", "-s"], _LOOK.encode(), doing="asking what machine it is")
    lines = [line.strip() for line in said.splitlines()] + [""] * 5
    features = frozenset(lines[1].partition(":")[2].split())
    return Machine(lines[0], features, lines[2], lines[3], lines[4].partition(" ")[0])


_EXTENSIONS = {"crc": ("crc32",), "dotprod": ("asimddp",), "fp16": ("asimdhp",), "simd": ("asimd",)}


def needed_features(core: Core) -> list[str]:
    """What /proc/cpuinfo must list for a program compiled for this core, by Linux's names; from its `arch`."""
    base, *extensions = core.arch.split("+")
    found = ["asimd"] if base.startswith("armv8") else ["neon", "vfpv4"]
    if re.match(r"armv8\.[1-9]", base):
        found += ["atomics", "asimdrdm"]
    return found + [f for e in extensions for f in _EXTENSIONS.get(e, ())]


def check_machine(board: Board, host: str, there: Machine) -> None:
    """WrongBoardError unless the program can run there, before any of it is copied."""
    wanted = ("aarch64",) if board.core.arch.startswith("armv8") else ("armv7l", "armv8l", "aarch64")
    if there.architecture not in wanted:
        raise WrongBoardError(
            f"{host} is a {there.architecture or 'machine that does not say what it is'}, and this program is for "
            f"{' or '.join(wanted)} ({board.title}); is a 64-bit system installed on it?"
        )
    missing = [f for f in needed_features(board.core) if f not in there.features]
    if missing and there.architecture in ("aarch64", "armv7l"):
        raise WrongBoardError(
            f"the processor of {host}{f' ({there.model})' if there.model else ''} lacks {', '.join(missing)}, which the "
            f"{board.core.title} has; export for a board with its core, or for linux-arm64, which runs on all of them"
        )
    model = str(board.port.get("model", ""))
    if model and there.model and not there.model.startswith(model):
        raise WrongBoardError(
            f"{host} is a {there.model}, not a {board.title}; export for it, or for linux-arm64"
        )


def _copy(host: str, image_id: str, data: bytes) -> None:
    part = f"{ROOT}/versions/{image_id}.part"
    status, _ = remote(
        host,
        [f"mkdir -p {part} && cat > {part}/program"],
        data,
        seconds=600.0,
        doing="copying the program; the version before still runs",
    )
    if status:
        raise WriteError(
            f"{host} could not store the program in {part}; is its disk full? The version before still runs"
        )


def _switch(board: Board, host: str, image_id: str, digest: str) -> None:
    script = _SWITCH.replace("@ID@", image_id).replace("@SHA@", digest)
    status, _ = remote(host, ["sh", "-s"], script.encode(), doing="switching to the program")
    if status == _DIFFERS:
        raise WriteError(
            f"the program arrived damaged on {host} (its SHA-256 differs); the version before still runs. Try again"
        )
    if status == _NO_START:
        raise WrongBoardError(
            f"the program does not start on {host}: it is not a {board.title}; the version before still runs"
        )
    if status:
        raise WriteError(f"{host} could not switch to the program (status {status}); look into {ROOT} there")


def _confirm(board: Board, built: Built, host: str, model_id: str | None) -> str:
    with open_device(board, built, port=f"ssh://{host.removeprefix('ssh://')}", model_id=model_id) as device:
        hello = device.link.hello()
    return f"it answers as {hello.model_name!r}, image {hello.image_id}"


def _roll_back(host: str) -> str:
    try:
        _, said = remote(host, ["sh", "-s"], _BACK.encode(), doing="going back to the version before")
    except (LinkError, NoBoardError) as e:
        return f"and going back to the version before failed: {e}"
    old = Path(said.strip()).name
    return f"went back to {old}" if old else "no version before it is there to go back to"


def answers(host: str) -> str:
    """What the current program of a host says it is, as a clause."""
    with Link(open_remote(f"ssh://{host.removeprefix('ssh://')}")) as link:
        hello = link.hello()
    return f"it answers as {hello.model_name!r}, image {hello.image_id}"


def roll_back(host: str, asked: Callable[[str], str] = answers) -> str:
    """Switch a host to the version before, and see that it answers; what was done, in a sentence.

    The two change places, so that the same again undoes it; so does a version before that does not answer: `asked` is
    given the host and raises, or says what it saw.
    """
    old = _swap(host)
    try:
        said = asked(host)
    except EdgebitError as e:
        raise type(e)(f"{e}; went forth again to {_swap(host)}", details=e.details) from e
    return f"{host} went back to {old}; {said}"


def _swap(host: str) -> str:
    """The name of the version that `current` now is."""
    status, said = remote(host, ["sh", "-s"], _SWAP.encode(), doing="going back to the version before")
    if status == _NO_OTHER:
        raise WriteError(f"{host} has no version before the one that runs: nothing was changed")
    if status:
        raise WriteError(f"{host} could not go back (status {status}); look into {ROOT} there")
    return Path(said.strip()).name


def _service(host: str, chosen: Chosen) -> str:
    if not chosen.service:
        return ""
    status, said = remote(host, ["sh", "-s"], _UNITS.encode(), doing="installing the systemd unit")
    if status == _NO_SYSTEMD:
        raise WriteError(f"the program was written, but {host} has no systemd")
    if status:
        raise WriteError(
            f"the program was written, but systemd on {host} refused the unit ({said.strip() or status})"
        )
    return f"; systemd keeps edgebit.socket open on port {SERVICE_PORT} there"
