"""The library of an exported language model in this process; runtime_c/decoder/library/library.c says what it does.

with LanguageModel.open(open_language_model(path)) as model:
    ids = model.prompt(["Be kind.", "Hello"], system=True)
    model.begin(ids, Sampling(), seed=0)
    while model.step():
        pass
    text, end = model.draw()
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from edgebit.bench.language_model import LanguageModelFolder, program_error
from edgebit.decoder.sampling import Sampling
from edgebit.errors import ModelError, ToolchainError, UsageError, WrongBoardError
from edgebit.ir.graph import Array
from edgebit.toolchain.library import build_library

MAX_STOPS = 16
MAX_STOP_BYTES = 4096
LEAST_TOP_P = 2.0**-20
_CHARACTER, _NOT_FINITE = -23, -26


class End(IntEnum):
    """Whether an answer goes on after a token: it does; a token or string ended it; the context is full."""

    ON = 0
    STOP = 1
    FULL = 2


class _Facts(ctypes.Structure):
    _fields_ = [
        ("vocab", ctypes.c_int32),
        ("context", ctypes.c_int32),
        ("chat", ctypes.c_int32),
        ("text_room", ctypes.c_uint32),
        ("kv_bytes", ctypes.c_uint64),
        ("weight_bytes", ctypes.c_uint64),
        ("model", ctypes.c_uint8 * 32),
    ]


class _Sampling(ctypes.Structure):
    _fields_ = [
        ("temperature", ctypes.c_float),
        ("top_p", ctypes.c_float),
        ("min_p", ctypes.c_float),
        ("repetition_penalty", ctypes.c_float),
        ("top_k", ctypes.c_uint32),
    ]


_P, _I, _Z = ctypes.c_void_p, ctypes.c_int32, ctypes.c_size_t
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "unfit": (ctypes.c_char_p, []),
    "bytes": (_Z, []),
    "open": (_I, [_P, ctypes.c_char_p, _I, _I, _I, ctypes.c_char_p, _Z]),
    "close": (None, [_P]),
    "about": (None, [_P, ctypes.POINTER(_Facts)]),
    "prompt_room": (None, [_P, _Z, _I, *[ctypes.POINTER(_Z)] * 3]),
    "prompt": (_I, [_P, _P, _P, _I, _I, _P, _Z, _P, _Z, _P, _Z, ctypes.POINTER(_Z)]),
    "begin": (_I, [_P, _P, _I, ctypes.POINTER(_Sampling), ctypes.c_uint64, ctypes.c_char_p, _I]),
    "step": (_I, [_P]),
    "draw": (_I, [_P, ctypes.c_char_p, ctypes.POINTER(_I)]),
    "end": (_I, [_P, ctypes.c_char_p, ctypes.POINTER(_I)]),
}


class LanguageModel:
    """One model, one answer at a time: begin, step, draw and end by one thread at a time; prompt by any.

    context: positions there are. has_chat, has_system: what the chat template knows.
    """

    def __init__(
        self, library: Path, name: str, weights: Path, context: int, threads: int, force: bool
    ) -> None:
        try:
            loaded = ctypes.CDLL(str(library))
        except OSError as e:
            raise ToolchainError(
                f"{library}: cannot be loaded into this Python ({e}); try another compiler with --toolchain"
            ) from e
        try:
            self._call: dict[str, Callable[..., Any]] = {}
            for function, (result, arguments) in _FUNCTIONS.items():
                f = getattr(loaded, f"eb_lm_{function}")
                f.restype, f.argtypes = result, arguments
                self._call[function] = f
        except AttributeError as e:
            raise ModelError(f"{library}: of another version of EdgeBit ({e}); export the model again") from e
        unfit = self._call["unfit"]()
        if unfit is not None:
            raise WrongBoardError(unfit.decode())
        size = self._call["bytes"]()
        self._memory = ctypes.create_string_buffer(size + 64)
        self._at = -(-ctypes.addressof(self._memory) // 64) * 64
        why = ctypes.create_string_buffer(4608)
        code = self._call["open"](
            self._at, os.fsencode(weights), context, threads, int(force), why, ctypes.sizeof(why)
        )
        if code:
            raise program_error(code, why.value.decode(errors="replace"), name)
        self._open = True
        facts = _Facts()
        self._call["about"](self._at, ctypes.byref(facts))
        self.context = int(facts.context)
        self.has_chat, self.has_system = facts.chat > 0, facts.chat > 1
        self.kv_bytes, self.weight_bytes = int(facts.kv_bytes), int(facts.weight_bytes)
        self.model_id = bytes(facts.model).hex()
        self._out = ctypes.create_string_buffer(facts.text_room)

    @classmethod
    def open(
        cls,
        folder: LanguageModelFolder,
        *,
        context: int | None = None,
        threads: int | None = None,
        force: bool = False,
        toolchain: str | None = None,
        progress: Callable[[str], None] = lambda _: None,
    ) -> LanguageModel:
        """The model of an export folder, its library built if need be. An EdgebitError says why not."""
        if folder.board.core.is_cortex_m:
            raise UsageError(
                f"{folder.path} is for the {folder.board.title}, which does not serve; export the model for the host"
            )
        library = build_library(folder.path, toolchain=toolchain, progress=progress)
        if threads is None:
            threads = max(1, min(64, os.cpu_count() or 1))
        return cls(library, folder.name, folder.weights.resolve(), context or 0, threads, force)

    def close(self) -> None:
        """Give everything back; a second time does nothing."""
        if self._open:
            self._open = False
            self._call["close"](self._at)

    def __enter__(self) -> LanguageModel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def prompt(self, texts: Sequence[str], *, system: bool) -> Array:
        """The tokens (n,) int32 of a chat: a system text if `system`, then a user's and an answer by turns, a user's
        last. UsageError for a character that the vocabulary lacks."""
        raw = [t.encode() for t in texts]
        room = [_Z() for _ in range(3)]
        self._call["prompt_room"](self._at, sum(map(len, raw)), len(raw), *(ctypes.byref(r) for r in room))
        ids = np.empty(room[0].value, np.uint32)
        text = np.empty(room[1].value, np.uint8)
        scratch = np.empty(room[2].value // 8 + 1, np.uint64)
        count = _Z()
        status = self._call["prompt"](
            self._at,
            (ctypes.c_char_p * len(raw))(*raw),
            (_Z * len(raw))(*map(len, raw)),
            len(raw),
            int(system),
            ids.ctypes.data,
            ids.size,
            text.ctypes.data,
            text.size,
            scratch.ctypes.data,
            scratch.nbytes,
            ctypes.byref(count),
        )
        if status == _CHARACTER:
            raise UsageError("a message has a character that the model's vocabulary lacks")
        if status < 0:
            raise UsageError(f"the messages cannot be turned into tokens (status {status})")
        return ids[: count.value].astype(np.int32)

    def begin(self, ids: Array, how: Sampling, *, seed: int, stops: Sequence[str] = ()) -> int:
        """Begin an answer to a prompt of 1 to `context` tokens; how many of them are still taken in from before.

        stops: at most MAX_STOPS texts of MAX_STOP_BYTES together, none empty or with a zero byte, that end the answer.
        """
        if any("\0" in s for s in stops):
            raise UsageError("a stop string has a zero byte")
        given = np.ascontiguousarray(ids, np.int32)
        raw = b"".join(s.encode() + b"\0" for s in stops)
        sampling = _Sampling(
            how.temperature, max(how.top_p, LEAST_TOP_P), how.min_p, how.repetition_penalty, how.top_k
        )
        kept = self._call["begin"](
            self._at, given.ctypes.data, len(given), ctypes.byref(sampling), seed % 2**64, raw, len(stops)
        )
        if kept < 0:
            raise UsageError("the prompt or its stop strings are out of range")
        return int(kept)

    def step(self) -> int:
        """Take in the next tokens, some dozens at most; how many are left. ModelError when the weights are damaged."""
        left = int(self._call["step"](self._at))
        if left < 0:
            raise ModelError("activations overflow: the weights are damaged; copy or export the model again")
        return left

    def draw(self) -> tuple[str, End]:
        """The text that one more token completes, and whether the answer goes on; then step comes next."""
        end = _I()
        n = self._call["draw"](self._at, self._out, ctypes.byref(end))
        if n < 0:
            what = "the logits are not finite" if n == _NOT_FINITE else f"status {n}"
            raise ModelError(f"{what}: the weights are damaged; copy or export the model again")
        return self._text(n), End(end.value)

    def end(self) -> tuple[str, bool]:
        """The rest of the text, and whether that ended with a stop string after all."""
        end = _I()
        n = self._call["end"](self._at, self._out, ctypes.byref(end))
        return self._text(n), end.value == End.STOP

    def _text(self, n: int) -> str:
        return ctypes.string_at(self._out, n).decode()
