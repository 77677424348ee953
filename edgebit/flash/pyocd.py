"""Debug probes (CMSIS-DAP, ST-LINK, J-Link, Picoprobe) through pyOCD: write, read back, reset.

pyOCD is an optional extra (`pip install edgebit[probe]`). Chips it does not know by itself need a CMSIS pack, which its own
command fetches once.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Sequence
from typing import Any

from edgebit.board import Board
from edgebit.devices.bootrom import refusal
from edgebit.errors import EdgebitError, NoBoardError, PortError, ToolchainError, WriteError, WrongBoardError
from edgebit.flash.base import NOTHING, Built, Chosen, Need, ask, confirm, expected, flash_start, read_image

_NEED = Need("pyocd", "flashing through a debug probe", "pip install 'edgebit[probe]'", package=True)
_UDEV = "https://github.com/pyocd/pyOCD/tree/main/udev"


class PyocdFlasher:
    """Programs the chip over SWD, compares every byte, and resets it."""

    name = "pyocd"
    needs = (_NEED,)

    def can(self, board: Board) -> bool:
        return "pyocd" in board.flash_methods

    def steps(self, board: Board, built: Built | None, chosen: Chosen = NOTHING) -> list[str]:
        known_target(board)
        image = "the image" if built is None else f"{len(read_image(board, built))} bytes"
        first, probe = expected(
            lambda: describe(find_probe(board, chosen.probe)),
            chosen.probe,
            "connect a debug probe (there is none now)",
            "it",
        )
        return [
            *first,
            f"connect to a {target_name(board)} through {probe}",
            f"compare its flash at {flash_start(board):#x} with {image}; write only when they differ",
            "read the flash back and compare every byte, then reset",
            *ask(board, chosen),
        ]

    def run(
        self, board: Board, built: Built, chosen: Chosen = NOTHING, *, model_id: str | None = None
    ) -> str:
        image, start = read_image(board, built), flash_start(board)
        problem = refusal(board, image)
        if problem:
            raise WrongBoardError(f"the {board.title} would not start {built.bin.name}: {problem}")
        known_target(board)
        probe = find_probe(board, chosen.probe)
        try:
            done = _program(board, probe, start, image)
        except Exception as e:
            raise explain(board, probe, e) from e
        return f"{len(image)} bytes at {start:#x} {done} through {describe(probe)}; " + confirm(
            board, built, model_id, chosen
        )


FLASHER = PyocdFlasher()


def _import(module: str) -> Any:
    try:
        found = importlib.import_module(module)
    except ImportError as e:
        raise ToolchainError(f"pyOCD is not installed ({e}); run: {_NEED.fix}") from e
    logging.getLogger("pyocd").setLevel(logging.CRITICAL)  # we say it in our own words
    return found


def target_name(board: Board) -> str:
    return str(board.flash_methods["pyocd"]["target"])


def known_target(board: Board) -> str:
    """The name pyOCD knows the board's chip by, with a flash algorithm; ToolchainError that names the pack to fetch."""
    name = target_name(board)
    targets = _import("pyocd.target").TARGET
    if name in targets:
        return name
    packs = _import("pyocd.target.pack.pack_target")
    try:
        installed: Sequence[str] = [t.part_number.lower() for t in packs.ManagedPacks.get_installed_targets()]
    except Exception:  # its cache is empty or damaged: then nothing is installed
        installed = []
    if name in installed:
        return name
    pack = board.flash_methods["pyocd"].get("pack", "its vendor's device family pack")
    raise ToolchainError(
        f"pyOCD does not know {name} by itself: run `pyocd pack update` and `pyocd pack install {name}` once (they fetch "
        f"{pack}), or choose another --method"
    )


def describe(probe: Any) -> str:
    return f"{probe.vendor_name} {probe.product_name} (serial {probe.unique_id})"


def find_probe(board: Board, asked: str | None) -> Any:
    """The only debug probe connected, or the one whose serial number was given."""
    helpers = _import("pyocd.core.helpers")
    try:
        probes = helpers.ConnectHelper.get_all_connected_probes(blocking=False, print_wait_message=False)
    except Exception as e:
        raise explain(board, None, e) from e
    names = [describe(p) for p in probes]
    if asked is not None:
        probes = [p for p in probes if p.unique_id == asked]
        if not probes:
            raise NoBoardError(f"there is no debug probe {asked!r}; there is: {', '.join(names) or 'none'}")
    if len(probes) == 1:
        return probes[0]
    if probes:
        raise NoBoardError(
            f"more than one debug probe is connected: {', '.join(names)}; choose with --probe SERIAL",
            details={"candidates": names},
        )
    raise NoBoardError(
        f"no debug probe is connected: plug in the one of the {board.title}, or see {_UDEV} when it is plugged in and your "
        "user may not open it; or use --emulate"
    )


def _program(board: Board, probe: Any, start: int, image: bytes) -> str:
    """Write the image unless it is there already; "written" or "already there". Always reads back."""
    session_of = _import("pyocd.core.session").Session
    loader_of = _import("pyocd.flash.loader").FlashLoader
    options = {"target_override": known_target(board), "connect_mode": "under-reset", "chip_erase": "sector"}
    with session_of(probe, options=options) as session:
        target = session.target
        region = target.memory_map.get_region_for_address(start)
        if region is None or not region.is_flash:
            raise WrongBoardError(
                f"{target_name(board)} has no flash at {start:#x}: the probe is wired to another chip"
            )
        target.reset_and_halt()
        if bytes(target.read_memory_block8(start, len(image))) == image:
            target.reset()
            return "already there, nothing written"
        loader = loader_of(session)
        loader.add_data(start, image)
        loader.commit()
        target.reset_and_halt()
        check_read_back(start, image, bytes(target.read_memory_block8(start, len(image))))
        target.reset()
    return "written and read back"


def check_read_back(start: int, image: bytes, read: bytes) -> None:
    """WriteError that names the first byte that is not as it was written."""
    if read != image:
        at = next(
            (i for i, (a, b) in enumerate(zip(image, read, strict=False)) if a != b),
            min(len(image), len(read)),
        )
        raise WriteError(
            f"read-back differs from address {start + at:#x} on: the flash was not written as it should be"
        )


def explain(board: Board, probe: Any, error: Exception) -> EdgebitError:
    """What went wrong under pyOCD, as the error with the right exit code."""
    if isinstance(error, EdgebitError):
        return error
    where = "the debug probe" if probe is None else describe(probe)
    words = str(error) or type(error).__name__
    low = words.lower()
    if "access" in low or "permission" in low or "insufficient" in low:
        return PortError(
            f"not permitted to open {where} ({words}): install pyOCD's udev rules ({_UDEV}) into /etc/udev/rules.d/, run "
            "`sudo udevadm control --reload && sudo udevadm trigger`, and plug the probe in again"
        )
    if "busy" in low or "in use" in low:
        return PortError(f"{where} is busy ({words}): close the debugger or IDE that has it open")
    if "no ack" in low or "transfer" in low or "locked" in low or "unexpected" in low or "idcode" in low:
        return WrongBoardError(
            f"{where} does not reach a {target_name(board)} ({words}): is it wired to the {board.title}, powered and not "
            "locked?"
        )
    return WriteError(f"flashing the {board.title} through {where} failed: {type(error).__name__}: {words}")
