"""edgebit run."""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import Annotated

import typer

from edgebit.bench.folder import newest_export
from edgebit.bench.language_model import command_line, open_language_model
from edgebit.bench.language_program import run_program, with_options
from edgebit.cli import _options as o
from edgebit.cli._language_device import run_on_device
from edgebit.cli._output import JsonFlag, Output
from edgebit.errors import UsageError


def command(
    path: o.Dir = None,
    prompt: Annotated[
        str | None, typer.Option("--prompt", "-p", help="Text to start from.", show_default=False)
    ] = None,
    prompt_ids: Annotated[
        str | None, typer.Option(help='Tokens to start from, e.g. "1 15043".', show_default=False)
    ] = None,
    tokens: Annotated[int, typer.Option("--tokens", "-n", help="How many tokens to add.", min=0)] = 64,
    threads: o.Threads = None,
    context: o.Positions = None,
    temperature: o.Temperature = 0.0,
    top_k: o.TopK = 0,
    top_p: o.TopP = 1.0,
    min_p: o.MinP = 0.0,
    repetition_penalty: o.RepetitionPenalty = 1.0,
    seed: o.Seed = 0,
    force: o.Force = False,
    board: o.BoardName = None,
    emulate: o.Emulate = None,
    port: o.Port = None,
    host: o.Host = None,
    toolchain: o.Tool = None,
    json: JsonFlag = False,
) -> None:
    """Let a language model go on from a prompt.

    Starts the program of an export folder, the one that runs on the board by itself, and streams what it writes; its
    rates go to stderr. --emulate runs a Linux board's program under QEMU, where rates mean nothing, and a
    microcontroller's on the emulated board, where its cycles are counted. --host runs what was flashed to a Linux board.

    Example: edgebit run build/model-host --prompt "Once upon a time"
    """
    output = Output(json)
    folder = open_language_model(path or newest_export(Path("build"), board), board)
    drawing = {
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "min_p": min_p,
        "repetition_penalty": repetition_penalty,
        "seed": seed,
    }
    if (prompt is None) == (prompt_ids is None):
        raise UsageError('give a prompt: --prompt "text", or --prompt-ids "1 2 3"')
    if folder.board.core.is_cortex_m:
        if threads is not None or context is not None or force or host is not None:
            raise UsageError(
                f"{folder.path} is for the {folder.board.title}: --threads, --context, --force and --host are for Linux "
                "boards"
            )
        device = {"emulate": emulate, "port": port, "toolchain": toolchain}
        run_on_device(output, folder, prompt, prompt_ids, tokens, drawing, device)
        return
    host = o.linux_host(host, port)
    with output.progress() as bar:
        bar.add_task("building" if host is None else f"asking {host}", total=None)
        start, where = command_line(folder, emulate=emulate, toolchain=toolchain, host=host)
    asked = ["--prompt", prompt] if prompt is not None else ["--prompt-ids", str(prompt_ids)]
    asked += ["--tokens", str(tokens), *o.drawing(**drawing)]
    asked += ["--threads", str(threads)] if threads is not None else []
    asked += ["--context", str(context)] if context is not None else []
    asked += ["--force"] if force else []
    if not json:
        run_program(with_options(start, asked, host), folder.name, show=True, host=host)
        return
    found = json_text.loads(
        run_program(with_options(start, [*asked, "--json"], host), folder.name, host=host)
    )
    output.result(
        {"name": folder.name, "where": where, "kind": "measured" if emulate is None else "emulated"} | found
    )
