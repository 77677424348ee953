"""The library of an exported language model in this process; runtime_c/decoder/library/library.c says what it does.

with LanguageModel.open(open_language_model(path)) as model:
    ids = model.prompt(["Be kind.", "Hello"], system=True)
    model.begin(ids, Sampling(), seed=0)
    while model.step():
        pass
    text, end = model.draw()
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from cffi import FFI

from edgebit.bench.language_model import LanguageModelFolder
from edgebit.bench.language_program import program_error
from edgebit.decoder.sampling import Sampling
from edgebit.errors import ModelError, ToolchainError, UsageError, WrongBoardError
from edgebit.ir.graph import Array
from edgebit.resources import data_dir
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


def _declarations() -> str:
    """The library's C declarations, and of the sampler's the settings that they name."""
    runtime = data_dir("runtime_c")
    sampler = (runtime / "text" / "sample.h").read_text(encoding="utf-8")
    settings: str
    [settings] = re.findall(r"typedef struct \{[^}]*\} eb_sampling;", sampler)
    header = (runtime / "decoder" / "library" / "library.h").read_text(encoding="utf-8")
    return settings + re.sub(r"^#.*$", "", header, flags=re.MULTILINE)


_ffi = FFI()
_ffi.cdef(_declarations())
_FUNCTIONS = (
    "unfit",
    "bytes",
    "open",
    "close",
    "about",
    "prompt_room",
    "prompt",
    "begin",
    "step",
    "draw",
    "end",
)


class LanguageModel:
    """One model, one answer at a time: begin, step, draw and end by one thread at a time; prompt by any.

    context: positions there are. has_chat, has_system: what the chat template knows.
    """

    def __init__(
        self, library: Path, name: str, weights: Path, context: int, threads: int, force: bool
    ) -> None:
        try:
            loaded = _ffi.dlopen(str(library))
        except OSError as e:
            raise ToolchainError(
                f"{library}: cannot be loaded into this Python ({e}); try another compiler with --toolchain"
            ) from e
        try:
            self._call: dict[str, Callable[..., Any]] = {f: getattr(loaded, f"eb_lm_{f}") for f in _FUNCTIONS}
        except AttributeError as e:
            raise ModelError(f"{library}: of another version of EdgeBit ({e}); export the model again") from e
        self._loaded = loaded
        unfit = self._call["unfit"]()
        if unfit != _ffi.NULL:
            raise WrongBoardError(_ffi.string(unfit).decode())
        size = int(self._call["bytes"]())
        self._memory = _ffi.new("char[]", size + 64)
        self._at = self._memory + -int(_ffi.cast("uintptr_t", self._memory)) % 64
        why = _ffi.new("char[]", 4608)
        code = self._call["open"](
            self._at, os.fsencode(weights), context, threads, int(force), why, _ffi.sizeof(why)
        )
        if code:
            raise program_error(code, _ffi.string(why).decode(errors="replace"), name)
        self._open = True
        facts = _ffi.new("eb_lm_facts *")
        self._call["about"](self._at, facts)
        self.context = int(facts.context)
        self.has_chat, self.has_system = facts.chat > 0, facts.chat > 1
        self.kv_bytes, self.weight_bytes = int(facts.kv_bytes), int(facts.weight_bytes)
        self.model_id = bytes(facts.model).hex()
        self._out = _ffi.new("char[]", facts.text_room)

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
        room = [_ffi.new("size_t *") for _ in range(3)]
        self._call["prompt_room"](self._at, sum(map(len, raw)), len(raw), *room)
        n_ids, n_text, n_scratch = (int(r[0]) for r in room)
        ids, count = _ffi.new("uint32_t[]", n_ids), _ffi.new("size_t *")
        kept = [_ffi.new("char[]", t) for t in raw]
        status = self._call["prompt"](
            self._at,
            _ffi.new("char *[]", kept),
            _ffi.new("size_t[]", [len(t) for t in raw]),
            len(raw),
            int(system),
            ids,
            n_ids,
            _ffi.new("char[]", n_text),
            n_text,
            _ffi.new("uint64_t[]", n_scratch // 8 + 1),
            n_scratch // 8 * 8 + 8,
            count,
        )
        if status == _CHARACTER:
            raise UsageError("a message has a character that the model's vocabulary lacks")
        if status < 0:
            raise UsageError(f"the messages cannot be turned into tokens (status {status})")
        return np.frombuffer(_ffi.buffer(ids, 4 * count[0]), np.uint32).astype(np.int32)

    def begin(self, ids: Array, how: Sampling, *, seed: int, stops: Sequence[str] = ()) -> int:
        """Begin an answer to a prompt of 1 to `context` tokens; how many of them are still taken in from before.

        stops: at most MAX_STOPS texts of MAX_STOP_BYTES together, none empty or with a zero byte, that end the answer.
        """
        if any("\0" in s for s in stops):
            raise UsageError("a stop string has a zero byte")
        given = np.ascontiguousarray(ids, np.int32)
        raw = b"".join(s.encode() + b"\0" for s in stops)
        top_p = max(how.top_p, LEAST_TOP_P)
        sampling = [how.temperature, top_p, how.min_p, how.repetition_penalty, how.top_k]
        kept = self._call["begin"](
            self._at,
            _ffi.from_buffer("int32_t[]", given),
            len(given),
            _ffi.new("eb_sampling *", sampling),
            seed % 2**64,
            raw,
            len(stops),
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
        end = _ffi.new("int32_t *")
        n = self._call["draw"](self._at, self._out, end)
        if n < 0:
            what = "the logits are not finite" if n == _NOT_FINITE else f"status {n}"
            raise ModelError(f"{what}: the weights are damaged; copy or export the model again")
        return self._text(n), End(end[0])

    def end(self) -> tuple[str, bool]:
        """The rest of the text, and whether that ended with a stop string after all."""
        end = _ffi.new("int32_t *")
        n = self._call["end"](self._at, self._out, end)
        return self._text(n), bool(end[0] == End.STOP)

    def _text(self, n: int) -> str:
        return bytes(_ffi.buffer(self._out, n)).decode()
