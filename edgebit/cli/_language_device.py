"""What `edgebit run` does with a language model on a microcontroller."""

from __future__ import annotations

import codecs
import json
import statistics
import sys
from contextlib import ExitStack
from typing import Any

from edgebit.bench.language_device import LanguageDevice, connect_language_model
from edgebit.bench.language_model import LanguageModelFolder
from edgebit.cli._output import Output, count
from edgebit.devices.own_counter import MEASURED
from edgebit.errors import UsageError


def run_on_device(
    output: Output,
    folder: LanguageModelFolder,
    prompt: str | None,
    prompt_ids: str | None,
    tokens: int,
    drawing: dict[str, Any],
    where: dict[str, Any],
) -> None:
    """Stream what the board writes to stdout; what a token costs, where it is counted, to stderr."""
    emulated = where["emulate"] is not None
    with ExitStack() as opened:
        with output.progress() as bar:
            bar.add_task("building", total=None)
            device = opened.enter_context(connect_language_model(folder, count=emulated, **where))
        found = _generate(device, prompt, prompt_ids, tokens, drawing, show=not output.as_json)
        title = device.device.title
        metric = device.device.counter.metric if device.device.counter is not None else None
    costs: list[int] = found.pop("costs")
    clock = folder.board.clock_hz
    if costs:
        found["cost_per_token"], found["metric"] = round(statistics.mean(costs)), metric
        words = f"{count(len(costs))} tokens, {count(found['cost_per_token'])} {metric} a token"
        kind = {
            "modelled cycles": " (estimated, flash waits excluded)",
            MEASURED: " (without choosing and sending tokens)",
        }
        if clock and metric in kind:
            rate = clock / found["cost_per_token"]
            words += f", {rate:.2f} tokens/s at {clock / 1e6:.0f} MHz{kind[metric]}"
        if not output.as_json:
            sys.stderr.write(words + "\n")
    output.result(
        {"name": folder.name, "where": title, "kind": "emulated" if emulated else "measured"} | found
    )


def _generate(
    device: LanguageDevice,
    prompt: str | None,
    prompt_ids: str | None,
    tokens: int,
    drawing: dict[str, Any],
    *,
    show: bool,
) -> dict[str, Any]:
    device.reset()
    device.settings(**drawing)
    if prompt is not None:
        device.prompt_text(prompt)
    else:
        device.prompt_ids(_ids(str(prompt_ids)))
    first = device.count
    words = codecs.getincrementaldecoder("utf-8")("replace")
    made: list[int] = []
    text: list[str] = []
    costs: list[int] = []
    for drawn in device.generate(tokens):
        made.append(drawn.token)
        cost = sum(n for _, n in device.cycles())
        costs += [cost] if cost else []
        text.append(words.decode(drawn.text))
        if show:
            sys.stdout.write(text[-1] if prompt is not None else f"{' ' * (len(made) > 1)}{drawn.token}")
            sys.stdout.flush()
    if show:
        sys.stdout.write("\n")
    return {"tokens": made, "prompt_tokens": first, "text": "".join(text), "costs": costs}


def bench_on_device(
    output: Output, folder: LanguageModelFolder, emulate: str | None, toolchain: str | None
) -> None:
    """What one token costs, layer by layer, counted in the emulated board: the last one of a golden prompt."""
    board = folder.board
    if emulate is None:
        raise UsageError(
            f"layers of a language model are counted in an emulated {board.title} only: use --emulate"
        )
    golden = folder.manifest["golden"]
    prompt = (golden[0]["prompt"] if golden else []) or [0]
    with output.progress() as bar:
        bar.add_task(f"measuring {folder.name}", total=None)
        with connect_language_model(folder, emulate=emulate, toolchain=toolchain, count=True) as device:
            device.reset()
            device.prompt_ids(prompt)
            list(device.generate(1))
            costs, counter, title = device.cycles(), device.device.counter, device.device.title
    if counter is None or not costs:
        raise UsageError(f"{title} counts nothing; choose another emulator, e.g. --emulate=unicorn")
    layers = len(costs) - 3
    names = [*(f"layer {n}" for n in range(layers)), "last normalisation", "head", "choice of a token"]
    total = sum(cost for _, cost in costs)
    rows = [[name, count(cost), f"{cost / total:.1%}"] for name, (_, cost) in zip(names, costs, strict=True)]
    rows.append(["total", count(total), ""])
    where = f"{folder.name} on {title}: a token at position {len(prompt) - 1}"
    output.table(where, ["part", counter.metric, "share"], rows, right={1, 2})
    if board.clock_hz and counter.metric == "modelled cycles":
        output.say(
            f"at {board.clock_hz / 1e6:.0f} MHz that is {total / board.clock_hz * 1e3:.0f} ms, estimated, flash waits "
            "excluded"
        )
    output.result(
        {
            "name": folder.name,
            "board": board.name,
            "metric": counter.metric,
            "position": len(prompt) - 1,
            "per_token": total,
            "parts": [{"name": name, "value": cost} for name, (_, cost) in zip(names, costs, strict=True)],
        }
    )


def _ids(text: str) -> list[int]:
    try:
        return [int(word) for word in text.replace(",", " ").split()]
    except ValueError:
        raise UsageError(f'--prompt-ids {json.dumps(text)}: tokens are numbers, as in "1 2 3"') from None
