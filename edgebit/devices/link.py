"""The host's end of the link protocol (runtime_c/include/edgebit/eb_link.h describes frames and requests).

One request is under way at a time. A request without a reply is sent again with the same sequence number;
the device then repeats its reply instead of acting twice.
"""

from __future__ import annotations

import struct
import time
import zlib
from dataclasses import dataclass
from enum import IntEnum
from types import TracebackType

from cobs import cobs

from edgebit.devices.transport import Transport
from edgebit.errors import LinkError, UsageError, WrongBoardError

VERSION = 1
PAYLOAD_MAX = 512
REPLY = 0x80
_HEADER = struct.Struct("<BBBb8sHHII")
_HELLO = struct.Struct("<HH16sHHHHI")


UNKNOWN = (1 << 64) - 1
"""Cycles of a layer that are more than a device's counter can tell."""


class Kind(IntEnum):
    """Requests."""

    HELLO = 1
    WRITE = 2
    RUN = 3
    READ = 4
    HASHES = 5
    SEGMENT = 6
    RESET = 7
    CYCLES = 8


STATUS_MODEL = -2
STATUS_NOT_FINITE = -6  # an eb_status, not one of the link
STATUS_TEXT = {
    -1: "it does not know this kind of request",
    STATUS_MODEL: "it holds another model",
    -3: "index, offset or length is out of range",
    -4: "it speaks another version of the protocol",
    -5: "its model has no such entry",
    -6: "its model could not be initialised",
    -7: "its last run was not asked to hash layers",
}


@dataclass(frozen=True)
class Frame:
    """One decoded frame; field meanings are those of eb_link.h."""

    kind: int
    seq: int
    model_id: bytes
    index: int = 0
    offset: int = 0
    arg: int = 0
    payload: bytes = b""
    status: int = 0
    entry: int = 0
    version: int = VERSION

    def encode(self) -> bytes:
        """The bytes on the wire, with the closing zero."""
        head = _HEADER.pack(
            self.version,
            self.kind,
            self.seq,
            self.status,
            self.model_id,
            self.entry,
            self.index,
            self.offset,
            self.arg,
        )
        body = head + self.payload
        return bytes(cobs.encode(body + struct.pack("<I", zlib.crc32(body)))) + b"\0"

    @classmethod
    def decode(cls, wire: bytes) -> Frame | None:
        """A frame from the bytes between two zeros; None when they are not an intact frame."""
        try:
            raw = bytes(cobs.decode(wire))
        except cobs.DecodeError:
            return None
        if not _HEADER.size + 4 <= len(raw) <= _HEADER.size + PAYLOAD_MAX + 4:
            return None
        body, crc = raw[:-4], raw[-4:]
        if struct.pack("<I", zlib.crc32(body)) != crc:
            return None
        version, kind, seq, status, model_id, entry, index, offset, arg = _HEADER.unpack_from(body)
        payload = body[_HEADER.size :]
        return cls(kind, seq, model_id, index, offset, arg, payload, status, entry, version)


@dataclass(frozen=True)
class Hello:
    """What a device says about itself. model_id and image_id are in hex, 16 and 32 digits."""

    protocol: int
    max_payload: int
    model_id: str
    image_id: str
    inputs: int
    outputs: int
    layers: int
    segments: int
    arena_bytes: int
    board: str
    model_name: str
    cycle_source: str

    @classmethod
    def parse(cls, model_id: bytes, payload: bytes, where: str) -> Hello:
        try:
            proto, max_payload, image, n_in, n_out, layers, segments, arena = _HELLO.unpack_from(payload)
            at, texts = _HELLO.size, []
            for _ in range(3):
                size = payload[at]
                text = payload[at + 1 : at + 1 + size]
                if len(text) != size:
                    raise IndexError
                texts.append(text.decode("utf-8", "replace"))
                at += 1 + size
        except (struct.error, IndexError):
            raise LinkError(f"{where}: the greeting of the device cannot be read; is it EdgeBit's?") from None
        return cls(
            proto, max_payload, model_id.hex(), image.hex(), n_in, n_out, layers, segments, arena, *texts
        )


