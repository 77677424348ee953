"""edgebit build."""

from __future__ import annotations

from pathlib import Path

from edgebit.bench.folder import newest_export
from edgebit.bench.language_model import is_language_model, open_language_model
from edgebit.bench.linked import linked_account, linked_language_model
from edgebit.cli import _options as o
from edgebit.cli._output import JsonFlag, Output
from edgebit.cli._tables import print_account
from edgebit.toolchain.build import build_export
from edgebit.toolchain.pio import run_platformio


def command(
    path: o.Dir = None,
    board: o.BoardName = None,
    toolchain: o.Tool = None,
    driver: o.Driver = None,
    json: JsonFlag = False,
) -> None:
    """Compile and link an export's bench program.

    The image goes to DIR.build/. Its exact flash, RAM and stack figures are read back from it, and it is
    refused if it holds an instruction its core does not have. Nothing is rebuilt when nothing changed.
    """
    output = Output(json)
    named = path or newest_export(Path("build"), board)
    if is_language_model(named):
        _language_model(output, named, toolchain)
        return
    folder = o.find_export(path, board)
    with output.progress() as bar:
        bar.add_task(f"building {folder.path.name}", total=None)
        if o.by_platformio(driver):
            run_platformio(folder.path, [], toolchain=toolchain)
        result = build_export(folder.path, toolchain=toolchain)
    account = linked_account(folder, result)
    print_account(output, account)
    output.say(f": image {result.image_id}{'' if result.fresh else ', unchanged'}", head=str(result.elf))
    output.result(
        {
            "elf": str(result.elf),
            "bin": str(result.bin),
            "uf2": None if result.uf2 is None else str(result.uf2),
            "image_id": result.image_id,
            "toolchain": result.toolchain,
            "fresh": result.fresh,
            "sizes": result.sizes,
            "fit": account.to_dict(),
        }
    )


def _language_model(output: Output, path: Path, toolchain: str | None) -> None:
    """The same for a language model, which reads its weights from a file where its board runs Linux."""
    folder = open_language_model(path)
    with output.progress() as bar:
        bar.add_task(f"building {folder.name}", total=None)
        result = build_export(folder.path, toolchain=toolchain)
    unchanged = "" if result.fresh else ", unchanged"
    if folder.board.core.is_cortex_m:
        account = linked_language_model(folder, result)
        print_account(output, account)
        output.say(f": image {result.image_id}{unchanged}", head=str(result.elf))
        output.result(result.to_dict() | {"fit": account.to_dict()})
        return
    output.say(f": image {result.image_id}{unchanged}; it reads {folder.weights}", head=str(result.elf))
    output.result(result.to_dict() | {"weights": str(folder.weights)})
