"""A language model put on a Linux board over ssh and proved there before it becomes the current one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgebit.bench.folder import MANIFEST
from edgebit.bench.language_model import LanguageModelFolder, prove_run, remote_manifest
from edgebit.bench.language_program import run_program, with_options
from edgebit.devices.ssh import ROOT, program_command
from edgebit.errors import EdgebitError, LinkError, UsageError
from edgebit.flash import ssh
from edgebit.flash import ssh_language_model as store
from edgebit.flash.base import NOTHING, Built, Chosen

_THREADS = 2


@dataclass(frozen=True)
class Flashed:
    """What was done, in a sentence. written: False when all of it was there; copied: bytes of weights."""

    said: str
    version: str
    written: bool
    copied: int


def require_ssh(folder: LanguageModelFolder, chosen: Chosen) -> None:
    """UsageError unless the model can be put on a Linux board with these choices."""
    if "ssh" not in folder.board.flash_methods:
        raise UsageError(f"{folder.path} is for the {folder.board.title}: {folder.on_linux()}")
    if chosen.emulate is not None:
        raise UsageError(
            f"{folder.path}: a language model for a Linux board is not flashed to an emulated one; edgebit run and verify "
            "take --emulate"
        )
    if chosen.service:
        raise UsageError(
            f"{folder.path}: --service is for networks; a language model's program is started by edgebit run and chat "
            "with --host"
        )


def shipment_of(folder: LanguageModelFolder, built: Built) -> store.Shipment:
    """What of a model and its build is copied."""
    return store.pack(folder.name, built, folder.path / MANIFEST, folder.weights)


def flash_language_model(
    folder: LanguageModelFolder,
    built: Built,
    chosen: Chosen = NOTHING,
    *,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Flashed:
    """Copy what is not there yet, prove it there, and make it the current version; a failure leaves the one that is.

    force: copy the program even when it is there. progress: is told how many bytes of weights, of how many, are copied.
    """
    require_ssh(folder, chosen)
    board = folder.board
    host = ssh.host_of_board(board, chosen)
    shipment = shipment_of(folder, built)
    machine = ssh.look(host)
    ssh.check_machine(board, host, machine)
    there = store.look_store(host, shipment)
    version = f"versions/{shipment.version}"
    if machine.current == version and there.version and not force:
        said = _prove(folder, host, version)
        return Flashed(
            f"{host} already has this model and program, nothing copied; {said}", shipment.version, False, 0
        )
    try:
        if not there.weights:
            store.copy_weights(host, shipment, lambda done: progress(done, shipment.weights_bytes))
        said = _prove(folder, host, store.place(host, shipment))
        store.switch(host, shipment)
    except EdgebitError as e:
        store.discard(host, shipment)
        stays = f"; {Path(machine.current).name} stays the current version" if machine.current else ""
        raise type(e)(f"{e}{stays}", details=e.details) from e
    copied = 0 if there.weights else shipment.weights_bytes
    weights = f"{copied} bytes of weights" if copied else "no weights (they are there already)"
    return Flashed(
        f"{len(shipment.program)} bytes of program and {weights} copied to {host}:{ROOT}/{version}; {said}",
        shipment.version,
        True,
        copied,
    )


def roll_back(host: str) -> str:
    """Switch a host to the version before, and see that it works, network or language model; what was done."""
    return ssh.roll_back(host, _answers)


def _answers(host: str) -> str:
    there = store.current(host)
    if there is None:
        raise LinkError(f"{host} has no program of EdgeBit's")
    version, manifest = there
    if manifest is None:
        return ssh.answers(host)
    return _prove(LanguageModelFolder(Path(version), remote_manifest(host, manifest)), host, version)


def _prove(folder: LanguageModelFolder, host: str, version: str) -> str:
    """Run a version, which need not be the current one; what that proved, as a clause."""
    command = program_command(host, f"{version}/program")

    def run(options: list[str]) -> str:
        return run_program(with_options(command, options, host), folder.name, host=host)

    m = folder.manifest
    if m["certificate"] is None or not m["golden"]:
        run(["--prompt-ids", "0", "--tokens", "1", "--check", "--json"])
        return (
            f"{folder.name} runs there; exported without golden runs, it was not compared with the reference"
        )
    prove_run(folder, host, _THREADS, 0, run)
    return f"{folder.name} computes a golden prompt there as the reference does, every layer, logit and token"
