"""The command line: one verb per file in this folder, found by discovery.

A verb module has a function `command` with typer annotations; its docstring is the help. Modules whose name
starts with an underscore are shared parts. `main` turns every error into one sentence and an exit code.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import os
import pkgutil
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgebit import __version__
from edgebit.errors import EdgebitError

if TYPE_CHECKING:
    from typer import Typer

_ORDER = ("demo", "inspect", "export", "build", "flash", "verify", "bench", "monitor", "boards", "doctor")


def _version(value: bool) -> None:
    if value:
        import typer

        print(f"edgebit {__version__}")
        raise typer.Exit


def build_app() -> Typer:
    """The typer application with every verb of this folder."""
    import typer

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
    end = args.index("--") if "--" in args else len(args)
    args[:end] = [
        "--emulate=auto" if a == "--emulate" else a for a in args[:end]
    ]  # its value may be left out
    as_json = "--json" in args[:end]
    try:
        try:
            code = build_app()(args, standalone_mode=False, prog_name="edgebit")
            status = int(code) if isinstance(code, int) else 0
            if status == 130:  # typer makes an exit of an interruption
                raise KeyboardInterrupt
        except BrokenPipeError:
            raise
        except BaseException as e:
            status = _failed(e, as_json=as_json)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # whoever reads our output has seen enough
        _mute()
        return 0
    except OSError:  # nothing can be said where it was asked for
        _mute()
        return 11


def _mute() -> None:
    """Send what is still to be printed nowhere, so that ending does not fail over it."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _failed(e: BaseException, *, as_json: bool) -> int:
    """Say what went wrong in a sentence; returns the exit code."""
    import typer

    from edgebit.cli._output import fail

    if isinstance(e, EdgebitError):
        if e.exit_code == 1 or os.environ.get("EDGEBIT_TRACEBACK"):
            _trace(e)
        return fail(str(e), e.exit_code, as_json=as_json, details=e.details)
    if isinstance(e, SystemExit) and isinstance(e.__context__, BrokenPipeError):
        raise e.__context__  # rich and typer make an exit of it
    if isinstance(e, (typer.Exit, SystemExit)):
        code = e.exit_code if isinstance(e, typer.Exit) else e.code
        return code if isinstance(code, int) else 0 if code is None else 1
    ended_early = isinstance(e.__context__, EOFError)  # typer makes an Abort of it
    if isinstance(e, (KeyboardInterrupt, typer.Abort)) and not ended_early:
        return fail("interrupted", 130, as_json=as_json)
    if hasattr(e, "format_message") and getattr(e, "exit_code", None) == 2:
        return fail(f"{e.format_message().rstrip('.')}; try: edgebit --help", 2, as_json=as_json)
    if os.environ.get("EDGEBIT_TRACEBACK"):
        _trace(e)
    if isinstance(e, OSError) and e.errno in _REFUSED:
        name = f" {e.filename}" if e.filename is not None else ""
        return fail(f"the system refused access to{name or ' a file'}: {e.strerror}", 11, as_json=as_json)
    if isinstance(e, MemoryError):
        return fail("there is not enough memory for this on this machine", 1, as_json=as_json)
    text = f"internal error: {type(e).__name__}: {e}. This is a bug in EdgeBit; "
    return fail(text + "set EDGEBIT_TRACEBACK=1 for the traceback to report", 1, as_json=as_json)


_REFUSED = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENAMETOOLONG, errno.EIO, errno.EMFILE,
    errno.ENFILE, errno.ELOOP,
)  # fmt: skip


def _trace(e: BaseException) -> None:
    traceback.print_exception(e)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Entry point of the `edgebit` program. Being told to end clears up like Ctrl-C does.

    The verbs, and the packages they need, are imported in here, so that an interruption then is no traceback.
    """
    try:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is None:  # closed by whoever started us
                setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - for as long as we run
            elif isinstance(stream, io.TextIOWrapper):  # a letter that cannot be shown becomes its code
                stream.reconfigure(errors="backslashreplace")
        for name in ("SIGTERM", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), _interrupt)
        status = run()
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)
