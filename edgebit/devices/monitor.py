"""What comes out of a board, told apart: frames of the link, lines of text that other firmware prints, and bytes."""

from __future__ import annotations

from dataclasses import dataclass

from edgebit.devices.link import REPLY, STATUS_TEXT, Frame, Hello, Kind
from edgebit.errors import LinkError

_LONGEST = 1 << 12


@dataclass(frozen=True)
class Event:
    """One thing that arrived. kind: "frame", "text" or "bytes"; frame is there when it is one."""

    kind: str
    text: str
    frame: Frame | None = None


class Splitter:
    """Takes bytes as they arrive and gives events; what is not complete yet waits for more."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes: frames end with a zero byte, text with a line feed."""
        self._pending += data
        events: list[Event] = []
        while True:
            ends = [i for i in (self._pending.find(0), self._pending.find(10)) if i >= 0]
            # A line feed may be a byte of a frame: only text before it makes it the end of a line.
            if len(ends) == 2 and not _is_text(bytes(self._pending[: min(ends)])):
                ends = [self._pending.find(0)]
            if not ends:
                break
            end = min(ends)
            part, closing = bytes(self._pending[:end]), self._pending[end]
            if closing == 10 and not _is_text(part):
                break  # a frame whose zero has not come yet
            del self._pending[: end + 1]
            if part:
                events.append(self._event(part))
        if len(self._pending) > _LONGEST:
            events += self.rest()
        return events

    def rest(self) -> list[Event]:
        """What is left when nothing more will come."""
        part = bytes(self._pending)
        self._pending.clear()
        return [self._event(part)] if part else []

    def _event(self, part: bytes) -> Event:
        frame = Frame.decode(part)
        if frame is not None:
            return Event("frame", self._describe(frame), frame)
        if _is_text(part):
            return Event("text", part.decode("utf-8", "replace").rstrip("\r"))
        return Event("bytes", part[:64].hex(" ") + (f" ... ({len(part)} bytes)" if len(part) > 64 else ""))

    def _describe(self, frame: Frame) -> str:
        number = frame.kind & ~REPLY
        name = Kind(number).name if number in list(Kind) else f"kind {number}"
        if not frame.kind & REPLY:
            return f"{name} request {frame.seq}"
        if frame.status:
            return f"{name} refused: {STATUS_TEXT.get(frame.status, f'status {frame.status}')}"
        if number == Kind.HELLO:
            try:
                h = Hello.parse(frame.model_id, frame.payload, self._where)
            except LinkError as e:
                return str(e)
            return f"{h.board}: model {h.model_name!r} ({h.model_id}), image {h.image_id}, {h.layers} layers, arena {h.arena_bytes} B"
        return f"{name} reply, {len(frame.payload)} bytes"


def _is_text(data: bytes) -> bool:
    """Whether a stretch of bytes is something a person would read."""
    return bool(data) and all(c in (9, 13, 27) or 32 <= c < 127 or c >= 128 for c in data) and _decodes(data)


def _decodes(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
