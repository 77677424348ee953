"""edgebit flash."""

from __future__ import annotations

from typing import Annotated

import typer

from edgebit.cli import _options as o
from edgebit.cli._output import JsonFlag, Output
from edgebit.flash.base import choose_flasher
from edgebit.toolchain.build import build_export, current_build


def command(
    path: o.Dir = None,
    board: o.BoardName = None,
    emulate: o.Emulate = None,
    method: Annotated[
        str | None, typer.Option(help="Flash method, where a board has several.", show_default=False)
    ] = None,
    volume: Annotated[
        str | None, typer.Option(help="Mounted drive of the board, if it is not found.", show_default=False)
    ] = None,
    toolchain: o.Tool = None,
    dry_run: o.DryRun = False,
    json: JsonFlag = False,
) -> None:
    """Write an export's image to a board and see that it starts.

    Builds when needed. With --emulate the image boots in the emulated board and says who it is.
    """
    output = Output(json)
    folder = o.find_export(path, board)
    target = folder.board(board)
    flasher = choose_flasher(target, emulate=emulate, method=method)
    if dry_run:
        there = current_build(folder.path, toolchain=toolchain)
        steps = [f"build {folder.path}"] if there is None else []
        steps += flasher.steps(target, there, volume=volume)
        for s in steps:
            output.say(s)
        output.result({"board": target.name, "method": flasher.name, "steps": steps, "done": False})
        return
    with output.progress() as bar:
        task = bar.add_task(f"building {folder.path.name}", total=None)
        built = build_export(folder.path, toolchain=toolchain)
        bar.update(task, description=f"flashing {target.name}")
        done = flasher.run(
            target, built, volume=volume, emulate=emulate, model_id=folder.manifest["model_id"]
        )
    output.say(f": {done}", head="done", good=True)
    output.result(
        {
            "board": target.name,
            "method": flasher.name,
            "image_id": built.image_id,
            "model_id": folder.manifest["model_id"],
            "done": True,
        }
    )
