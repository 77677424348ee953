"""edgebit monitor."""

from __future__ import annotations

import contextlib
import time
from typing import Annotated

import typer

from edgebit.board import load_board
from edgebit.cli import _options as o
from edgebit.cli._output import JsonFlag, Output
from edgebit.devices.link import Frame, Kind
from edgebit.devices.monitor import Event, Splitter
from edgebit.devices.open import open_device
from edgebit.devices.serial import find_port, open_port
from edgebit.devices.transport import Transport
from edgebit.errors import UsageError
from edgebit.toolchain.build import build_export

_PAUSE = 0.05


def command(
    path: o.Dir = None,
    board: o.BoardName = None,
    emulate: o.Emulate = None,
    port: o.Port = None,
    seconds: Annotated[
        float | None,
        typer.Option(help="Stop after so long; default: until Ctrl-C.", min=0.0, show_default=False),
    ] = None,
    every: Annotated[float, typer.Option(help="Seconds between greetings of the board.", min=0.1)] = 2.0,
    listen: Annotated[bool, typer.Option("--listen", help="Only listen: never send anything.")] = False,
    baud: Annotated[
        int | None, typer.Option(help="Baud rate of --port, if not the board's.", min=1, show_default=False)
    ] = None,
    toolchain: o.Tool = None,
    json: JsonFlag = False,
) -> None:
    """Show what a board says: who it is, frames of the link, and the text that other firmware prints.

    The board is greeted every few seconds, so that it also shows when it comes and goes. With --emulate the image of the
    export boots in the emulated board. A real board needs no export: --board or --port is enough.
    """
    output = Output(json)
    with contextlib.closing(_open(path, board, emulate, port, baud, toolchain)) as transport:
        output.say(f"{transport.where}: Ctrl-C ends this", head="")
        seen = _watch(output, transport, seconds, None if listen else every)
    output.result(
        {
            "where": transport.where,
            "frames": sum(e.kind == "frame" for e in seen),
            "text": [e.text for e in seen if e.kind == "text"],
            "events": [{"kind": e.kind, "text": e.text} for e in seen],
        }
    )


def _open(
    path: o.Dir,
    board: str | None,
    emulate: str | None,
    port: str | None,
    baud: int | None,
    toolchain: str | None,
) -> Transport:
    if emulate is not None and (port is not None or baud is not None):
        raise UsageError("--port and --baud are for real boards; leave out --emulate")
    known = None if board is None else load_board(board)
    if emulate is None and path is None and (port is not None or known is not None):
        rate = baud or (known.uart.baud if known is not None and known.uart is not None else 115200)
        if port is None:
            assert known is not None
            port = find_port(known)
        if not port.startswith("ssh://"):
            return open_port(port, rate)
    folder = o.find_export(path, board)
    built = build_export(folder.path, toolchain=toolchain)
    return open_device(folder.board(board), built, emulate=emulate, port=port).link.transport


def _watch(output: Output, transport: Transport, seconds: float | None, every: float | None) -> list[Event]:
    """Print events until the time is up or the user has seen enough; all of them."""
    splitter, seen = Splitter(transport.where), []
    start = time.monotonic()
    next_greeting, number = start, 0

    def show(events: list[Event]) -> None:
        for e in events:
            seen.append(e)
            output.say(f" {e.text}", head=f"{time.monotonic() - start:8.2f} s {e.kind:5}")

    with contextlib.suppress(KeyboardInterrupt):
        while seconds is None or time.monotonic() - start < seconds:
            now = time.monotonic()
            if every is not None and now >= next_greeting:
                number, next_greeting = (number + 1) & 0xFF, now + every
                transport.write(b"\0" + Frame(Kind.HELLO, number, bytes(8)).encode())
            data = transport.read(_PAUSE)
            if data:
                show(splitter.feed(data))
            else:
                time.sleep(
                    _PAUSE
                )  # an emulated board that waits for input answers at once that there is nothing
    show(splitter.rest())
    return seen
