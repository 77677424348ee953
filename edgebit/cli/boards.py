"""edgebit boards."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from edgebit.board import Board, list_boards, load_board
from edgebit.cli._output import JsonFlag, Output, count
from edgebit.devices.find import plugged_in
from edgebit.errors import UsageError


def _row(board: Board, connected: list[str]) -> dict[str, object]:
    return {
        "name": board.name,
        "title": board.title,
        "core": board.core.name,
        "flash_bytes": board.flash_bytes,
        "ram_bytes": board.ram_bytes,
        "flash_methods": list(board.flash_methods),
        "emulators": sorted(board.emulators),
        "connected": connected,
        "hardware_tested": board.hardware_tested,
    }


def command(
    what: Annotated[
        list[str] | None, typer.Argument(help="Nothing for the list, or: show NAME", show_default=False)
    ] = None,
    json: JsonFlag = False,
) -> None:
    """List the boards, how each is flashed, and what is plugged in; or show one in full.

    Example: edgebit boards show pico
    """
    output = Output(json)
    words = what or []
    if words and (words[0] != "show" or len(words) != 2):
        raise UsageError(f"edgebit boards {' '.join(words)}: say edgebit boards, or edgebit boards show NAME")
    every = [load_board(n) for n in list_boards()]
    if words:
        board = load_board(words[1])
        _show(output, board, plugged_in(board, every))
        return
    rows = {b.name: plugged_in(b, every) for b in every}
    output.table(
        "boards",
        ["name", "core", "flash", "RAM", "flashed by", "emulated by", "plugged in", "description"],
        [
            [
                b.name,
                b.core.name,
                count(b.flash_bytes) if b.flash_bytes else "-",
                count(b.ram_bytes) if b.ram_bytes else "-",
                ", ".join(b.flash_methods) or "-",
                ", ".join(sorted(b.emulators)) or "-",
                ", ".join(rows[b.name]) or "-",
                b.title,
            ]
            for b in every
        ],
        right={2, 3},
    )
    if any(found.endswith("?") for there in rows.values() for found in there):
        output.say("?: other boards' debuggers have the same USB ids; flashing finds out which board it is")
    output.result({"boards": [_row(b, rows[b.name]) for b in every]})


def _value(v: object) -> str:
    """A value of board.toml; numbers in it are ids."""
    if isinstance(v, list):
        return " or ".join(map(_value, v)) if all(isinstance(i, str) for i in v) else ":".join(map(_value, v))
    return f"{v:04x}" if isinstance(v, int) else str(v)


def _show(output: Output, b: Board, connected: list[str]) -> None:
    """Everything a board's file says, for a person or as JSON."""

    def ids(pairs: tuple[tuple[int, int], ...]) -> str:
        return ", ".join(f"{v:04x}:{p:04x}" for v, p in pairs)

    output.say(f": {b.title}", head=b.name)
    output.say(
        f"core         {b.core.name} ({b.core.title}), {count(b.clock_hz / 1e6) + ' MHz' if b.clock_hz else 'any clock'}"
    )
    for name in b.cores:
        if name != b.core.name:
            output.say(f"core         {name}, too, for which this version makes no programs")
    for m in b.memories:
        output.say(f"memory       {m.name:8} {m.kind:6} 0x{m.origin:08X}  {count(m.length)} B")
    if b.uart:
        output.say(f"UART         {b.uart.model} at 0x{b.uart.base:08X}, {b.uart.baud} baud")
    output.say(f"link         {b.link or '-'}")
    if b.usb_ids:
        output.say(f"USB          serial port {ids(b.usb_ids)}")
    if b.bootloader_ids:
        output.say(f"USB          waiting for an image {ids(b.bootloader_ids)}")
    for name, options in b.flash_methods.items():
        output.say(
            f"flashed by   {name}: {', '.join(f'{k} {_value(v)}' for k, v in options.items()) or 'no options'}"
        )
    output.say(f"emulated by  {', '.join(sorted(b.emulators)) or '-'}")
    if b.current is None:
        output.say("current      not stated: no maker's figure for a running program is known here")
    else:
        c = b.current
        output.say(f"current      {c.milliamperes:g} mA typical, not measured: {c.at} ({c.source})")
    output.say(f"plugged in   {', '.join(connected) or 'no'}")
    for s in b.sources:
        output.say(f"source       {s}")
    output.say(
        "run on hardware" if b.hardware_tested else "not yet run on hardware: proven in emulation only",
        head="",
    )
    output.result(
        _row(b, connected)
        | {
            "clock_hz": b.clock_hz,
            "cores": list(b.cores),
            "memories": [
                {"name": m.name, "kind": m.kind, "origin": m.origin, "length": m.length} for m in b.memories
            ],
            "uart": None
            if b.uart is None
            else {"model": b.uart.model, "base": b.uart.base, "baud": b.uart.baud},
            "link": b.link,
            "usb_ids": [list(i) for i in b.usb_ids],
            "bootloader_ids": [list(i) for i in b.bootloader_ids],
            "current": None
            if b.current is None
            else {**asdict(b.current), "kind": "typical, of a maker's document"},
            "sources": list(b.sources),
        }
    )
