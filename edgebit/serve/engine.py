"""One model, one answer being written at a time, the others waiting in a line that has an end."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from edgebit.decoder.sampling import Sampling
from edgebit.errors import EdgebitError
from edgebit.ir.graph import Array
from edgebit.serve.library import End, LanguageModel


class Busy(Exception):
    """So many requests wait already that no more may."""


@dataclass(frozen=True)
class Wish:
    """What a request wants: tokens of the prompt (n,), how to draw, what ends the answer. tokens None: as many as
    there is room for. seed None: another one each time."""

    ids: Array
    sampling: Sampling
    seed: int | None = None
    tokens: int | None = None
    stops: tuple[str, ...] = ()


@dataclass(frozen=True)
class Piece:
    """Text as it comes; the last piece of an answer says how it ended: "stop" or "length"."""

    text: str
    finish: str | None = None


@dataclass
class Answer:
    """An answer under way. kept: tokens of the prompt that were there from the request before; made: tokens drawn, one
    that ends the answer included."""

    wish: Wish
    kept: int = 0
    made: int = 0
    cancelled: threading.Event = field(default_factory=threading.Event)
    _pieces: asyncio.Queue[Piece | EdgebitError | None] = field(default_factory=asyncio.Queue)
    _leave_line: Callable[[], None] = lambda: None

    def cancel(self) -> None:
        """Nobody wants it any more: it ends soon, and at once if it has not begun. In the event loop."""
        self.cancelled.set()
        self._leave_line()

    async def pieces(self) -> AsyncIterator[Piece]:
        """Pieces as they come. What goes wrong in the model is raised here; nothing more after `cancelled`."""
        while True:
            piece = await self._pieces.get()
            if piece is None:
                return
            if isinstance(piece, EdgebitError):
                raise piece
            yield piece


class Engine:
    """Writes answers, one after the other, in a thread of its own. waiting: requests that may wait for their turn."""

    def __init__(self, model: LanguageModel, waiting: int) -> None:
        self.model = model
        self._most = waiting + 1
        self._there = 0
        self._stopped = threading.Event()
        self._thread = ThreadPoolExecutor(1, "edgebit-model")

    def submit(self, wish: Wish) -> Answer:
        """Put a request in line; called in the event loop. Busy when the line is full."""
        if self._there >= self._most:
            raise Busy
        loop = asyncio.get_running_loop()
        answer = Answer(wish)

        def tell(piece: Piece | EdgebitError | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody listens any more
                loop.call_soon_threadsafe(answer._pieces.put_nowait, piece)

        def work() -> None:
            try:
                for piece in self._write(answer):
                    tell(piece)
            except EdgebitError as e:
                tell(e)
            except Exception as e:  # so that the client hears of it and the next one is served
                tell(EdgebitError(f"internal error: {type(e).__name__}: {e}. This is a bug in EdgeBit"))
            finally:
                tell(None)
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(self._leave)

        future = self._thread.submit(work)
        self._there += 1

        def leave_line() -> None:
            if not future.cancelled() and future.cancel():
                self._leave()
                answer._pieces.put_nowait(None)

        answer._leave_line = leave_line
        return answer

    def _leave(self) -> None:
        self._there -= 1

    def _write(self, answer: Answer) -> Iterator[Piece]:
        """Pieces, until the answer has ended or nobody wants it any more. In the model's thread."""
        model, wish = self.model, answer.wish

        def unwanted() -> bool:
            return answer.cancelled.is_set() or self._stopped.is_set()

        if unwanted():
            return
        seed = secrets.randbits(63) if wish.seed is None else wish.seed
        answer.kept = model.begin(wish.ids, wish.sampling, seed=seed, stops=wish.stops)
        while model.step():
            if unwanted():
                return
        while not unwanted():
            text, end = model.draw()
            answer.made += 1
            if end == End.ON and answer.made != wish.tokens:
                if text:
                    yield Piece(text)
                model.step()
                continue
            rest, stopped = model.end()
            yield Piece(text + rest, "stop" if stopped or end == End.STOP else "length")
            return

    def stop(self) -> None:
        """End the answer under way and those waiting, soon."""
        self._stopped.set()

    def close(self) -> None:
        """Stop, wait for the thread, and give the model back."""
        self.stop()
        self._thread.shutdown(wait=True, cancel_futures=True)
        self.model.close()
