"""What `edgebit flash` does with a language model for a Linux board."""

from __future__ import annotations

from edgebit.bench.language_model import LanguageModelFolder
from edgebit.bench.language_remote import flash_language_model, require_ssh, shipment_of
from edgebit.cli._output import Output
from edgebit.flash.base import Chosen, choose_flasher
from edgebit.flash.ssh_language_model import steps
from edgebit.toolchain.build import build_export, current_build


def flash_linux(
    output: Output,
    folder: LanguageModelFolder,
    chosen: Chosen,
    *,
    method: str | None,
    toolchain: str | None,
    force: bool,
    dry_run: bool,
) -> None:
    """Copy program and weights over ssh and prove them there, or say what would be done."""
    require_ssh(folder, chosen)
    board = folder.board
    about = {"board": board.name, "method": choose_flasher(board, method=method, chosen=chosen).name}
    if dry_run:
        there = current_build(folder.path, toolchain=toolchain)
        found = [f"build {folder.path}"] if there is None else []
        found += steps(board, None if there is None else shipment_of(folder, there), chosen)
        for s in found:
            output.say(s)
        output.result(about | {"steps": found, "done": False})
        return
    with output.progress() as bar:
        task = bar.add_task(f"building {folder.path.name}", total=None)
        built = build_export(folder.path, toolchain=toolchain)
        bar.update(task, description=f"flashing {board.name}")

        def copied(done: int, of: int) -> None:
            words = "copying the weights" if done < of else "running a golden prompt"
            bar.update(task, description=f"{words} ({of / 1e6:,.1f} MB)", completed=done, total=of)

        done = flash_language_model(folder, built, chosen, force=force, progress=copied)
    output.say(f": {done.said}", head="done" if done.written else "unchanged", good=True)
    output.result(
        about
        | {
            "image_id": built.image_id,
            "model_id": folder.manifest["model_id"],
            "version": done.version,
            "done": True,
            "written": done.written,
            "weights_copied": done.copied,
            "said": done.said,
        }
    )
