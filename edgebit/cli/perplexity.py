"""edgebit perplexity."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgebit.bench.folder import newest_export
from edgebit.bench.language_model import open_language_model
from edgebit.bench.perplexity import measure_perplexity
from edgebit.cli import _options as o
from edgebit.cli._output import JsonFlag, Output, count


def command(
    path: o.Dir = None,
    text: Annotated[
        Path, typer.Option("--text", help="A UTF-8 text, as long as you like.", show_default=False)
    ] = ...,  # type: ignore[assignment]  # typer's way to say that there must be one
    limit: Annotated[
        int | None, typer.Option(help="Use only the first N tokens.", min=1, show_default=False)
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(help="Tokens given to the model at once \\[the exported context].", show_default=False),
    ] = None,
    emulate: o.Emulate = None,
    toolchain: o.Tool = None,
    json: JsonFlag = False,
) -> None:
    """Say how well an exported language model predicts a text.

    The folder's own program finds the tokens and computes the logits, with the precision it was exported with.
    Windows of the context overlap by one token: every token but the first counts, predicted from those before it.

    Example: edgebit perplexity build/model-host --text book.txt --limit 4096
    """
    output = Output(json)
    folder = open_language_model(path or newest_export(Path("build"), None))
    with output.progress() as bar:
        task = bar.add_task("starting", total=None)
        found = measure_perplexity(
            folder,
            text,
            limit=limit,
            window=window,
            emulate=emulate,
            toolchain=toolchain,
            say=lambda words: bar.update(task, description=words),
        )
    kept = folder.manifest.get("precision")
    kept = kept if isinstance(kept, dict) else {}
    precision = {
        "kv": str(kept.get("kv")),
        "head": str(kept.get("matrix")),
        "activations": str(kept.get("act")),
    }
    kind = "measured" if emulate is None else "emulated"
    rows = [
        ["perplexity a token", f"{found.per_token:.4f}"],
        ["perplexity a byte", "" if found.per_byte is None else f"{found.per_byte:.4f}"],
        ["bits a byte", "" if found.bits_per_byte is None else f"{found.bits_per_byte:.4f}"],
        ["tokens counted", f"{count(found.counted)} of {count(found.read)}"],
        ["bytes of text counted", count(found.text_bytes)],
        ["tokens in a window", count(found.window)],
        ["keys and values", precision["kv"]],
        ["embedding and head", precision["head"]],
    ]
    output.table(f"{folder.name} on {text.name}", ["figure", "value"], rows, right={1})
    output.say(f" on {found.where}; edgebit verify proves that a board has the same logits", head=kind)
    output.result(
        {
            "name": folder.name,
            "text": str(text),
            "kind": kind,
            "where": found.where,
            "perplexity": found.per_token,
            "perplexity_per_byte": found.per_byte,
            "bits_per_byte": found.bits_per_byte,
            "nats": found.nats,
            "tokens_counted": found.counted,
            "tokens_read": found.read,
            "bytes_counted": found.text_bytes,
            "window": found.window,
            "precision": precision,
        }
    )
