"""edgebit flash."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgebit.bench.folder import ExportFolder, newest_export
from edgebit.bench.language_model import LanguageModelFolder, is_language_model, open_language_model
from edgebit.bench.language_remote import roll_back
from edgebit.board import Board
from edgebit.cli import _options as o
from edgebit.cli._flash_language_model import flash_linux
from edgebit.cli._output import JsonFlag, Output
from edgebit.errors import UsageError
from edgebit.flash.base import Chosen, Flasher, answers_already, ask_before, choose_flasher
from edgebit.toolchain.build import build_export, current_build
from edgebit.toolchain.pio import run_platformio


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
    port: o.Port = None,
    probe: Annotated[
        str | None,
        typer.Option(help="Serial number of the debug probe, where there are several.", show_default=False),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(help="\\[USER@]HOST of a Raspberry Pi or other Linux board.", show_default=False),
    ] = None,
    service: Annotated[
        bool,
        typer.Option("--service", help="With --host: also install a systemd unit that runs the program."),
    ] = False,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="With --host: go back to the version that ran there before.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write even when the board already runs this image.")
    ] = False,
    toolchain: o.Tool = None,
    driver: o.Driver = None,
    dry_run: o.DryRun = False,
    json: JsonFlag = False,
) -> None:
    """Write an export's image to a board and see that it starts.

    Builds when needed, finds the board by what it says of itself (never by a guess), skips a board that already runs this
    image, and asks the board afterwards which model it holds. With --emulate the image boots in the emulated board.
    A Linux board keeps the version before: --rollback goes back to it, and again forth. A language model's weights are copied
    there once, and a golden prompt is run before the new version takes the place of the old.
    """
    output = Output(json)
    if rollback:
        if host is None or any(
            (path, board, emulate is not None, method, volume, port, probe, service, driver)
        ):
            raise UsageError(
                "--rollback takes --host [USER@]HOST and nothing else: it changes what runs there"
            )
        if dry_run:
            steps = [
                f"point the link `current` on {host} to the version before, and `previous` to the one that runs",
                "ask it for its model and image, or run a language model's golden prompt; if that fails, point them back",
            ]
            for s in steps:
                output.say(s)
            output.result({"host": host, "steps": steps, "done": False})
            return
        said = roll_back(host)
        output.say(f": {said}", head="done", good=True)
        output.result({"host": host, "said": said, "done": True})
        return
    folder, target = _export(path, board)
    chosen = Chosen(volume=volume, port=port, probe=probe, host=host, emulate=emulate, service=service)
    if isinstance(folder, LanguageModelFolder):
        if o.by_platformio(driver):
            raise UsageError(
                f"{folder.path}: language models are not packed for PlatformIO; leave out --with"
            )
        if not target.core.is_cortex_m:
            how = {"method": method, "toolchain": toolchain}
            flash_linux(output, folder, chosen, force=force, dry_run=dry_run, **how)
            return
    flasher = choose_flasher(target, emulate=emulate, method=method, chosen=chosen)
    real = emulate is None and target.uart is not None and not force
    by_platformio = isinstance(folder, ExportFolder) and o.by_platformio(driver)
    if dry_run:
        there = current_build(folder.path, toolchain=toolchain)
        steps = [f"run PlatformIO's upload of {folder.path}, which does this:"] if by_platformio else []
        steps += [f"build {folder.path}"] if there is None else []
        steps += ask_before(target, chosen) if real else []
        steps += flasher.steps(target, there, chosen)
        for s in steps:
            output.say(s)
        output.result({"board": target.name, "method": flasher.name, "steps": steps, "done": False})
        return
    if isinstance(folder, ExportFolder) and by_platformio:
        said = platformio_upload(output, folder, flasher, chosen, toolchain)
        output.result({"board": target.name, "method": "platformio", "said": said, "done": True})
        return
    with output.progress() as bar:
        task = bar.add_task(f"building {folder.path.name}", total=None)
        built = build_export(folder.path, toolchain=toolchain)
        bar.update(task, description=f"flashing {target.name}")
        model_id = str(folder.manifest["model_id"])
        same = answers_already(target, built, chosen, model_id) if real else None
        done = same or flasher.run(target, built, chosen, model_id=model_id)
    output.say(f": {done}", head="unchanged" if same else "done", good=True)
    output.result(
        {
            "board": target.name,
            "method": flasher.name,
            "image_id": built.image_id,
            "model_id": folder.manifest["model_id"],
            "done": True,
            "written": same is None,
            "said": done,
        }
    )


def _export(path: Path | None, board: str | None) -> tuple[ExportFolder | LanguageModelFolder, Board]:
    """The export to flash, a language model included, and its board."""
    where = path or newest_export(Path("build"), board)
    if is_language_model(where):
        language = open_language_model(where)
        return language, language.board_asked(board)
    folder = o.find_export(path, board)
    return folder, folder.board(board)


def platformio_upload(
    output: Output, folder: ExportFolder, flasher: Flasher, chosen: Chosen, toolchain: str | None
) -> str:
    """`pio run -t upload` on the export; what it said last."""
    emulated = flasher.name == "emulated"
    with output.progress() as bar:
        bar.add_task(f"PlatformIO uploads {folder.path.name}", total=None)
        said = run_platformio(
            folder.path,
            ["upload"],
            emulated=emulated,
            toolchain=toolchain,
            protocol=None if emulated else flasher.name,
            port=chosen.port,
        )
    lines = [line for line in said.splitlines() if line.strip() and not line.startswith("=")]
    last = lines[-1] if lines else "it said nothing"
    output.say(f": {last}", head="done", good=True)
    return last
