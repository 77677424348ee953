"""What `edgebit bench` does with a language model for Linux."""

from __future__ import annotations

from edgebit.bench.language_model import LanguageModelFolder
from edgebit.bench.language_speed import measure_speed
from edgebit.cli._output import Output
from edgebit.errors import UsageError


def bench_on_linux(
    output: Output,
    folder: LanguageModelFolder,
    emulate: str | None,
    runs: int,
    threads: int | None,
    toolchain: str | None,
) -> None:
    """Tokens a second of prefill and decode, and the memory traffic that decoding stands for."""
    if emulate is not None:
        raise UsageError(
            "an emulator's times say nothing of the board; run edgebit bench on it, or look at the estimate of edgebit inspect"
        )
    with output.progress() as bar:
        task = bar.add_task(f"measuring {folder.name}", total=runs)
        found = measure_speed(
            folder,
            runs=runs,
            threads=threads,
            toolchain=toolchain,
            progress=lambda n: bar.update(task, completed=n),
        )
    rows = [
        [r.phase, str(r.tokens), f"{r.median:,.1f}", f"{r.slowest:,.1f} .. {r.fastest:,.1f}"]
        for r in found.rates
    ]
    title = f"{folder.name} on {found.where}, {found.threads} threads, {found.runs} runs"
    output.table(title, ["phase", "tokens", "tokens/s, measured", "spread"], rows, right={1, 2, 3})
    decode = found.rates[-1].median
    output.say(
        f"a token reads {found.weight_bytes_per_token / 1e6:,.1f} MB of weights: decoding reads "
        f"{found.weight_bytes_per_token * decode / 1e9:,.2f} GB/s of them"
    )
    if found.throttled not in (None, "0x0"):
        output.notes.print(
            f"warning: the board holds its processor back, or has ({found.throttled}, as vcgencmd get_throttled); its "
            "rates say little of the model",
            style="bold yellow",
        )
    output.result({"name": folder.name, "board": folder.board.name} | found.to_dict())
