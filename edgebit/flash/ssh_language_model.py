"""A language model on a Linux board over ssh: its weights once, by their SHA-256, its programs beside them.

    ~/.local/share/edgebit/weights/<sha256>.bin               never changed once it is there
    ~/.local/share/edgebit/versions/<version>/program         what `current` and `previous` name; see edgebit/flash/ssh.py
    ~/.local/share/edgebit/versions/<version>/<name>.bin      the same file as the weights (a second link)
    ~/.local/share/edgebit/versions/<version>/edgebit.json    the manifest of its export

A version is named after its program and its weights, so that a program built anew does not copy the weights again.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from edgebit.board import Board
from edgebit.devices.ssh import ROOT, remote, send
from edgebit.errors import EdgebitError, LinkError, ModelError, ToolchainError, WriteError, WrongBoardError
from edgebit.flash.base import NOTHING, Built, Chosen
from edgebit.flash.ssh import POINT, TIDY, host_of_board, needed_features

_DIFFERS, _NO_START = 41, 42
_PIECE = 1 << 20
_VERSION = re.compile(r"versions/[0-9a-f]{32}(-[0-9a-f]{16})?")

_LOOK = f"""mkdir -p {ROOT}/weights {ROOT}/versions && cd {ROOT} || exit 1
find weights -type f -links 1 ! -name '@WEIGHTS@.*' -delete
df -Pk . | sed -n '$s/.* \\([0-9][0-9]*\\)  *[0-9-]*%.*/\\1/p'
stat -c %s weights/@WEIGHTS@.part 2>/dev/null || echo 0
sha256sum weights/@WEIGHTS@.bin 2>/dev/null || echo
sha256sum versions/@ID@/program 2>/dev/null || echo
sha256sum versions/@ID@/edgebit.json 2>/dev/null || echo
[ versions/@ID@/@NAME@.bin -ef weights/@WEIGHTS@.bin ] && echo linked
"""
_STORE = f"""set -e
cd {ROOT}/weights
cat > @WEIGHTS@.part
[ "$(sha256sum @WEIGHTS@.part | cut -c1-64)" = @WEIGHTS@ ] || {{ rm -f @WEIGHTS@.part; exit {_DIFFERS}; }}
chmod 444 @WEIGHTS@.part
sync @WEIGHTS@.part 2>/dev/null || sync
mv -f @WEIGHTS@.part @WEIGHTS@.bin
"""
_PROGRAM = f"""set -eu
cd {ROOT}
part=versions/@ID@.part
rm -rf $part
mkdir $part
head -c @BYTES@ > $part/program
cat > $part/edgebit.json
[ "$(sha256sum $part/program | cut -c1-64)" = @PROGRAM@ ] || exit {_DIFFERS}
[ "$(sha256sum $part/edgebit.json | cut -c1-64)" = @MANIFEST@ ] || exit {_DIFFERS}
chmod 755 $part/program
ln weights/@WEIGHTS@.bin $part/@NAME@.bin
said=$($part/program --help 2>&1 >/dev/null </dev/null) || {{ echo "$said"; exit {_NO_START}; }}
sync $part/program $part/edgebit.json 2>/dev/null || sync
"""
_SWITCH = f"""set -eu
cd {ROOT}
part=versions/@ID@.part
{POINT}cd
set +eu
{TIDY}exit 0
"""
_WHICH = f"""cd {ROOT} 2>/dev/null || exit 0
readlink current || exit 0
cat current/edgebit.json 2>/dev/null
"""


@dataclass(frozen=True)
class Shipment:
    """What of an export and its build is copied; digests are SHA-256 in hex. name is the model's, a word in C."""

    name: str
    program: bytes
    manifest: bytes
    weights: Path
    weights_digest: str
    weights_bytes: int
    image_id: str

    @property
    def version(self) -> str:
        return f"{self.image_id}-{self.weights_digest[:16]}"

    def script(self, text: str) -> str:
        """A script with its @WORDS@ filled in."""
        words = {
            "ID": self.version,
            "NAME": self.name,
            "WEIGHTS": self.weights_digest,
            "BYTES": str(len(self.program)),
            "PROGRAM": hashlib.sha256(self.program).hexdigest(),
            "MANIFEST": hashlib.sha256(self.manifest).hexdigest(),
        }
        return re.sub("@([A-Z]+)@", lambda m: words[m.group(1)], text)


class Store(NamedTuple):
    """What a host holds of a shipment already. free: bytes that may be written, its unfinished weights counted in."""

    free: int
    weights: bool
    version: bool


def pack(name: str, built: Built, manifest: Path, weights: Path) -> Shipment:
    """Read a build and its export, the weights only to hash them."""
    try:
        program = built.elf.read_bytes()
    except OSError as e:
        raise ToolchainError(f"cannot read {built.elf}: {e.strerror}; build it first") from e
    try:
        with weights.open("rb") as f:
            digest = hashlib.file_digest(f, "sha256").hexdigest()
            size = f.tell()
        return Shipment(name, program, manifest.read_bytes(), weights, digest, size, built.image_id)
    except OSError as e:
        raise ModelError(f"{e.filename}: cannot be read: {e.strerror}; export the model again") from e


