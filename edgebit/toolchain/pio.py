"""Driving PlatformIO without its registry: the one package it always wants, SCons, is made from the one pip installed."""

from __future__ import annotations

import configparser
import importlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgebit.errors import ToolchainError, UsageError, error_of
from edgebit.resources import cache_dir, folder_atomically
from edgebit.toolchain.base import first_errors

_FIX = "run: pip install 'edgebit[platformio]'"
_SECONDS = 900
_LAUNCH = """import os, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import SCons.Script
SCons.Script.main()
"""


def core_folder() -> Path:
    """PlatformIO's home for our runs, with SCons in it as the package tool-scons."""
    dependencies = _module("platformio.dependencies").get_core_dependencies()
    wanted = str(dependencies["tool-scons"]).lstrip("~^=")
    scons = _module("SCons")
    major, minor, patch = [*re.findall(r"\d+", scons.__version__), "0", "0"][:3]
    have = f"{major}.{major}{int(minor):02d}{int(patch):02d}.0"
    if have.split(".")[:2] != wanted.split(".")[:2]:
        raise ToolchainError(
            f"this PlatformIO wants SCons {_readable(wanted)} and {scons.__version__} is installed; run: pip install "
            f"SCons=={_readable(wanted)}"
        )
    home = cache_dir() / "platformio" / wanted
    tool = home / "packages" / "tool-scons"
    if not (tool / ".piopm").is_file():
        spec = {"owner": "platformio", "id": None, "name": "tool-scons", "requirements": None, "uri": None}
        package = {"name": "tool-scons", "version": wanted}
        with folder_atomically(tool) as folder:
            shutil.copytree(
                Path(scons.__file__).parent, folder / "SCons", ignore=shutil.ignore_patterns("__pycache__")
            )
            (folder / "scons.py").write_text(_LAUNCH)
            (folder / "package.json").write_text(json.dumps({**package, "system": "*"}))
            (folder / ".piopm").write_text(json.dumps({"type": "tool", **package, "spec": spec}))
    return home


def _readable(version: str) -> str:
    """4.11.1 from PlatformIO's 4.41101.0."""
    digits = version.split(".")[1]
    return f"{digits[0]}.{int(digits[1:3])}.{int(digits[3:5])}"


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as e:
        raise ToolchainError(f"PlatformIO is not complete here ({e}); {_FIX}") from e


def _own_environment(export: Path) -> str:
    """The environment of a project that EdgeBit builds."""
    ini = configparser.ConfigParser(interpolation=None)
    try:
        ini.read(export / "platformio.ini")
        found = [s for s in ini.sections() if ini.get(s, "platform", fallback="") == "symlink://platformio"]
    except (configparser.Error, UnicodeDecodeError) as e:
        raise UsageError(
            f"{export / 'platformio.ini'} is damaged ({str(e).splitlines()[0]}); export it again"
        ) from e
    if len(found) != 1 or not found[0].startswith("env:"):
        raise UsageError(
            f"{export / 'platformio.ini'} has no environment that EdgeBit builds; export it again"
        )
    return found[0].removeprefix("env:")


def run_platformio(
    export: Path,
    targets: Sequence[str],
    *,
    emulated: bool = False,
    toolchain: str | None = None,
    protocol: str | None = None,
    port: str | None = None,
) -> str:
    """`pio run` in an export written with --as platformio; what it printed. The export itself is not changed.

    emulated, toolchain and protocol stand for the options of platformio.ini, port for --upload-port.
    """
    if not (export / "platformio.ini").is_file():
        raise UsageError(f"{export} is no PlatformIO project: export it with --as platformio")
    if importlib.util.find_spec("platformio") is None:
        raise ToolchainError(f"PlatformIO is not installed; {_FIX}")
    env = {
        **os.environ,
        "PLATFORMIO_CORE_DIR": str(core_folder()),
        "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
        "EDGEBIT_PIO_EMULATE": "yes" if emulated else "",
        "EDGEBIT_PIO_TOOLCHAIN": toolchain or "",
        "EDGEBIT_PIO_PROTOCOL": protocol or "",
    }
    command = [sys.executable, "-m", "platformio", "run", "-d", str(export.resolve())]
    command += ["-e", _own_environment(export)]
    for t in targets:
        command += ["-t", t]
    if port is not None:
        command += ["--upload-port", port]
    try:
        done = subprocess.run(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired as e:
        raise ToolchainError(f"PlatformIO: no result after {_SECONDS} s") from e
    if done.returncode:
        _raise_ours(done.stdout + done.stderr)
        raise ToolchainError(f"PlatformIO failed:\n{first_errors(done.stdout + done.stderr)}")
    return re.split(r"\nEnvironment +Status", done.stdout)[0]  # a table of what was built ends it


def _raise_ours(said: str) -> None:
    """The error that EdgeBit ended with under PlatformIO, if that is what went wrong, with its exit code."""
    status = re.search(r"\*\*\* \[\w+\] Explicit exit, status (\d+)", said)
    sentences = re.findall(r"^error: (.+)$", said, re.MULTILINE)
    if status and sentences:
        raise error_of(int(status[1]))(f"PlatformIO: {sentences[-1]}")
