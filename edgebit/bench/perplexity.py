"""How well an exported language model predicts a text: its own program's logits, token after token.

The text is cut into windows of as many tokens as the program is given at once. Windows overlap by one token, so
every token but the first is predicted exactly once, from the tokens of its window before it.
"""

from __future__ import annotations

import math
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from edgebit.bench.language_model import LanguageModelFolder, command_line
from edgebit.bench.language_program import program_error, run_program
from edgebit.errors import ModelError, UsageError
from edgebit.ir.graph import Array

_MAX_VOCAB = 1 << 20
_MAX_ARGUMENT = 120_000  # bytes of one argument that Linux takes, with some to spare
_BLOCK = 8 << 20  # bytes of logits looked at together


@dataclass(frozen=True)
class Perplexity:
    """nats: minus the logarithm of the probability of all counted tokens; counted: how many those are; read: tokens
    the text has, those of the vocabulary's own included; text_bytes: of the text that the counted tokens stand for;
    window: tokens given to the program at once. where: the machine or the emulation."""

    nats: float
    counted: int
    read: int
    text_bytes: int
    window: int
    where: str

    @property
    def per_token(self) -> float:
        return math.exp(min(self.nats / self.counted, 700.0))

    @property
    def bits_per_byte(self) -> float | None:
        """None when the tokens stand for no text (special ones alone)."""
        return self.nats / math.log(2) / self.text_bytes if self.text_bytes else None

    @property
    def per_byte(self) -> float | None:
        bits = self.bits_per_byte
        return None if bits is None else 2.0 ** min(bits, 1000.0)


def read_text(path: Path) -> int:
    """Look whether a file is a text; its size in bytes. UsageError when it is no file, empty or not UTF-8."""
    if not path.is_file():
        raise UsageError(f"{path}: {'not a file' if path.exists() else 'there is no such file'}")
    raw = path.read_bytes()
    if not raw:
        raise UsageError(f"{path}: the file is empty")
    try:
        raw.decode()
    except UnicodeDecodeError as e:
        raise UsageError(f"{path}: not a UTF-8 text (byte {e.start} is 0x{raw[e.start]:02x})") from None
    return len(raw)


def measure_perplexity(
    folder: LanguageModelFolder,
    text: Path,
    *,
    limit: int | None = None,
    window: int | None = None,
    emulate: str | None = None,
    toolchain: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Perplexity:
    """Run the model's program over the text. limit: use only the first tokens; window: fewer than the context.

    UsageError for what is no text, or has fewer than two tokens; ModelError when the folder is damaged.
    """
    nbytes = read_text(text)
    m = folder.manifest
    vocab, context = _size(folder, m.get("spec"), "vocab", _MAX_VOCAB), _size(folder, m, "context", 1 << 24)
    if m.get("tokenizer") is not True:
        raise UsageError(f"{folder.path} was exported without a tokenizer, so it cannot read a text")
    if context < 2:
        raise UsageError(f"{folder.path} has a context of one token; export it again with a longer --context")
    size = context if window is None else window
    if not 2 <= size <= context:
        raise UsageError(f"--window {size}: the model was exported for 2 to {context} positions")
    say("building")
    command, where = command_line(folder, emulate=emulate, toolchain=toolchain)
    say("finding tokens")
    listed = run_program([*command, "--encode", str(text.resolve())], folder.name)
    ids, ends = _tokens(folder, listed, vocab)
    read = len(ids)
    ids = ids[:limit]
    if len(ids) < 2:
        which = f"{read} tokens" if limit is None or read < 2 else "--limit 1 leaves one token"
        raise UsageError(f"{text}: {which}; to predict one from another takes two")
    nats = 0.0
    for start in range(0, len(ids) - 1, size - 1):
        say(f"token {start} of {len(ids)}")
        nats += _window(folder, command, ids[start : start + size], vocab)
    last = (
        nbytes if len(ids) == read else ends[len(ids) - 1]
    )  # tokens may show less than the text they stand for
    return Perplexity(nats, len(ids) - 1, read, last - ends[0], size, where)


def _size(folder: LanguageModelFolder, record: object, key: str, most: int) -> int:
    found = record.get(key) if isinstance(record, dict) else None
    if type(found) is not int or not 1 <= found <= most:
        raise ModelError(f"{folder.path}: a damaged export folder (its {key}); export the model again")
    return found


def _tokens(folder: LanguageModelFolder, listed: str, vocab: int) -> tuple[list[int], list[int]]:
    """Tokens, and bytes of text up to the end of each."""
    try:
        pairs = [(int(i), int(e)) for i, e in (line.split() for line in listed.splitlines())]
    except ValueError:
        pairs = [(-1, 0)]
    if any(not 0 <= i < vocab for i, _ in pairs):
        raise ModelError(
            f"{folder.path}: its program lists tokens of another vocabulary; export the model again"
        )
    return [i for i, _ in pairs], [e for _, e in pairs]


def _window(folder: LanguageModelFolder, command: Sequence[str], ids: Sequence[int], vocab: int) -> float:
    """Nats of every token but the first. A window of the program: keys and values start empty."""
    given = " ".join(map(str, ids))
    if len(given) > _MAX_ARGUMENT:
        raise UsageError(
            f"a window of {len(ids)} tokens is too long for a command line; choose fewer with --window"
        )
    asked = [*command, "--prompt-ids", given, "--context", str(len(ids)), "--logits"]
    with tempfile.TemporaryFile() as words:
        with subprocess.Popen(
            asked, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=words
        ) as process:
            assert process.stdout is not None
            nats, rows = 0.0, 0
            try:
                for block in _rows(process.stdout, vocab):
                    wanted = np.asarray(ids[rows + 1 : rows + 1 + len(block)], np.int64)
                    nats += surprise(block[: len(wanted)], wanted)
                    rows += len(block)
            except BaseException:
                process.kill()
                raise
            code = process.wait()
        words.seek(0)
        if code:
            raise program_error(code, words.read().decode(errors="replace"), folder.name)
    if rows != len(ids):
        raise ModelError(f"{folder.path}: its program gave logits of another size; export the model again")
    if not math.isfinite(nats):
        raise ModelError(
            f"{folder.path}: the logits are not finite, so the weights are damaged; export it again"
        )
    return nats


def _rows(pipe: IO[bytes], vocab: int) -> Iterator[Array]:
    """Whole rows of (n, vocab) binary32 as they come."""
    step = max(1, _BLOCK // (4 * vocab)) * 4 * vocab
    while raw := pipe.read(step):
        whole = len(raw) // (4 * vocab)
        yield np.frombuffer(raw, "<f4", whole * vocab).reshape(whole, vocab)
        if whole * 4 * vocab != len(raw):
            return


def surprise(logits: Array, wanted: Array) -> float:
    """Sum over rows of -log softmax(logits)[wanted], in binary64. logits (n, vocab), wanted (n,)."""
    x = logits.astype(np.float64)
    largest = x.max(axis=1, initial=-np.inf)
    total = np.log(np.exp(x - largest[:, None]).sum(axis=1)) + largest
    return float((total - x[np.arange(len(wanted)), wanted]).sum())
