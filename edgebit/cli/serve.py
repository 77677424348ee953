"""edgebit serve."""

from __future__ import annotations

import json as json_text
import sys
from pathlib import Path
from typing import Annotated

import typer

from edgebit.bench.folder import newest_export
from edgebit.bench.language_model import open_language_model, require_chat
from edgebit.cli import _options as o
from edgebit.cli._output import JsonFlag, Output
from edgebit.decoder.sampling import Sampling
from edgebit.errors import UsageError


def command(
    path: o.Dir = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 127.0.0.1 is this machine alone.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port to listen on; 0 takes any that is free.", min=0, max=65535)
    ] = 8080,
    waiting: Annotated[
        int,
        typer.Option(help="Requests that may wait while one is answered; more get 503.", min=0, max=10000),
    ] = 8,
    threads: o.Threads = None,
    context: o.Positions = None,
    temperature: Annotated[
        float, typer.Option(help="Where a request says none; 0 takes the likeliest.")
    ] = 0.0,
    top_k: o.TopK = 0,
    top_p: o.TopP = 1.0,
    min_p: o.MinP = 0.0,
    repetition_penalty: o.RepetitionPenalty = 1.0,
    seed: Annotated[
        int | None,
        typer.Option(help="Where a request says none \\[another each time].", min=0, show_default=False),
    ] = None,
    force: o.Force = False,
    toolchain: o.Tool = None,
    json: JsonFlag = False,
) -> None:
    """Serve a language model over HTTP, to clients of OpenAI's API.

    Compiles the model of an export folder into a library, loads it, and answers POST /v1/chat/completions (whole, or
    streamed), GET /v1/models and GET /health until Ctrl-C. One request is answered at a time. What a prompt has in common
    with the one before is not taken in again. Needs: pip install 'edgebit\\[serve]'

    With --json the address comes as one JSON object as soon as the server listens.

    Example: edgebit serve build/model-host --port 8080

    Then: curl http://127.0.0.1:8080/v1/chat/completions -H 'Content-Type: application/json' -d '{"model": "model",
    "messages": [{"role": "user", "content": "Hello"}]}'
    """
    try:
        from edgebit.serve.app import Service, hosts_of
        from edgebit.serve.engine import Engine
        from edgebit.serve.library import LanguageModel
        from edgebit.serve.server import listen, run, url_of
    except ImportError as e:
        raise UsageError(f"edgebit serve needs {e.name}; run: pip install 'edgebit[serve]'") from None

    output = Output(json)
    sampling = Sampling(temperature, top_k, top_p, min_p, repetition_penalty)
    folder = open_language_model(path or newest_export(Path("build"), None))
    require_chat(folder)
    with listen(host, port) as s:
        with output.progress() as bar:
            task = bar.add_task("building", total=None)
            model = LanguageModel.open(
                folder,
                context=context,
                threads=threads,
                force=force,
                toolchain=toolchain,
                progress=lambda words: bar.update(task, description=words),
            )
        engine = Engine(model, waiting)
        try:
            if not model.has_chat:
                raise UsageError(
                    f"{folder.path}: the model came without a chat template, which serving needs; "
                    "edgebit run goes on from a text"
                )
            hosts = hosts_of(host)
            if hosts is None:
                output.notes.print(
                    f"warning: {host} is reached by other machines, and whoever reaches it may use the model: "
                    "there is no password",
                    style="bold yellow",
                    markup=False,
                    soft_wrap=True,
                )
            output.notes.print(
                f"{folder.name} at {url_of(s)}, {model.context} tokens of context; Ctrl-C ends this",
                markup=False,
            )
            if json:
                sys.stdout.write(
                    json_text.dumps({"url": url_of(s), "name": folder.name, "context": model.context}) + "\n"
                )
                sys.stdout.flush()
            created = int(folder.weights.stat().st_mtime)
            say = lambda words: output.notes.print(words, markup=False, soft_wrap=True)  # noqa: E731
            run(Service(engine, folder.name, created, sampling, seed, hosts, say), s)
        finally:
            engine.close()
