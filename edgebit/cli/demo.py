"""edgebit demo."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Annotated, Any

import typer

from edgebit.bench.linked import linked_account
from edgebit.bench.measure import measure
from edgebit.bench.report import write_report
from edgebit.bench.session import connect
from edgebit.bench.verify import golden, verify
from edgebit.board import load_board
from edgebit.cli._output import JsonFlag, Output, count
from edgebit.cli._tables import print_account
from edgebit.errors import MismatchError
from edgebit.resources import data_dir
from edgebit.toolchain.build import build_export
from edgebit.workflow import export_model, prepare_model

VECTORS = 8


def command(
    example: Annotated[str, typer.Argument(help="digits or gesture.")] = "digits",
    boards: Annotated[str, typer.Option(help="Boards to run it on, separated by commas.")] = "pico,rpi5",
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for what is made.")] = Path("build"),
    json: JsonFlag = False,
) -> None:
    """From a trained ternary network to a proven emulated board, in one command and without hardware.

    Compiles the example to C, links it into board firmware, boots that firmware in an emulator, feeds it
    real test inputs over the device link, and proves every layer's bytes equal to the host's.
    """
    output = Output(json)
    root = data_dir("examples") / example
    if not (root / f"{example}.onnx").is_file():
        from edgebit.errors import UsageError

        known = sorted(
            p.parent.name for p in data_dir("examples").glob("*/*.onnx") if p.stem == p.parent.name
        )
        raise UsageError(f"no example named {example!r}; there are: {', '.join(known)}")
    names = [b.strip() for b in boards.split(",")]
    for name in names:
        load_board(name)
    prepared = prepare_model(root / f"{example}.onnx")
    accuracy = jsonlib.loads((root / "accuracy.json").read_text())
    output.say(
        f": test accuracy {accuracy[example]:.2%} ternary, {accuracy[example + '_float']:.2%} the same net in float",
        head=example,
    )
    results: list[dict[str, Any]] = []
    certificates = set()
    for board in names:
        result = _one(output, prepared, board, out / f"{example}-{board}", root / "test.npz")
        results.append(result)
        certificates.add(result["certificate"])
    if len(certificates) != 1:
        raise MismatchError(f"the boards have different certificates: {', '.join(sorted(certificates))}")
    output.say(f"\none certificate for all: {certificates.pop()}")
    output.result({"example": example, "results": results})


def _one(output: Output, prepared: Any, board: str, out: Path, vectors: Path) -> dict[str, Any]:
    output.say("", head=f"\n{board}")
    with output.progress() as bar:
        task = bar.add_task("exporting", total=None)
        folder, _ = export_model(
            prepared,
            board,
            out,
            vectors=vectors,
            limit=VECTORS,
            say=lambda s: bar.update(task, description=s),
        )
        bar.update(task, description=f"building for {board}")
        built = build_export(folder.path)
    print_account(output, linked_account(folder, built))
    with output.progress() as bar:
        task = bar.add_task("booting", total=None)
        emulate = next(iter(folder.board().emulators), None)
        with connect(folder, emulate=emulate) as device:
            bar.update(task, description=f"verifying on {device.title}")
            cases = golden(folder)
            verdict = verify(folder, device.link, cases)
            title = device.title
        if not verdict.bit_exact:
            raise MismatchError(f"{title} differs from the reference", details=verdict.to_dict())
        bar.update(task, description="counting")
        with connect(folder, emulate=emulate, count=True) as device:
            cost = measure(folder, device, folder.vectors[0])
    output.say(f" on {verdict.vectors} vectors ({title})", head="bit-exact", good=True)
    output.table(
        f"cost of one inference, {cost.metric}",
        ["layer", "kernel", "MACs", cost.metric],
        [
            [r["name"], r["kernel"], count(r["macs"]) if r["macs"] else "", count(r["value"] or 0)]
            for r in cost.layers
        ]
        + [["total", "", count(sum(r["macs"] for r in cost.layers)), count(cost.per_inference)]],
        right={2, 3},
    )
    report = write_report(folder, verify=verdict.to_dict(), bench=cost.to_dict())
    output.say(f"report: {report}")
    return {
        "board": board,
        **verdict.to_dict(),
        "metric": cost.metric,
        "per_inference": cost.per_inference,
        "export": str(folder.path),
        "report": str(report),
    }
