"""edgebit inspect."""

from __future__ import annotations

from edgebit.board import resolve_target
from edgebit.cli import _options as o
from edgebit.cli._inspect_language_model import inspect_language_model
from edgebit.cli._output import JsonFlag, Output, count
from edgebit.cli._tables import describe_layers, fit_table, plan_rows
from edgebit.importers.base import is_decoder
from edgebit.ir import model_id
from edgebit.workflow import plan_model, prepare_model


def command(
    model: o.Model,
    board: o.BoardName = None,
    activations: o.Activations = "as-trained",
    calibration: o.Calibration = None,
    batch: o.Batch = 1,
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
    json: JsonFlag = False,
) -> None:
    """Show what EdgeBit sees in a model: layers, weights, sparsity; with --board also kernels and fit.

    Of a language model: sizes, bytes read a token, and the rate a board's memory allows, an estimate.
    Nothing is written.
    """
    output = Output(json)
    if board is not None:
        resolve_target(board)
    if is_decoder(model):
        reading = {
            "masters": masters,
            "activation": activation,
            "act_quant": act_quant,
            "weight_scale": weight_scale,
            "i2_s": i2_s,
        }
        inspect_language_model(output, model, board, context=context, kv=kv, head=head, acts=acts, **reading)
        return
    prepared = prepare_model(model, activations=activations, calibration=calibration, batch=batch)
    graph = prepared.graph
    layers = describe_layers(graph)
    output.table(
        f"{graph.name}: {len(graph.nodes)} layers",
        ["#", "layer", "op", "output", "weights", "zeros", "MACs"],
        [
            [
                str(r["index"]),
                r["name"],
                r["op"],
                r["output"],
                r["weights"] or "",
                f"{r['sparsity']:.0%}" if r["sparsity"] is not None else "",
                count(r["macs"]) if r["macs"] else "",
            ]
            for r in layers
        ],
        right={0, 5, 6},
    )
    data: dict[str, object] = {
        "name": graph.name,
        "model_id": model_id(graph),
        "inputs": [{"name": i, "shape": list(graph.tensors[i].shape)} for i in graph.inputs],
        "outputs": [{"name": i, "shape": list(graph.tensors[i].shape)} for i in graph.outputs],
        "layers": layers,
    }
    if board is not None:
        plan = plan_model(prepared, board, optimize=optimize)
        rows = plan_rows(plan)
        output.table(
            f"kernels for {board} (prices: predicted {plan.core.metric})",
            ["#", "layer", "kernel", "price", "runner-up", "its price", "weights B"],
            [
                [
                    str(r["index"]),
                    r["name"],
                    r["kernel"],
                    count(r["cost"]),
                    r["runner_up"] or "",
                    count(r["runner_up_cost"]) if r["runner_up"] else "",
                    count(r["bytes"]),
                ]
                for r in rows
            ],
            right={0, 3, 5, 6},
        )
        fit_table(output, plan)
        data |= {"board": board, "plan": rows}
    output.result(data)
