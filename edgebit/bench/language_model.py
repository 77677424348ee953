"""An exported language model: its folder read back, its program built and run, its certificate proved.

Export folders may come from elsewhere: what is relied on here is checked when the folder is opened.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebit.bench.folder import MANIFEST
from edgebit.bench.language_program import run_program, with_options
from edgebit.board import Board, load_board
from edgebit.devices.qemu import find_program
from edgebit.devices.ssh import program_command
from edgebit.errors import (
    LinkError,
    MismatchError,
    ModelError,
    NoBoardError,
    UsageError,
    WrongBoardError,
)
from edgebit.flash.ssh_language_model import current
from edgebit.toolchain.build import build_export

KIND = "decoder"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")


@dataclass(frozen=True)
class LanguageModelFolder:
    """One export of a language model on disk."""

    path: Path
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.manifest["name"])

    @property
    def board(self) -> Board:
        return load_board(str(self.manifest["board"]))

    def board_asked(self, asked: str | None) -> Board:
        """The board the model was exported for; WrongBoardError when another is asked for."""
        board = self.board
        if asked not in (None, board.name):
            raise WrongBoardError(
                f"{self.path} was exported for {board.name}, not {asked}; run: edgebit export MODEL --target {asked}"
            )
        return board

    def microcontroller(self, asked: str | None = None) -> Board:
        """The board whose flash holds the model; UsageError when it runs Linux, WrongBoardError when another is asked
        for."""
        board = self.board_asked(asked)
        if not board.core.is_cortex_m:
            raise UsageError(f"{self.path} is for the {board.title}, which runs Linux: {self.on_linux()}")
        return board

    def on_linux(self) -> str:
        """How to run a model that is not for a microcontroller, as a clause."""
        if self.board.core.family == "host":
            return f"run it here (edgebit run {self.path}); for a board, export the model with --target BOARD"
        return (
            f"edgebit flash {self.path} --host [USER@]HOST copies it there, edgebit run and chat with --host run it, and "
            "with --emulate they run it here"
        )

    @property
    def weights(self) -> Path:
        return self.path / f"{self.name}.bin"


@dataclass(frozen=True)
class Proof:
    """Golden runs that equalled the reference: on what, with how many threads each."""

    where: str
    threads: tuple[int, ...]
    runs: int
    certificate: str


def is_language_model(path: Path) -> bool:
    """Whether an export folder holds a language model; False when it cannot be read."""
    try:
        found = json.loads((path / MANIFEST).read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("kind") == KIND


def open_language_model(path: Path, board: str | None = None) -> LanguageModelFolder:
    """Read an export folder; UsageError when it holds no language model or one for another board than `board`,
    ModelError when it is damaged."""
    try:
        m = json.loads((path / MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{path}: not an export folder ({MANIFEST} is missing)") from None
    except (OSError, ValueError, RecursionError) as e:
        raise ModelError(f"{path}: a damaged export folder ({e}); export the model again") from e
    if not isinstance(m, dict) or m.get("kind") != KIND:
        raise UsageError(
            f"{path}: holds a network and no language model; see edgebit verify and edgebit bench"
        )
    check_manifest(m, f"{path}: a damaged export folder", "export the model again")
    folder = LanguageModelFolder(path, m)
    if not folder.weights.is_file():
        raise ModelError(f"{path}: {folder.name}.bin is missing; export the model again")
    if board is not None and board != m["board"]:
        raise UsageError(f"{path} was exported for {m['board']}, not {board}")
    return folder


def check_manifest(m: dict[str, Any], what: str, way_out: str) -> None:
    """ModelError, in these words, unless a manifest says what is relied on."""
    good = isinstance(m.get("name"), str) and _NAME.fullmatch(m["name"]) and isinstance(m.get("board"), str)
    if not good or not isinstance(m.get("golden"), list) or not all(map(_golden, m["golden"])):
        raise ModelError(f"{what}; {way_out}")
    if not (m.get("certificate") is None or isinstance(m["certificate"], str)):
        raise ModelError(f"{what} (its certificate); {way_out}")


def require_chat(folder: LanguageModelFolder) -> None:
    """UsageError for an export that is known to have no chat template; its program knows for sure. Microcontrollers keep
    no chat."""
    board = folder.board
    if board.core.is_cortex_m:
        raise UsageError(
            f"{folder.path} is for the {board.title}, whose program goes on from a text and keeps no chat: edgebit run "
            f"{folder.path} --prompt TEXT (with --emulate, if no board is there); to chat or serve, export the model with "
            "--target host, or for a Raspberry Pi that runs Linux"
        )
    if folder.manifest.get("chat") is False:
        notes = folder.manifest.get("notes")
        notes = notes if isinstance(notes, list) else []
        why = next((n for n in notes if isinstance(n, str) and "no chat" in n), "the model came without one")
        raise UsageError(
            f"{folder.path} has no chat template ({why[:300]}); to go on from a text: edgebit run --prompt"
        )


def _golden(v: object) -> bool:
    def numbers(key: str) -> bool:
        found = v.get(key) if isinstance(v, dict) else None
        return isinstance(found, list) and all(type(n) is int and 0 <= n < 1 << 32 for n in found)

    return (
        isinstance(v, dict)
        and all(numbers(k) for k in ("prompt", "tokens", "layer_crcs"))
        and type(v.get("logits_crc")) is int
    )


def command_line(
    folder: LanguageModelFolder,
    *,
    emulate: str | None = None,
    toolchain: str | None = None,
    host: str | None = None,
    terminal: bool = False,
) -> tuple[list[str], str]:
    """What starts the model's program, built if need be, and where that is.

    emulate: "auto" or "qemu" for a board that is not this machine. NoBoardError when it is needed and not given.
    host: [user@]host of a Linux board to which the model was flashed; its program is what lies there, and takes its
    arguments by with_options(). terminal: it gets a terminal there. WrongBoardError when another model lies there.
    """
    board = folder.board
    if host is not None:
        return _remote_command(folder, host, emulate=emulate, terminal=terminal), host
    if board.core.is_cortex_m:
        raise UsageError(
            f"{folder.path} is for the {board.title}, whose program is reached over its link: edgebit run and edgebit "
            "verify do that; export the model for a Linux board or the host for anything else"
        )
    here = board.core.family == "host"
    if emulate not in (None, "", "auto", "qemu"):
        raise UsageError(f"language models are emulated by qemu, not by {emulate!r}")
    if not here and emulate is None and platform.machine().lower() not in ("aarch64", "arm64"):
        raise NoBoardError(
            f"{folder.path} is for the {board.title}: flash it there (edgebit flash {folder.path} --host [USER@]HOST) and "
            "give --host here, too, or use --emulate"
        )
    elf = build_export(folder.path, toolchain=toolchain).elf
    start = [str(elf.resolve())]
    where = "this machine"
    if not here and emulate is not None:
        options = board.emulators.get("qemu")
        if options is None:
            raise UsageError(f"there is no emulation of Linux programs for the {board.title}")
        start = [find_program(options["program"]), "-cpu", options["cpu"], *start]
        where = f"{options['program']} as {board.name}"
    return [*start, "--weights", str(folder.weights.resolve())], where


def _remote_command(
    folder: LanguageModelFolder, host: str, *, emulate: str | None, terminal: bool
) -> list[str]:
    flash = f"edgebit flash {folder.path} --host {host}"
    if emulate is not None:
        raise UsageError("--host and --emulate exclude each other: the program runs there, or here")
    if "ssh" not in folder.board.flash_methods:
        raise UsageError(
            f"{folder.path} is for the {folder.board.title}: --host is for Linux boards; export the model for one"
        )
    there = current(host)
    if there is None:
        raise LinkError(f"{host} has no program of EdgeBit's: run {flash}")
    version, manifest = there
    if manifest is None:
        raise WrongBoardError(f"{host} holds a network and no language model: run {flash}")
    m, mine = remote_manifest(host, manifest), folder.manifest
    if any(m.get(key) != mine.get(key) for key in ("name", "model_id", "certificate")):
        other = f"the model {m['name']!r}" if m["name"] != folder.name else "another export of it"
        raise WrongBoardError(f"{host} holds {other}, not {folder.name!r} of {folder.path}: run {flash}")
    return program_command(host, f"{version}/program", terminal=terminal)


def remote_manifest(host: str, data: bytes) -> dict[str, Any]:
    """The manifest that lies on a host; ModelError when it is damaged."""
    what, way_out = f"what lies on {host} is damaged", "flash the model again"
    try:
        m = json.loads(data)
    except (ValueError, RecursionError) as e:
        raise ModelError(f"{what} ({e}); {way_out}") from e
    if not isinstance(m, dict):
        raise ModelError(f"{what}; {way_out}")
    check_manifest(m, what, way_out)
    return m


def prove(
    folder: LanguageModelFolder,
    *,
    emulate: str | None = None,
    threads: Sequence[int] = (1, 2, 3),
    toolchain: str | None = None,
    host: str | None = None,
) -> Proof:
    """Run the golden prompts and compare every layer, every logit and every token with the reference.

    MismatchError names the first layer that differs.
    """
    m = folder.manifest
    if m["certificate"] is None or not m["golden"]:
        raise UsageError(
            f"{folder.path} was exported without golden runs; export it again without --no-golden"
        )
    command, where = command_line(folder, emulate=emulate, toolchain=toolchain, host=host)
    for n in threads:
        for number in range(len(m["golden"])):
            prove_run(folder, where, n, number, lambda asked: _run(command, asked, folder.name, host))
    return Proof(where, tuple(threads), len(m["golden"]), str(m["certificate"]))


def _run(command: Sequence[str], options: Sequence[str], name: str, host: str | None) -> str:
    return run_program(with_options(command, options, host), name, host=host)


def prove_run(
    folder: LanguageModelFolder, where: str, threads: int, number: int, run: Callable[[list[str]], str]
) -> None:
    """One golden run, whose weights are checked, too. run: starts the program with options; what it printed.

    MismatchError names the first layer that differs; LinkError when something else than a run's figures came back.
    """
    golden = folder.manifest["golden"][number]
    asked = ["--prompt-ids", " ".join(map(str, golden["prompt"])), "--tokens", str(len(golden["tokens"]))]
    asked += ["--threads", str(threads), "--json", "--trace", "--go-on", "--check"]
    try:
        found = json.loads(run(asked))
        same_shape = len(found["layer_crcs"]) == len(golden["layer_crcs"]) and "logits_crc" in found
    except (ValueError, TypeError, KeyError, RecursionError):
        same_shape = False
    if not same_shape:
        raise LinkError(f"{folder.name} on {where} answered with something else than a run's figures")
    compare_golden(folder, where, threads, number, golden, found)


def compare_golden(
    folder: LanguageModelFolder,
    where: str,
    threads: int,
    number: int,
    golden: dict[str, Any],
    found: dict[str, Any],
) -> None:
    """MismatchError that names the first layer in which a run differs from golden run `number`."""
    layers = len(golden["layer_crcs"]) - 1
    text = (
        f"{folder.name} on {where} with {threads} threads differs from the reference in golden run {number}: "
    )
    details = {"golden": number, "threads": threads, "where": where}
    for layer, (want, got) in enumerate(zip(golden["layer_crcs"], found["layer_crcs"], strict=True)):
        if want != got:
            what = f"layer {layer}" if layer < layers else "the final normalisation"
            raise MismatchError(f"{text}first in {what}", details=details | {"layer": layer})
    if golden["logits_crc"] != found["logits_crc"]:
        raise MismatchError(f"{text}first in the logits", details=details)
    if golden["tokens"] != found["tokens"]:
        raise MismatchError(
            f"{text}in the tokens alone, so the choice of a token is at fault", details=details
        )
