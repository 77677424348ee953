"""The command line: one verb per file in this folder, found by discovery.

A verb module has a function `command` with typer annotations; its docstring is the help. Modules whose name
starts with an underscore are shared parts. `main` turns every error into one sentence and an exit code.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
import traceback
from collections.abc import Sequence

import typer

from edgebit import __version__
from edgebit.cli._output import fail
from edgebit.errors import EdgebitError

_ORDER = ("demo", "inspect", "export", "build", "flash", "verify", "bench", "boards", "doctor")


def _version(value: bool) -> None:
    if value:
        print(f"edgebit {__version__}")
        raise typer.Exit


def build_app() -> typer.Typer:
    """The typer application with every verb of this folder."""
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Compile trained ternary networks to static C, flash them, and prove the board computes "
        "what the host computed.\n\nStart with: [bold]edgebit demo[/bold]",
    )

    @app.callback()
    def root(
        version: bool = typer.Option(
            False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
        ),
    ) -> None:
        pass

    names = [m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")]
    for name in sorted(names, key=lambda n: (_ORDER.index(n) if n in _ORDER else len(_ORDER), n)):
        module = importlib.import_module(f"{__name__}.{name}")
        app.command(name)(module.command)
    return app


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    args = ["--emulate=auto" if a == "--emulate" else a for a in args]  # its value may be left out
    as_json = "--json" in args
    try:
        code = build_app()(args, standalone_mode=False, prog_name="edgebit")
        return int(code) if isinstance(code, int) else 0
    except EdgebitError as e:
        if e.exit_code == 1 or os.environ.get("EDGEBIT_TRACEBACK"):
            traceback.print_exc()
        return fail(str(e), e.exit_code, as_json=as_json, details=e.details)
    except typer.Exit as e:
        return e.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return fail("interrupted", 130, as_json=as_json)
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as e:
        if hasattr(e, "format_message") and getattr(e, "exit_code", None) == 2:
            text = f"{e.format_message()} Try: edgebit --help"
            return fail(text, 2, as_json=as_json)
        if os.environ.get("EDGEBIT_TRACEBACK"):
            traceback.print_exc()
        text = f"internal error: {type(e).__name__}: {e}. This is a bug in EdgeBit; "
        return fail(text + "set EDGEBIT_TRACEBACK=1 for the traceback to report", 1, as_json=as_json)


def main() -> None:
    """Entry point of the `edgebit` program."""
    sys.exit(run())
