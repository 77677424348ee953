"""Firmware for the emulated boards: the real ports and the real bench application round a hand-made model."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from edgebit.exporters.firmware import MIN_STACK, board_config, linker_script, port_files

from edgebit.board import Board, load_board
from edgebit.resources import data_dir
from edgebit.toolchain.base import Job, find_toolchain
from edgebit.toolchain.elf import Image
from edgebit.toolchain.uf2 import BOOT2_BYTES, seal_boot2

sys.path.insert(0, str(Path(__file__).parent))  # for the helpers of this folder (`import account_checks`)
TINY = Path(__file__).parents[1] / "unit" / "tiny_app"


class Firmware(NamedTuple):
    """A built program, as edgebit.devices.open wants it."""

    elf: Path
    bin: Path
    image_id: str = "00" * 16


def port_sources(board: Board) -> tuple[list[Path], list[Path]]:
    """(sources, include folders) of a board's port."""
    port = data_dir("runtime_c") / "port"
    if not board.core.is_cortex_m:
        return [port / "linux" / "port.c", port / "freestanding" / "mem.c"], [port, port / "freestanding"]
    sources = [port / "freestanding" / "mem.c", *(p for p in port_files(board) if p.suffix != ".h")]
    return sources, [port, port / "cortex_m", port / "usb", port / "freestanding"]


def build(board: Board, sources: list[Path], includes: list[Path], folder: Path, *defines: str) -> Firmware:
    """Compile and link one program for a board with zig."""
    more_sources, more_includes = port_sources(board)
    script = entry = ""
    if board.core.is_cortex_m:
        template = (data_dir("runtime_c") / "port" / "cortex_m" / "link.ld").read_text()
        (folder / "link.ld").write_text(linker_script(board, template, MIN_STACK))
        (folder / "board_config.h").write_text(board_config(board))
        script, entry = "link.ld", "Reset"
    else:
        entry = "_start"
    elf = folder / "firmware.elf"
    job = Job(
        folder=folder,
        core=board.core,
        sources=tuple(str(s) for s in [*sources, *more_sources]),
        includes=(str(folder), *(str(i) for i in [*includes, *more_includes])),
        defines=("EB_TRACE", f'TINY_BOARD="{board.name}"', *defines),
        script=script,
        entry=entry,
        output=elf,
    )
    find_toolchain("zig").build(job)
    image = Image(elf).flat()[1] if board.core.is_cortex_m else elf.read_bytes()
    if "boot2" in board.port:
        image = seal_boot2(image[:BOOT2_BYTES]) + image[BOOT2_BYTES:]
    (folder / "firmware.bin").write_bytes(image)
    return Firmware(elf, folder / "firmware.bin")


@pytest.fixture(scope="session")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Firmware]:
    """The bench application for a board, by name; built once."""
    built: dict[str, Firmware] = {}

    def make(name: str) -> Firmware:
        if name not in built:
            rc = data_dir("runtime_c")
            sources = [*sorted((rc / "app").glob("*.c")), TINY / "tiny.c"]
            folder = tmp_path_factory.mktemp(f"firmware-{name}")
            built[name] = build(load_board(name), sources, [rc / "include", rc / "app", TINY], folder)
        return built[name]

    return make


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Firmware]:
    """A program of one source file on a board's port; built once for each set of definitions."""
    built: dict[tuple[str, ...], Firmware] = {}

    def make(name: str, source: Path, *defines: str) -> Firmware:
        key = (name, str(source), *defines)
        if key not in built:
            folder = tmp_path_factory.mktemp(f"program-{name}")
            built[key] = build(load_board(name), [source], [], folder, *defines)
        return built[key]

    return make
