"""What a verb prints: one JSON object on stdout under --json, else tables; progress always on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

JsonFlag = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout, nothing else there.")
]
_PIPED_WIDTH = 140  # a file has no width of its own: lines should not break at 80


def fail(message: str, code: int, *, as_json: bool, details: Mapping[str, Any] | None = None) -> int:
    """Print an error the way the caller asked for; returns the exit code."""
    if as_json:
        data = {"error": message, "exit_code": code}
        print(json.dumps(data | dict(details or {}) | data))
    else:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"[bold red]error:[/] {escape(message)}")
    return code


class Output:
    """The printer of one verb."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        piped = not (sys.stderr if as_json else sys.stdout).isatty()
        self.console = Console(stderr=as_json, highlight=False, width=_PIPED_WIDTH if piped else None)
        self.notes = Console(stderr=True, highlight=False)

    def say(self, text: str, *, head: str = "", good: bool = False) -> None:
        """A line for a person: `head` in bold (in green too, if `good`), then the text as it is."""
        line = Text().append(head, style="bold green" if good else "bold")
        self.console.print(line.append(text))

    def table(
        self, title: str, columns: list[str], rows: list[list[str]], right: Collection[int] = ()
    ) -> None:
        """A table for a person; `right` holds the columns to align right."""
        t = Table(title=escape(title), title_justify="left", header_style="bold")
        for i, c in enumerate(columns):
            t.add_column(escape(c), justify="right" if i in right else "left", overflow="fold")
        for r in rows:
            t.add_row(*(escape(c) for c in r))
        self.console.print(t)

    def result(self, data: Mapping[str, Any]) -> None:
        """The JSON object, when asked for."""
        if self.as_json:
            sys.stdout.write(json.dumps(data) + "\n")

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """A progress display on stderr that leaves nothing behind."""
        with Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            console=self.notes,
            transient=True,
            disable=not self.notes.is_terminal,
        ) as p:
            yield p


def count(n: float) -> str:
    """A count with thousands separators."""
    return f"{n:,.0f}"
