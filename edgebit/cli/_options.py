"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgebit.bench.folder import ExportFolder, newest_export, open_export
from edgebit.board import list_boards
from edgebit.errors import UsageError

Model = Annotated[Path, typer.Argument(help="The trained model, e.g. model.onnx.", show_default=False)]
Activations = Annotated[
    str,
    typer.Option(
        help="[bold]as-trained[/]: what the model file says. [bold]int8-static[/]: fixed scales from "
        "--calibration. [bold]int8-dynamic[/]: a scale per token or image, found at run time."
    ),
]
Calibration = Annotated[
    Path | None,
    typer.Option(help="Inputs (.npz) to find the scales of int8-static from.", show_default=False),
]
Batch = Annotated[int, typer.Option(help="What a dynamic batch dimension becomes.")]
Optimize = Annotated[
    str,
    typer.Option(
        help="Which kernels to take: speed (cheapest that fit), size (fewest bytes of weights) or balanced (least cost "
        "times flash of the program)."
    ),
]
Dir = Annotated[
    Path | None,
    typer.Argument(
        help="An export folder; default: the newest under ./build for the board.", show_default=False
    ),
]
BoardName = Annotated[str | None, typer.Option("--board", "-b", help="Board name; see: edgebit boards.")]
Port = Annotated[
    str | None, typer.Option(help="Serial port or socket://host:port of the board.", show_default=False)
]
Host = Annotated[
    str | None,
    typer.Option(
        help="\\[USER@]HOST of a Linux board that the export was flashed to: run what lies there.",
        show_default=False,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; touch nothing.")]
Emulate = Annotated[
    str | None,
    typer.Option(
        "--emulate",
        help="Run on the emulated board instead of a real one. Also [bold]--emulate=qemu[/].",
        show_default=False,
    ),
]
Vectors = Annotated[
    Path | None, typer.Option(help="Inputs (.npz), first dimension counting vectors.", show_default=False)
]
Limit = Annotated[int | None, typer.Option(help="Use only the first N vectors.", min=1, show_default=False)]
Tool = Annotated[str | None, typer.Option("--toolchain", help="zig (default) or gcc.", show_default=False)]

Context = Annotated[
    int | None,
    typer.Option(
        help="Language models: positions there may be \\[the model's, at most 4096 and what fits].",
        show_default=False,
    ),
]
Kv = Annotated[str, typer.Option(help="Language models: keys and values as f32, f16 or int8.")]
Head = Annotated[
    str, typer.Option(help="Language models: embedding and head as int8, int4, or as in the source (source).")
]
Acts = Annotated[
    str,
    typer.Option(
        help="Language models trained with float activations: inputs of projections as int8 for every 128 of them, or f32."
    ),
]
Masters = Annotated[
    str | None,
    typer.Option(help="Language models: quantise float masters by absmean or sign.", show_default=False),
]
Activation = Annotated[
    str | None,
    typer.Option(help="Language models: silu or relu2, where the file does not say.", show_default=False),
]
ActQuant = Annotated[
    str | None,
    typer.Option(
        help="Language models: inputs of projections were trained as int8 (token) or float (none).",
        show_default=False,
    ),
]
WeightScale = Annotated[
    str | None,
    typer.Option(
        help="Language models: a packed checkpoint's weight_scale is there to multiply or to divide.",
        show_default=False,
    ),
]
I2S = Annotated[
    str,
    typer.Option(
        "--i2-s",
        help="GGUF: I2_S in blocks of 128, of 64 (quantised on ARM), or rows4 (four interleaved rows).",
    ),
]

Threads = Annotated[
    int | None, typer.Option(help="Threads \\[one for each processor].", min=1, show_default=False)
]
Positions = Annotated[
    int | None,
    typer.Option("--context", help="Positions to set memory aside for.", min=1, show_default=False),
]
Temperature = Annotated[float, typer.Option(help="0 takes the most likely token.", min=0.0)]
TopK = Annotated[int, typer.Option(help="Of the k most likely; 0 of all.", min=0)]
TopP = Annotated[float, typer.Option(help="Of the most likely that have this share.")]
MinP = Annotated[float, typer.Option(help="Of those at least this likely, against the likeliest.")]
RepetitionPenalty = Annotated[float, typer.Option(help="Above 1 tells tokens already there off.")]
Seed = Annotated[int, typer.Option(help="Of the drawing.", min=0, max=2**31 - 1)]
Force = Annotated[bool, typer.Option("--force", help="Run even if memory is short.")]

Driver = Annotated[
    str | None,
    typer.Option(
        "--with",
        help="platformio: let PlatformIO drive it (of an export --as platformio).",
        show_default=False,
    ),
]


def drawing(**how: float) -> list[str]:
    """Options that tell a language model's program how to draw tokens: temperature, top_k, ..., seed."""
    return [a for name, value in how.items() for a in (f"--{name.replace('_', '-')}", str(value))]


def linux_host(host: str | None, port: str | None) -> str | None:
    """The host that --host, or --port ssh://HOST, names."""
    if port is None or (host is None and port.startswith("ssh://")):
        return host or port
    raise UsageError(f"--port {port}: a language model on a Linux board is reached with --host [USER@]HOST")


def by_platformio(driver: str | None) -> bool:
    """Whether --with names PlatformIO, the only driver there is."""
    if driver not in (None, "platformio"):
        raise UsageError(f"--with {driver}: choose platformio, or leave it out")
    return driver is not None


def find_export(path: Path | None, board: str | None) -> ExportFolder:
    """The export a verb works on: the one named, or the newest for the board under ./build."""
    if path is None:
        return open_export(newest_export(Path("build"), board))
    if path.name in list_boards() and not path.exists():
        raise UsageError(f"{path}: no such folder; to choose a board say --board {path}")
    return open_export(path)
