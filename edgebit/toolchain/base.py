"""What a toolchain is: from C sources to one linked program. One toolchain per file, found by discovery."""

from __future__ import annotations

import importlib
import os
import pkgutil
import platform
import re
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

from edgebit.core import Core
from edgebit.errors import ToolchainError, UsageError

DEFAULT = "zig"
_TIMEOUT_S = 600


@dataclass(frozen=True)
class Job:
    """One program to build. Paths are relative to `folder`, where the compiler runs, but for `output`.

    quoted are include folders for #include "..." only, so that no file in them hides a system header; includes
    are for both kinds. script is the linker script, "" for the linker's own; entry the symbol execution starts
    at. A hosted program has the system's C library and start-up; all others have neither. static_libc: a hosted
    program for Linux that brings its C library, for whatever machine it is run on; programs for this machine may
    use the one that is here. shared: a library for this machine, which takes the C library of the program that
    loads it.
    """

    folder: Path
    core: Core
    sources: tuple[str, ...]
    includes: tuple[str, ...]
    defines: tuple[str, ...]
    script: str
    entry: str
    output: Path
    hosted: bool = False
    static_libc: bool = False
    quoted: tuple[str, ...] = ()
    shared: bool = False


COMMON_FLAGS = (
    "-std=c11",
    "-O2",
    "-ffp-contract=off",
    "-fno-stack-protector",
    "-fno-asynchronous-unwind-tables",
    "-fno-unwind-tables",
    "-ffunction-sections",
    "-fdata-sections",
)
"""The same for every compiler and core. No fused multiply-add: results must not depend on the machine."""


def source_flags(job: Job) -> list[str]:
    """Definitions, include paths and sources."""
    flags = [f"-D{d}" for d in job.defines]
    for folder in job.quoted:
        flags += ["-iquote", folder]
    flags += [f"-I{folder}" for folder in job.includes]
    return [*flags, *job.sources]


def link_flags(job: Job) -> list[str]:
    """What both linkers take."""
    flags = (
        ["-Wl,--gc-sections", "-Wl,--build-id=none"]
        if not job.hosted or job.static_libc or job.shared or on_linux()
        else []
    )
    if job.script:
        flags += ["-T", job.script, "-Wl,-z,max-page-size=4096"]
    if job.shared:
        flags += ["-shared", "-fPIC", "-pthread"]
    if job.entry:
        flags += [f"-Wl,-e,{job.entry}"]
    return flags


def on_linux() -> bool:
    return platform.system() == "Linux"


def host_is_freestanding() -> bool:
    """Whether port/linux runs on this machine; elsewhere the host program uses the C library."""
    return on_linux() and host_arch() in ("x86_64", "aarch64")


def host_arch() -> str:
    m = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(m, m)


class Toolchain(ABC):
    """A compiler and linker. Subclasses are stateless."""

    name: ClassVar[str]

    @abstractmethod
    def version(self, core: Core) -> str:
        """What would compile for this core, e.g. "zig 0.17.1"; ToolchainError when it is not installed."""

    @abstractmethod
    def command(self, job: Job) -> list[str]:
        """The one command line that compiles and links the job."""

    def commands(self, job: Job) -> list[list[str]]:
        """The command lines that build the job, in order. Files that only pass between them are beside the
        output, named as `between` names them."""
        return [self.command(job)]

    def environment(self) -> Mapping[str, str]:
        """Additions to the environment of the command."""
        return {}

    def build(self, job: Job) -> None:
        """Run the command; ToolchainError with the first errors when the compiler refuses."""
        for command in self.commands(job):
            run(command, job.folder, self.environment(), what=f"{self.name} for {job.core.title}")
        between(job).unlink(missing_ok=True)
        if not job.output.is_file():
            raise ToolchainError(f"{self.name} ended without an error but wrote no {job.output.name}")


def between(job: Job) -> Path:
    """The object file of a job that is compiled by one command line and linked by another."""
    return job.output.with_suffix(".o")


def run(command: Sequence[str], folder: Path, env: Mapping[str, str], *, what: str) -> str:
    """Run a tool in `folder`; its standard output. ToolchainError says what it complained about."""
    try:
        done = subprocess.run(
            list(command),
            cwd=folder,
            env={**os.environ, "LC_ALL": "C", **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as e:
        raise ToolchainError(f"{what}: {command[0]} is not installed") from e
    except OSError as e:
        raise ToolchainError(f"{what}: cannot run {command[0]}: {e.strerror or e}") from e
    except subprocess.TimeoutExpired as e:
        raise ToolchainError(f"{what}: no result after {_TIMEOUT_S} s") from e
    if done.returncode:
        raise ToolchainError(
            f"{what} failed:\n{first_errors(done.stderr or done.stdout)}",
            details={"command": list(command), "exit": done.returncode},
        )
    return done.stdout


def first_errors(text: str, limit: int = 8) -> str:
    """The lines of a compiler's output that say what is wrong, at most `limit`."""
    lines = [line for line in text.splitlines() if line.strip()]
    errors = [
        i for i, line in enumerate(lines) if re.search(r"\berror\b|undefined|overflow", line, re.IGNORECASE)
    ]
    start = errors[0] if errors else 0
    return "\n".join(lines[start : start + limit]) or "(it printed nothing)"


@cache
def toolchains() -> Mapping[str, Toolchain]:
    """All toolchains by name, found by importing every module of this package."""
    import edgebit.toolchain as package

    found: dict[str, Toolchain] = {}
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"edgebit.toolchain.{info.name}")
        for value in vars(module).values():
            if (
                isinstance(value, type)
                and issubclass(value, Toolchain)
                and value.__module__ == module.__name__
                and isinstance(getattr(value, "name", None), str)
            ):
                found[value.name] = value()
    return found


def find_toolchain(name: str | None = None) -> Toolchain:
    """The toolchain of that name, or the default."""
    known = toolchains()
    chosen = name or DEFAULT
    if chosen not in known:
        raise UsageError(f"no toolchain named {chosen!r}; there are: {', '.join(sorted(known))}")
    return known[chosen]
