"""Runs runtime_c/text, built with the sanitizers, on batches of texts and ids."""

from __future__ import annotations

import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from c_harness import WARNINGS, compiler, sanitizers

from edgebit.decoder.sampling import Sampling
from edgebit.ir.graph import Array
from edgebit.resources import data_dir

START, MARKUP, DROP_UNKNOWN = 1, 2, 4
SHOW_SPECIAL, CONTINUE = 1, 2
TABLE, SCRATCH, IDS, CHARACTER, ROOM, ARGUMENT = range(-20, -26, -1)
NONE = 0xFFFFFFFF
ALL = 0xFFFFFFFF


@cache
def program(target: str = "") -> Path:
    """The driver, compiled once a session: with the sanitizers for this machine, or static for a target of zig."""
    out = Path(tempfile.mkdtemp(prefix="edgebit-text-")) / "driver"
    runtime = data_dir("runtime_c")
    sources = [Path(__file__).with_name("text_driver.c"), *sorted((runtime / "text").glob("*.c"))]
    flags = [*WARNINGS, f"-I{runtime}", f"-I{runtime / 'include'}"]
    if target:
        chain = (sys.executable, "-m", "ziglang", "cc", "-target", target, "-O2", "-static")
    else:
        chain = (*compiler(), *sanitizers(), "-O1", "-g")
    subprocess.run([*chain, *flags, *map(str, sources), "-o", str(out)], check=True)
    return out


class Failed(AssertionError):
    """The C function answered with a negative status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


class Driver:
    """One table; target and emulator: another machine than this one."""

    def __init__(self, table: bytes, target: str = "", emulator: str = "") -> None:
        self.table = table
        self.target = target
        self.emulator = [emulator] if emulator else []

    def call(self, requests: bytes) -> bytes:
        """The answers to a batch of requests."""
        with tempfile.NamedTemporaryFile(suffix=".ebtx") as f:
            f.write(self.table)
            f.flush()
            done = subprocess.run(
                [*self.emulator, str(program(self.target)), f.name], input=requests, capture_output=True
            )
        assert done.returncode == 0, (done.returncode, done.stderr.decode(errors="replace")[-3000:])
        (status,) = struct.unpack("<i", done.stdout[:4])
        if status:
            raise Failed(status)
        return done.stdout[4:]

    def encode_raw(
        self, texts: Sequence[bytes], flags: int = START, room: int | None = None, scratch: int = ALL
    ) -> list[tuple[int, list[int]]]:
        """(status, ids) of each text."""
        request = b"".join(
            b"E" + struct.pack("<4I", flags, 4 * len(t) + 8 if room is None else room, scratch, len(t)) + t
            for t in texts
        )
        answer, at, found = self.call(request), 0, []
        for _ in texts:
            status, count = struct.unpack_from("<iI", answer, at)
            found.append((status, list(struct.unpack_from(f"<{count}I", answer, at + 8))))
            at += 8 + 4 * count
        assert at == len(answer)
        return found

    def encode(self, texts: Iterable[str | bytes], flags: int = START) -> list[list[int]]:
        """The ids of each text."""
        raw = [t.encode() if isinstance(t, str) else t for t in texts]
        found = self.encode_raw(raw, flags)
        for status, _ in found:
            if status:
                raise Failed(status)
        return [ids for _, ids in found]

    def decode_pieces(self, ids: Sequence[Sequence[int]], flags: int = 0) -> list[list[bytes]]:
        """What each push and the final flush wrote, for each list of ids."""
        request = b"".join(b"D" + struct.pack(f"<{2 + len(i)}I", flags, len(i), *i) for i in ids)
        answer, at, found = self.call(request), 0, []
        for one in ids:
            pieces = []
            for _ in range(len(one) + 1):
                (n,) = struct.unpack_from("<i", answer, at)
                if n < 0:
                    raise Failed(n)
                pieces.append(answer[at + 4 : at + 4 + n])
                at += 4 + n
            found.append(pieces)
        assert at == len(answer)
        return found

    def decode(self, ids: Sequence[Sequence[int]], flags: int = 0) -> list[str]:
        """The text of each list of ids; every piece must be whole characters."""
        return ["".join(p.decode() for p in pieces) for pieces in self.decode_pieces(ids, flags)]

    def stop(self, stops: Sequence[bytes], chunks: Sequence[bytes]) -> tuple[list[bytes], bool]:
        """What each chunk and the final flush let through, and whether a stop string was met."""
        request = b"S" + struct.pack("<I", len(stops))
        request += b"".join(struct.pack("<I", len(s)) + s for s in stops) + struct.pack("<I", len(chunks))
        request += b"".join(struct.pack("<I", len(c)) + c for c in chunks)
        answer, at, pieces = self.call(request), 0, []
        for _ in range(len(chunks) + 1):
            (n,) = struct.unpack_from("<i", answer, at)
            if n < 0:
                raise Failed(n)
            pieces.append(answer[at + 4 : at + 4 + n])
            at += 4 + n
        return pieces, bool(struct.unpack_from("<I", answer, at)[0])

    def prompt(self, steps: Sequence[tuple[int, int, bytes]]) -> list[int]:
        """The ids of a prompt put together of parts (0, part), texts (1, trim, text), tokens (2, id), the prefix (3, 0)."""
        request = b"P" + struct.pack("<I", len(steps))
        request += b"".join(struct.pack("<3I", what, value, len(t)) + t for what, value, t in steps)
        answer = self.call(request)
        status, count = struct.unpack_from("<iI", answer)
        if status:
            raise Failed(status)
        return list(struct.unpack_from(f"<{count}I", answer, 8))

    def sample(
        self, logits: Array, how: Sampling, history: Sequence[int] = (), seed: int = 0, times: int = 1
    ) -> list[int]:
        """Tokens drawn one after another from the same logits."""
        v = np.ascontiguousarray(logits, np.float32)
        request = b"M" + struct.pack(
            "<4fIQ3I", how.temperature, how.top_p, how.min_p, how.repetition_penalty, how.top_k, seed, len(v),
            len(history), times,
        )  # fmt: skip
        request += v.tobytes() + struct.pack(f"<{len(history)}I", *history)
        return list(struct.unpack(f"<{times}i", self.call(request)))

    def random(self, seed: int, count: int) -> list[int]:
        """Numbers of the generator."""
        return list(struct.unpack(f"<{count}I", self.call(b"R" + struct.pack("<2I", seed, count))))

    def special(self, name: str) -> int:
        """The id of a special token, or NONE."""
        raw = name.encode()
        (found,) = struct.unpack("<I", self.call(b"N" + struct.pack("<I", len(raw)) + raw))
        return int(found)
