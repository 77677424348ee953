"""What edgebit inspect says of a language model: its size, and what decoding reads, board by board."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from edgebit.board import list_boards, load_board
from edgebit.cli._output import Output, count
from edgebit.importers.base import load_decoder

ESTIMATE = "estimate"


def inspect_language_model(
    output: Output,
    model: Path,
    board: str | None,
    *,
    context: int | None,
    kv: str,
    head: str,
    acts: str,
    **reading: Any,
) -> None:
    """Print tables and the JSON object. board: that one, else all boards whose memory bandwidth is known.

    reading: the options of edgebit.importers.base.load_decoder. Rates are what the bandwidth allows, never more
    than an estimate: nothing runs.
    """
    exporter: Any = importlib.import_module("edgebit.exporters.decoder_traffic")
    with output.progress() as bar:
        bar.add_task("reading", total=None)
        decoder = load_decoder(str(model), **reading)
        names = [board] if board else [n for n in list_boards() if load_board(n).memory_bandwidth]
        found = [exporter.traffic(decoder, n, context=context, kv=kv, matrix=head, acts=acts) for n in names]
    spec = decoder.spec
    sizes = exporter.parameters(spec)
    for note in decoder.notes:
        output.say(note)
    output.table(
        f"{spec.name}: a language model of {spec.layers} layers",
        ["what", "value"],
        [
            ["parameters", count(sizes["total"])],
            ["of them ternary weights", count(sizes["ternary"])],
            ["of them embedding and head", count(sizes["embedding_and_head"])],
            ["vocabulary", count(spec.vocab)],
            ["width, inner width", f"{count(spec.width)}, {count(spec.ffn)}"],
            ["heads, of keys and values, size", f"{spec.heads}, {spec.kv_heads}, {spec.head_dim}"],
            ["trained context", count(spec.max_context)],
            ["tokenizer", "with the model" if decoder.tokenizer else "none"],
        ],
        right={1},
    )
    boards = [_board(name, t) for name, t in zip(names, found, strict=True)]
    output.table(
        f"decoding, {kv} keys and values, {head} head",
        [
            "board",
            "bits a weight",
            "MB a token",
            "kB of KV a position",
            "tokens/s",
            "at position",
            "GB/s assumed",
        ],
        [_row(b) for b in boards],
        right={1, 2, 3, 4, 5, 6},
    )
    output.say(
        " from memory bandwidth alone, not measured; arithmetic may take longer, in small models it does",
        head=f"tokens/s: {ESTIMATE}",
    )
    for b in boards:
        if b["estimate"]:
            output.say(f": {b['estimate']['bandwidth_source']}", head=f"{b['board']}, bandwidth")
    output.result(
        {
            "name": spec.name,
            "kind": "decoder",
            "parameters": sizes,
            "precision": {"kv": kv, "head": head},
            "boards": boards,
            "notes": list(decoder.notes),
        }
    )


def _board(name: str, t: Any) -> dict[str, Any]:
    reads = load_board(name).memory_bandwidth
    last = t.plan.context - 1
    estimate = None
    if reads is not None:
        estimate = {
            "kind": ESTIMATE,
            "bandwidth_bytes_per_second": reads.bytes_per_second,
            "bandwidth_source": reads.source,
            "tokens_per_second": t.tokens_per_second(reads.bytes_per_second, 0),
            "tokens_per_second_at_last_position": t.tokens_per_second(reads.bytes_per_second, last),
        }
    return {
        "board": name,
        "layout": t.plan.layout,
        "bits_per_weight": t.bits_per_weight,
        "bytes_per_token": t.bytes_per_token,
        "kv_bytes_per_position": t.plan.kv_bytes_per_position,
        "context": t.plan.context,
        "estimate": estimate,
    }


def _row(b: dict[str, Any]) -> list[str]:
    e = b["estimate"]
    rates = ["unknown", "", ""]
    if e is not None:
        first, last = e["tokens_per_second"], e["tokens_per_second_at_last_position"]
        rates = [
            f"{first:,.1f} to {last:,.1f}",
            f"0 to {count(b['context'] - 1)}",
            f"{e['bandwidth_bytes_per_second'] / 1e9:.1f}",
        ]
    return [
        b["board"],
        f"{b['bits_per_weight']:.2f}",
        f"{b['bytes_per_token'] / 1e6:,.2f}",
        f"{b['kv_bytes_per_position'] / 1e3:,.2f}",
        *rates,
    ]
