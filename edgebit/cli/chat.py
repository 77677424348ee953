"""edgebit chat."""

from __future__ import annotations

import json as json_text
import sys
from pathlib import Path
from typing import Annotated

import typer

from edgebit.bench.folder import newest_export
from edgebit.bench.language_model import command_line, open_language_model, require_chat
from edgebit.bench.language_program import chat_program, with_options
from edgebit.cli import _options as o
from edgebit.cli._output import JsonFlag, Output


def command(
    path: o.Dir = None,
    system: Annotated[
        str | None, typer.Option(help="What the model is told before the first message.", show_default=False)
    ] = None,
    stop: Annotated[
        list[str] | None,
        typer.Option(help="An answer ends before this text; may be given again.", show_default=False),
    ] = None,
    drop_oldest: Annotated[
        bool,
        typer.Option("--drop-oldest", help="When the context is full, forget the oldest messages and go on."),
    ] = False,
    tokens: Annotated[
        int | None,
        typer.Option(
            "--tokens",
            "-n",
            help="Tokens of an answer, at most \\[what there is room for].",
            min=1,
            show_default=False,
        ),
    ] = None,
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
    host: o.Host = None,
    toolchain: o.Tool = None,
    json: JsonFlag = False,
) -> None:
    """Talk with a language model.

    Starts the program of an export folder, the one that runs on the board by itself (there: add --chat). A line is a message. Ctrl-C ends an answer, not the chat; at the prompt a second Ctrl-C ends it, as Ctrl-D does. Only what is new is
    taken in: after each answer a line on stderr counts it. Messages may come from a pipe, too; with --json one JSON object
    lists the answers at the end.

    Example: edgebit chat build/model-host --system "Answer in one sentence."
    """
    output = Output(json)
    folder = open_language_model(path or newest_export(Path("build"), board), board)
    require_chat(folder)
    terminal = not json and sys.stdin.isatty() and sys.stdout.isatty()
    with output.progress() as bar:
        bar.add_task("building" if host is None else f"asking {host}", total=None)
        start, where = command_line(
            folder, emulate=emulate, toolchain=toolchain, host=host, terminal=terminal
        )
    drawing = {
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "min_p": min_p,
        "repetition_penalty": repetition_penalty,
        "seed": seed,
    }
    asked = ["--chat", *o.drawing(**drawing)]
    asked += ["--system", system] if system is not None else []
    asked += [a for s in stop or () for a in ("--stop", s)]
    asked += ["--drop-oldest"] if drop_oldest else []
    asked += ["--tokens", str(tokens)] if tokens is not None else []
    asked += ["--threads", str(threads)] if threads is not None else []
    asked += ["--context", str(context)] if context is not None else []
    asked += ["--force"] if force else []
    asked += ["--json"] if json else []
    said, failure = chat_program(
        with_options(start, asked, host), folder.name, show=not json, host=host, terminal=terminal
    )
    turns = [json_text.loads(line) for line in said.split("\n") if line.endswith("}")]
    if failure is not None:
        failure.details |= {"turns": turns} if json else {}
        raise failure
    kind = "measured" if emulate is None else "emulated"
    output.result({"name": folder.name, "where": where, "kind": kind, "turns": turns})
