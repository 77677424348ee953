"""The account of flash and RAM after linking: every figure exact, read back from the image."""

from __future__ import annotations

from edgebit.bench.folder import ExportFolder
from edgebit.bench.language_device import check_device_folder
from edgebit.bench.language_model import LanguageModelFolder
from edgebit.plan.account import FLASH, RAM, FitRow, FitTable
from edgebit.toolchain.build import BuildResult


def linked_account(folder: ExportFolder, built: BuildResult) -> FitTable:
    """What the linked program takes of each memory of its board.

    Constants are split into the model's weights and the rest; static data into the model's arena and state
    and the rest. The stack is the deepest path of the call graph with interrupt frames; it is left out on
    the host, whose programs are not analysed.
    """
    m, s = folder.manifest, {k: v or 0 for k, v in built.sizes.items()}
    weights, arena, state = m["weights_bytes"], m["arena_bytes"], m["state_bytes"]
    rows = [
        FitRow(FLASH, "weights", weights, "exact"),
        FitRow(FLASH, "code", s["code"], "exact"),
        FitRow(FLASH, "other constants", s["const"] + s["data"] - weights, "exact"),
        FitRow(RAM, "arena", arena, "exact"),
        FitRow(RAM, "state", state, "exact"),
    ]
    if built.sizes["stack"] is not None:
        rows.append(FitRow(RAM, "stack", s["stack"], "exact"))
    rows.append(FitRow(RAM, "program data", s["ram"] - arena - state, "exact"))
    board = folder.board()
    totals = {FLASH: board.flash_bytes, RAM: board.ram_bytes} if board.memories else {}
    return FitTable(f"{board.title}, linked with {built.toolchain}", tuple(rows), totals, {}, True)


def linked_language_model(folder: LanguageModelFolder, built: BuildResult) -> FitTable:
    """The same for a language model on a microcontroller: the arena holds keys, values and the scratch of a token."""
    check_device_folder(folder)
    s, board = {k: v or 0 for k, v in built.sizes.items()}, folder.board
    weights, arena = folder.weights.stat().st_size, int(folder.manifest["arena_bytes"])
    rows = (
        FitRow(FLASH, "weights", weights, "exact"),
        FitRow(FLASH, "code", s["code"], "exact"),
        FitRow(FLASH, "other constants", s["const"] + s["data"] - weights, "exact"),
        FitRow(RAM, "arena", arena, "exact"),
        FitRow(RAM, "stack", s["stack"], "exact"),
        FitRow(RAM, "program data", s["ram"] - arena, "exact"),
    )
    totals = {FLASH: board.flash_bytes, RAM: board.ram_bytes}
    return FitTable(f"{board.title}, linked with {built.toolchain}", rows, totals, {}, True)
