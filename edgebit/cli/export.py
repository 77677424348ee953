"""edgebit export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgebit.bench.language_model import LanguageModelFolder
from edgebit.board import check_core, resolve_target
from edgebit.cli import _options as o
from edgebit.cli._output import JsonFlag, Output, count
from edgebit.cli._tables import fit_table, print_account
from edgebit.importers.base import is_decoder
from edgebit.plan.account import FitRow, FitTable
from edgebit.workflow import export_language_model, export_model, prepare_model


def command(
    model: o.Model,
    target: Annotated[str, typer.Option("--target", "-t", help="A board (pico, rpi5, ...) or a core.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder to write [build/NAME-TARGET].", show_default=False),
    ] = None,
    core: Annotated[
        str | None,
        typer.Option(help="Which core of a board that has several kinds \\[the first].", show_default=False),
    ] = None,
    activations: o.Activations = "as-trained",
    calibration: o.Calibration = None,
    batch: o.Batch = 1,
    vectors: o.Vectors = None,
    limit: o.Limit = None,
    optimize: o.Optimize = "balanced",
    context: o.Context = None,
    kv: o.Kv = "f16",
    head: o.Head = "int8",
    acts: o.Acts = "int8",
    masters: o.Masters = None,
    activation: o.Activation = None,
    act_quant: o.ActQuant = None,
    weight_scale: o.WeightScale = None,
    i2_s: o.I2S = "128",
    golden: Annotated[
        bool, typer.Option(help="Language models: run the reference, for a certificate.")
    ] = True,
    packages: Annotated[
        list[str] | None,
        typer.Option(
            "--as",
            help="Also pack the C library for a build system: cmake, arduino, zephyr or platformio; may be repeated.",
            show_default=False,
        ),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Compile a trained model to a folder of static C.

    Chooses kernels, weight layouts and every memory address for the target, shows whether it fits, and
    writes C sources, packed weights, golden vectors and a report. The same input gives the same bytes.

    Example: edgebit export examples/digits/digits.onnx --target pico --vectors examples/digits/test.npz --limit 4
    """
    output = Output(json)
    resolve_target(target)
    if core is not None:
        check_core(target, core)
    with output.progress() as bar:
        task = bar.add_task("starting", total=None)

        def say(text: str) -> None:
            bar.update(task, description=text)

        if is_decoder(model):
            reading = {
                "masters": masters,
                "activation": activation,
                "act_quant": act_quant,
                "weight_scale": weight_scale,
                "i2_s": i2_s,
            }
            exported = export_language_model(
                str(model),
                target,
                out,
                context=context,
                kv=kv,
                head=head,
                acts=acts,
                optimize=optimize,
                golden=golden,
                say=say,
                **reading,
            )
            _language_model(output, exported)
            return
        prepared = prepare_model(
            model, activations=activations, calibration=calibration, batch=batch, say=say
        )
        folder, plan = export_model(
            prepared,
            target,
            out,
            vectors=vectors,
            limit=limit,
            optimize=optimize,
            packages=packages or (),
            say=say,
        )
    m = folder.manifest
    fit_table(output, plan)
    output.say(
        f": {len(m['layers'])} layers, {count(sum(r['macs'] for r in m['layers']))} MACs, "
        f"weights {count(m['weights_bytes'])} B, arena {count(m['arena_bytes'])} B "
        f"(lower bound {count(m['arena_lower_bound'])} B)",
        head=str(folder.path),
    )
    output.say(f"certificate {m['certificate']}")
    keys = [
        "name",
        "target",
        "board",
        "core",
        "flash_bytes",
        "weights_bytes",
        "arena_bytes",
        "scratch_bytes",
        "stack_bytes",
        "arena_lower_bound",
        "state_bytes",
        "model_id",
        "certificate",
        "layers",
        "fit",
    ]
    output.result({k: m[k] for k in keys} | {"path": str(folder.path)})


def _language_model(output: Output, folder: LanguageModelFolder) -> None:
    """What was exported, in a few lines."""
    m = folder.manifest
    w = m["weights"]
    for note in m["notes"]:
        output.say(note)
    output.say(
        f": {count(w['count'])} ternary weights at {w['bits_per_weight']:.2f} bits, {w['bytes_per_token'] / 1e6:,.1f} MB "
        f"of weights read a token, {m['kv_bytes_per_position'] / 1e3:,.1f} kB of keys and values a position, "
        f"context {m['context']}",
        head=str(folder.path),
    )
    if "fit" in m:
        fit = m["fit"]
        rows = tuple(FitRow(**row) for row in fit["rows"])
        print_account(output, FitTable(fit["title"], rows, fit["totals"], {}, fit["measured"]))
    output.say(_proof(m))
    keys = (
        "name",
        "target",
        "board",
        "core",
        "model_id",
        "certificate",
        "context",
        "kernels",
        "layout",
        "weights",
    )
    more = {k: m[k] for k in ("fit", "arena_bytes") if k in m}
    output.result({k: m[k] for k in keys} | more | {"path": str(folder.path), "notes": m["notes"]})


def _proof(m: dict[str, Any]) -> str:
    """The certificate, and what of the model the reference has computed under it."""
    if m["certificate"] is None:
        return (
            "certificate none: exported without golden runs, so edgebit verify has nothing to compare this model's program "
            "with; export it again without --no-golden"
        )
    ran = [f"{len(g['prompt'])} + {len(g['tokens'])}" for g in m["golden"]]
    return (
        f"certificate {m['certificate']}: the reference computed {' and '.join(ran)} tokens (prompt + what follows) with the "
        "whole model; edgebit verify compares every layer, every logit and every token of them with the program"
    )