class Link:
    """Talks to the bench application on a device.

    model_id (in hex: the whole certificate or its first 16 digits), image_id (32 hex digits) and board are
    what the device is expected to hold; None takes whatever is there. timeout: seconds to wait for a reply before the request
    is sent again; retries: how often it is sent again. A run may take run_timeout seconds and is not repeated
    earlier.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        model_id: str | None = None,
        image_id: str | None = None,
        board: str | None = None,
        timeout: float = 2.0,
        retries: int = 3,
        run_timeout: float = 60.0,
    ) -> None:
        self.transport = transport
        self.timeout = timeout
        self.retries = retries
        self.run_timeout = run_timeout
        self.greeting: Hello | None = None
        self._expected = None if model_id is None else model_id[:16].lower()
        self._image = None if image_id is None else image_id.lower()
        self._board = board
        self._model_id = bytes(8)
        self._seq = 0
        self._pending = bytearray()

    @property
    def where(self) -> str:
        return self.transport.where

    # Requests

    def hello(self) -> Hello:
        """Greet the device; WrongBoardError when it is not what was expected."""
        self._pending.clear()
        self._model_id = bytes(8)
        self.transport.write(b"\0")  # ends whatever a broken-off session left in the device's buffer
        reply = self._ask(Kind.HELLO)
        got = Hello.parse(reply.model_id, reply.payload, self.where)
        if got.protocol != VERSION:
            raise WrongBoardError(
                f"{self.where} speaks protocol {got.protocol}, this is version {VERSION}; flash it again"
            )
        if self._board is not None and got.board != self._board:
            raise WrongBoardError(f"{self.where} is a {got.board!r}, not a {self._board!r}")
        if self._expected is not None and got.model_id != self._expected:
            raise WrongBoardError(
                f"{self.where} holds model {got.model_name!r} ({got.model_id}), not {self._expected}; "
                "flash it first"
            )
        if self._image is not None and got.image_id != self._image:
            raise WrongBoardError(
                f"{self.where} runs image {got.image_id}, not {self._image}; flash it again"
            )
        self._model_id = reply.model_id
        self.greeting = got
        return got

    def write_input(self, index: int, data: bytes) -> None:
        """Fill (the start of) an input."""
        for at in range(0, len(data), PAYLOAD_MAX):
            self._ask(Kind.WRITE, index=index, offset=at, payload=data[at : at + PAYLOAD_MAX])

    def run(self, hash_layers: bool = False) -> None:
        """Run once; UsageError when the model refuses its inputs."""
        reply = self._ask(Kind.RUN, arg=int(hash_layers), timeout=max(self.timeout, self.run_timeout))
        self._check(reply, "run")

    def call(self, entry: int, *, offset: int = 0, hash_layers: bool = False) -> tuple[int, bytes]:
        """Run one entry of a model that has several; its status and what it answers."""
        reply = self._ask(
            Kind.RUN,
            entry=entry,
            offset=offset,
            arg=int(hash_layers),
            timeout=max(self.timeout, self.run_timeout),
        )
        return reply.arg - (1 << 32) if reply.arg >> 31 else reply.arg, reply.payload

    def read_output(self, index: int, size: int | None = None) -> bytes:
        """A whole output; `size` bytes, when that is known, saves asking for it."""
        total = self._ask(Kind.READ, index=index).arg if size is None else size
        out = bytearray()
        while len(out) < total:
            want = min(PAYLOAD_MAX, total - len(out))
            part = self._ask(Kind.READ, index=index, offset=len(out), arg=want).payload
            if len(part) != want:
                raise LinkError(f"{self.where}: asked for {want} bytes of output {index}, got {len(part)}")
            out += part
        return bytes(out)

    def hashes(self, count: int | None = None) -> list[int]:
        """CRC-32 of every layer's output in the last run, which must have been asked to hash.

        count: how many layers there should be; LinkError when the device has another number.
        """
        out: list[int] = []
        while True:
            reply = self._ask(Kind.HASHES, offset=len(out))
            if count is not None and reply.arg != count:
                raise LinkError(f"{self.where} has {reply.arg} layers, not {count}; flash it again")
            size = len(reply.payload) // 4 * 4
            out += struct.unpack(f"<{size // 4}I", reply.payload[:size])
            if len(out) >= reply.arg:
                return out
            if not size:
                raise LinkError(f"{self.where}: layer hashes stop at {len(out)} of {reply.arg}")

    def segment_crc(self, index: int) -> int:
        """CRC-32 of a segment of the weights, computed by the device from its own memory."""
        return self._ask(Kind.SEGMENT, index=index, timeout=max(self.timeout, self.run_timeout)).arg

    def reset(self) -> None:
        """Set the model's state back to the start."""
        self._check(self._ask(Kind.RESET), "reset")

    def cycles(self) -> list[int]:
        """Cycles of each layer of the last run as the device counted them, UNKNOWN where they are more than its counter
        can tell; empty when it has no counter."""
        out: list[int] = []
        while True:
            reply = self._ask(Kind.CYCLES, offset=len(out))
            size = len(reply.payload) // 8 * 8
            out += struct.unpack(f"<{size // 8}Q", reply.payload[:size])
            if not size or len(out) >= reply.arg:
                return out

    def close(self) -> None:
        self.transport.close()

    def __enter__(self) -> Link:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self, reply: Frame, what: str) -> None:
        """Raise what an eb_status (runtime_c/include/edgebit/eb_status.h) other than EB_OK means."""
        status = reply.arg - (1 << 32) if reply.arg >> 31 else reply.arg
        if status == STATUS_NOT_FINITE:
            raise UsageError(f"{self.where}: an input holds NaN or infinity, which the model refuses")
        if status != 0:
            raise LinkError(f"{self.where}: the model failed to {what}: status {status} (see eb_status.h)")

    # Frames

    def _ask(
        self,
        kind: Kind,
        *,
        index: int = 0,
        offset: int = 0,
        arg: int = 0,
        payload: bytes = b"",
        entry: int = 0,
        timeout: float | None = None,
    ) -> Frame:
        self._seq = (self._seq + 1) & 0xFF
        frame = Frame(kind, self._seq, self._model_id, index, offset, arg, payload, entry=entry)
        wire = frame.encode()
        wait = self.timeout if timeout is None else timeout
        for _ in range(self.retries + 1):
            self.transport.write(wire)
            reply = self._receive(frame, time.monotonic() + wait)
            if reply is not None:
                break
        else:
            raise LinkError(
                f"{self.where} is silent: no reply to {kind.name} after {self.retries + 1} attempts of "
                f"{wait:g} s; is it powered, flashed and wired (TX to RX)?"
            )
        if reply.status == STATUS_MODEL:
            raise WrongBoardError(
                f"{self.where} holds model {reply.model_id.hex()}, not {self._model_id.hex()}; flash it first"
            )
        if reply.status != 0:
            why = STATUS_TEXT.get(reply.status, f"status {reply.status}")
            raise LinkError(f"{self.where} refused {kind.name} (index {index}, offset {offset}): {why}")
        return reply

    def _receive(self, request: Frame, deadline: float) -> Frame | None:
        """The reply to `request`; noise and stale replies are passed over. None when the time is up."""
        while True:
            while (end := self._pending.find(0)) >= 0:
                wire = bytes(self._pending[:end])
                del self._pending[: end + 1]
                frame = Frame.decode(wire) if wire else None
                if (
                    frame is not None
                    and frame.kind == request.kind | REPLY
                    and frame.seq == request.seq
                    and frame.version == VERSION
                ):
                    return frame
            left = deadline - time.monotonic()
            data = self.transport.read(left) if left > 0 else b""
            if not data:
                return None
            self._pending += data
            if len(self._pending) > 1 << 16 and 0 not in self._pending:
                self._pending.clear()  # an endless stream without frames: not our application
