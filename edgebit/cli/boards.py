"""edgebit boards."""

from __future__ import annotations

from typing import Annotated

import typer

from edgebit.board import Board, list_boards, load_board
from edgebit.cli._output import JsonFlag, Output, count
from edgebit.devices.find import connected_ports


def _row(board: Board, connected: list[str]) -> dict[str, object]:
    return {
        "name": board.name,
        "title": board.title,
        "core": board.core.name,
        "flash_bytes": board.flash_bytes,
        "ram_bytes": board.ram_bytes,
        "emulators": sorted(board.emulators),
        "connected": connected,
        "hardware_tested": board.hardware_tested,
    }


def command(
    name: Annotated[str | None, typer.Argument(help="Show one board in full.", show_default=False)] = None,
    json: JsonFlag = False,
) -> None:
    """List the boards, their memories, emulators, and what is plugged in."""
    output = Output(json)
    boards = [load_board(n) for n in ([name] if name else list_boards())]
    rows = [_row(b, connected_ports(b)) for b in boards]
    output.table(
        "boards",
        ["name", "core", "flash", "RAM", "emulated by", "connected", "description"],
        [
            [
                b.name,
                b.core.name,
                count(b.flash_bytes) if b.flash_bytes else "-",
                count(b.ram_bytes) if b.ram_bytes else "-",
                ", ".join(sorted(b.emulators)) or "-",
                ", ".join(connected_ports(b)) or "-",
                b.title,
            ]
            for b in boards
        ],
        right={2, 3},
    )
    if name:
        b = boards[0]
        for m in b.memories:
            output.say(f"{m.name:8} {m.kind:6} 0x{m.origin:08X}  {count(m.length)} B")
        if b.uart:
            output.say(f"UART     {b.uart.model} at 0x{b.uart.base:08X}, {b.uart.baud} baud")
        for s in b.sources:
            output.say(f"source: {s}")
        if not b.hardware_tested:
            output.say("not yet run on hardware: proven in emulation only")
    output.result({"boards": rows})
