"""How fast a language model's Linux program takes a prompt in and adds tokens, measured where it runs."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgebit.bench.language_model import LanguageModelFolder, command_line
from edgebit.bench.language_program import run_program
from edgebit.errors import ModelError, UsageError

PROMPT, TOKENS = 128, 32
_RATES = {"prefill": "prefill_tokens_per_second", "decode": "decode_tokens_per_second"}


@dataclass(frozen=True)
class Rate:
    """Tokens a second of a phase: the median of some runs, the slowest and the fastest. measured."""

    phase: str
    tokens: int
    median: float
    slowest: float
    fastest: float


@dataclass(frozen=True)
class Speed:
    """weight_bytes_per_token: what decoding a token reads. throttled: what a Raspberry Pi's firmware says of its
    supply and temperature after the last run, in hex; None where nothing is known."""

    where: str
    threads: int
    runs: int
    rates: tuple[Rate, ...]
    weight_bytes_per_token: int
    kv_bytes_per_position: int
    throttled: str | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"metric": "tokens a second, measured"}


def measure_speed(
    folder: LanguageModelFolder,
    *,
    runs: int,
    threads: int | None = None,
    toolchain: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Speed:
    """Run the program on a prompt of random tokens, `runs` times. threads None: as many as it takes by itself.

    PROMPT tokens in and TOKENS out, or half the context and what is left of it. progress: told of runs that are done.
    """
    m = folder.manifest
    spec = m.get("spec")
    context, vocab = m.get("context"), spec.get("vocab") if isinstance(spec, dict) else None
    if type(context) is not int or type(vocab) is not int or context < 1 or vocab < 1:
        raise ModelError(f"{folder.path}: a damaged export folder; export the model again")
    prompt = max(1, min(PROMPT, context // 2))
    tokens = min(TOKENS, context - prompt + 1)
    if tokens < 2:
        raise UsageError(f"{folder.path}: a context of {context} positions has no room for a measurement")
    command, where = command_line(folder, toolchain=toolchain)
    ids = np.random.default_rng(1).integers(0, vocab, prompt)
    command += ["--prompt-ids", " ".join(map(str, ids)), "--tokens", str(tokens), "--go-on", "--json"]
    command += ["--threads", str(threads)] if threads is not None else []
    found = []
    for n in range(runs):
        found.append(json.loads(run_program(command, folder.name)))
        if progress is not None:
            progress(n + 1)
    rates = []
    for phase, key in _RATES.items():
        values = [f[key] for f in found]
        count = prompt if phase == "prefill" else tokens - 1
        rates.append(Rate(phase, count, statistics.median(values), min(values), max(values)))
    last = found[-1]
    return Speed(
        where,
        int(last["threads"]),
        runs,
        tuple(rates),
        int(last["weight_bytes_per_token"]),
        int(last["kv_bytes_per_position"]),
        last["throttled"],
    )