def steps(board: Board, shipment: Shipment | None, chosen: Chosen = NOTHING) -> list[str]:
    """What flashing would do, as sentences. shipment is None when the program is not built yet."""
    host = host_of_board(board, chosen)
    version, weights, size = "VERSION", "SHA-256", ""
    if shipment is not None:
        version, weights, size = (
            shipment.version,
            shipment.weights_digest,
            f" ({_mb(shipment.weights_bytes)})",
        )
    return [
        f"ask {host} for its processor; it must have {' '.join(needed_features(board.core)) or 'nothing special'}",
        f"see whether {host} has room for the weights{size} and the program",
        f"copy the weights to {host}:{ROOT}/weights/{weights}.bin and compare their SHA-256, unless they lie there",
        f"copy the program to {host}:{ROOT}/versions/{version}.part, compare its SHA-256 and start it there once",
        "run a golden prompt there with --check, and compare every layer, every logit and every token",
        f"rename it to versions/{version} and point the link `current` to it; where any of this fails, `current` stays as "
        "it is",
    ]


def look_store(host: str, shipment: Shipment) -> Store:
    """Ask a host what lies there; WriteError when it has no room for what does not."""
    status, said = remote(
        host, ["sh", "-s"], shipment.script(_LOOK).encode(), seconds=900.0, doing="looking what lies there"
    )
    lines = [line.strip() for line in said.splitlines()] + [""] * 6
    if status > 1 or not lines[0].isdecimal() or not lines[1].isdecimal():
        raise WriteError(f"{host} cannot make the folder {ROOT}, or does not say how much room there is")
    digests = [line.partition(" ")[0] for line in lines[2:5]]
    wanted = [shipment.script(f"@{w}@") for w in ("WEIGHTS", "PROGRAM", "MANIFEST")]
    free = int(lines[0]) * 1024 + int(lines[1])
    store = Store(free, digests[0] == wanted[0], digests == wanted and lines[5] == "linked")
    needed = 0 if store.version else len(shipment.program) + len(shipment.manifest) + (1 << 16)
    needed += 0 if store.weights else shipment.weights_bytes
    if needed > free:
        raise WriteError(
            f"{host} has {_mb(free)} free, and {_mb(needed)} are needed: make room there (the version before the one that "
            f"runs may go: rm -r {ROOT}/$(readlink {ROOT}/previous)); nothing was copied"
        )
    return store


def copy_weights(host: str, shipment: Shipment, sent: Callable[[int], None]) -> None:
    """Stream the weights there; `sent` is told how many bytes are on their way."""

    def pieces() -> Iterator[bytes]:
        done = 0
        with shipment.weights.open("rb") as f:
            while piece := f.read(_PIECE):
                yield piece
                done += len(piece)
                sent(done)

    status, _ = send(host, shipment.script(_STORE), pieces(), doing="copying the weights")
    if status == _DIFFERS:
        raise WriteError(f"the weights arrived damaged on {host} (their SHA-256 differs). Try again")
    if status:
        raise WriteError(f"{host} could not store the weights in {ROOT}/weights; is its disk full?")


def place(host: str, shipment: Shipment) -> str:
    """Copy the program to the side, the weights being there, and start it once; its folder, below ROOT."""
    pieces = [shipment.program, shipment.manifest]
    status, said = send(host, shipment.script(_PROGRAM), pieces, doing="copying the program")
    if status == _DIFFERS:
        raise WriteError(f"the program arrived damaged on {host} (its SHA-256 differs). Try again")
    if status == _NO_START:
        raise WrongBoardError(
            f"the program does not start on {host}: {said.strip()[:300] or 'it says nothing'}"
        )
    if status:
        raise WriteError(f"{host} could not store the program in {ROOT}/versions; is its disk full?")
    return f"versions/{shipment.version}.part"


def switch(host: str, shipment: Shipment) -> None:
    """Make what place() left the current version, and remove what neither it nor the one before needs."""
    status, _ = remote(
        host, ["sh", "-s"], shipment.script(_SWITCH).encode(), doing="switching to the program"
    )
    if status:
        raise WriteError(f"{host} could not switch to the program (status {status}); look into {ROOT} there")


def discard(host: str, shipment: Shipment) -> None:
    """Remove what place() left, if the host can still be reached."""
    with contextlib.suppress(EdgebitError):
        remote(
            host,
            ["rm", "-rf", f"{ROOT}/versions/{shipment.version}.part"],
            b"",
            doing="removing what was copied",
        )


def current(host: str) -> tuple[str, bytes | None] | None:
    """The current version of a host, as its folder below ROOT, and its manifest if it is a language model; None: nothing
    was flashed yet."""
    _, said = remote(host, ["sh", "-s"], _WHICH.encode(), doing="asking what lies there")
    version, _, manifest = said.partition("\n")
    if not version:
        return None
    if not _VERSION.fullmatch(version.strip()):
        raise LinkError(
            f"{host}: {ROOT}/current names {version.strip()[:100]!r}, no version of EdgeBit's; flash it again"
        )
    return version.strip(), manifest.encode() or None


def _mb(n: int) -> str:
    return f"{n / 1e6:,.1f} MB"
