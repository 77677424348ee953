"""Every board of the boards folder: its firmware builds, fits, boots in emulation and computes what the reference does."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from account_checks import check_account
from edgebit.exporters.firmware import port_files

from edgebit.bench.folder import ExportFolder
from edgebit.bench.linked import linked_account
from edgebit.bench.session import connect
from edgebit.bench.verify import golden, verify
from edgebit.board import list_boards, load_board
from edgebit.devices.bootrom import refusal
from edgebit.devices.cycles import m0
from edgebit.devices.open import emulators
from edgebit.devices.uart_models import MODELS
from edgebit.errors import ToolchainError
from edgebit.flash.base import flashers
from edgebit.plan.account import load_bounds
from edgebit.plan.plan import Plan
from edgebit.toolchain.base import find_toolchain, run
from edgebit.toolchain.build import BuildResult, build_export
from edgebit.toolchain.recipe import read_recipe
from edgebit.workflow import Prepared, export_model, prepare_model

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "digits"
MICRO = [b for b in list_boards() if load_board(b).core.is_cortex_m]
SMALL_RAM = 32 << 10  # there the faster kernels' scratch does not fit


class Exported(NamedTuple):
    folder: ExportFolder
    plan: Plan


Export = Callable[[str], Exported]


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare_model(EXAMPLE / "digits.onnx")


@pytest.fixture(scope="module")
def export(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Export:
    """The digits example for a board with one golden vector; the model is read once, exports are made once."""
    root, made = tmp_path_factory.mktemp("boards"), dict[str, Exported]()

    def get(board: str) -> Exported:
        if board not in made:
            small = 0 < load_board(board).ram_bytes < SMALL_RAM
            made[board] = Exported(
                *export_model(
                    prepared,
                    board,
                    root / board,
                    vectors=EXAMPLE / "test.npz",
                    limit=1,
                    optimize="size" if small else "balanced",
                )
            )
        return made[board]

    return get


def check_sizes(folder: ExportFolder, built: BuildResult) -> None:
    """Weights and arena are what was promised to the byte; code and stack are below their bounds, which an export
    gives for the default compiler, and without the boot stage, which lies in a memory of its own."""
    promised = {r["item"]: r["bytes"] for r in folder.manifest["fit"]["rows"]}
    linked = {r.item: r.bytes for r in linked_account(folder, built).rows}
    for item in ("weights", "arena"):
        assert linked[item] == promised[item], item
    if built.toolchain.startswith("zig"):
        boot = sum(m.length for m in folder.board().memories if m.kind == "boot")
        assert linked["code"] - boot <= promised["code"]
        assert linked.get("stack", 0) <= promised.get("stack", 0)  # that of the host is not known


@pytest.mark.parametrize("chain", ["zig", "gcc"])
@pytest.mark.parametrize("name", list_boards())
def test_board_computes_what_the_reference_does(name: str, chain: str, export: Export) -> None:
    """Built by each compiler, its firmware fits as promised, boots in emulation, and is bit-exact with the one certificate."""
    board = load_board(name)
    try:
        find_toolchain(chain).version(board.core)
    except ToolchainError as e:
        pytest.skip(f"{e}; {name} was not built with {chain}")
    only_qemu = emulators(board) == ("qemu",)
    if only_qemu and shutil.which(board.emulators["qemu"]["program"]) is None:
        pytest.skip(
            f"{name} is emulated by {board.emulators['qemu']['program']} alone, which is not installed"
        )
    folder, plan = export(name)
    assert folder.manifest["certificate"] == export("host").folder.manifest["certificate"]
    built = build_export(folder.path, toolchain=chain)
    check_sizes(folder, built)
    bounds = load_bounds(board.core, chain)
    another = bounds.compiler not in ("", find_toolchain(chain).version(board.core))
    if (board.core.is_cortex_m or bounds.measured) and not another:
        check_account(plan, built, chain)
    with connect(folder, emulate=None if name == "host" else "", toolchain=chain) as device:
        result = verify(folder, device.link, golden(folder))
    assert result.bit_exact
    assert result.certificate == folder.manifest["certificate"]
    if another:
        pytest.skip(
            f"{name} is bit-exact; only its code was not held to a table measured with {bounds.compiler}"
        )


@pytest.mark.parametrize("name", MICRO)
def test_facts_of_a_board_agree_with_each_other(name: str) -> None:
    board = load_board(name)
    assert board.sources
    assert board.link
    assert board.clock_hz
    assert [m.name for m in board.memories if m.kind == "ram"] == ["RAM"]
    assert [m.name for m in board.memories if m.kind == "flash"] == ["FLASH"]
    assert all(m.origin % 256 == 0 and m.length % 256 == 0 for m in board.memories)
    assert board.uart is not None
    assert board.uart.model in MODELS
    assert all(p.is_file() for p in board.port_sources())
    assert set(board.flash_methods) <= set(flashers())


@pytest.mark.parametrize("chain", ["zig", "gcc"])
@pytest.mark.parametrize("name", MICRO)
def test_port_of_a_board_compiles_without_a_warning(
    name: str, chain: str, export: Export, tmp_path: Path
) -> None:
    """Start-up, UART, USB and the board's own files: the rest is the same everywhere, and looked at elsewhere."""
    folder = export(name).folder.path
    job = read_recipe(folder).job(tmp_path / "out.o")
    own = {p.name for p in port_files(load_board(name))}
    tool = find_toolchain(chain)
    for source in (s for s in job.sources if Path(s).name in own and s.endswith(".c")):
        alone = replace(job, sources=(source,), script="", entry="")
        try:
            command = tool.command(alone)
        except ToolchainError as e:
            pytest.skip(f"{e}; {name} was not checked with {chain}")
        flags = [
            "-c",
            "-Wall",
            "-Wextra",
            "-Wconversion",
            "-Wpedantic",
            "-Werror",
            "-Wno-unused-command-line-argument",
        ]
        run(
            [*command, *(f for f in flags if chain == "zig" or "command-line" not in f)],
            folder,
            tool.environment(),
            what=source,
        )


def test_currents_are_stated_with_their_source(edgebit: Callable[..., Any]) -> None:
    known = [b for b in map(load_board, list_boards()) if b.current is not None]
    assert {"rpi5", "teensy-4.1", "nrf52840-dk"} <= {b.name for b in known}
    for board in known:
        assert board.current is not None
        assert 1 < board.current.milliamperes < 5000
        assert len(board.current.source) > 10
        assert len(board.current.at) > 10
    shown = edgebit("boards", "show", "nrf52840-dk", "--json")
    assert shown.json["current"]["milliamperes"] == 3.3
    assert "3.3 mA typical, not measured" in shown.err
    assert "current      not stated" in edgebit("boards", "show", "microbit-v2", "--json").err


def test_like_takes_over_what_is_not_stated() -> None:
    pico, wireless = load_board("pico"), load_board("pico-w")
    assert wireless.memories == pico.memories
    assert wireless.title != pico.title
    assert wireless.port_sources() == pico.port_sources()
    v2 = load_board("microbit-v2")
    assert set(v2.flash_methods) == {"msd", "pyocd"}
    assert v2.port["constants"]["RX_PIN"] == 40


def test_boot_roms_refuse_images_without_their_headers(export: Export) -> None:
    board = load_board("teensy-4.1")
    image = build_export(export("teensy-4.1").folder.path).bin.read_bytes()
    assert refusal(board, image) is None
    for at in (0, 0x1000, 0x1007, 0x1014):
        damaged = bytearray(image)
        damaged[at] ^= 0xFF
        assert refusal(board, bytes(damaged)) is not None, hex(at)
    assert refusal(board, image[:0x1000]) is not None


@pytest.mark.parametrize(
    ("text", "cycles", "taken"),
    [
        ("movs r0, r1", 1, 0),
        ("muls r0, r1", 1, 0),
        ("ldr r0, [r1]", 2, 0),
        ("push {r4, lr}", 3, 0),
        ("pop {r4, pc}", 6, 0),
        ("bne #0x10", 1, 2),
        ("bl #0x10", 4, 0),
        ("bx lr", 3, 0),
        ("mov pc, r0", 3, 0),
        ("dsb sy", 4, 0),
    ],
)
def test_cycles_of_the_m0(text: str, cycles: int, taken: int) -> None:
    """Cortex-M0 TRM DDI 0432C, table 3-1."""
    mnemonic, _, operands = text.partition(" ")
    assert m0(mnemonic, operands, None)[:2] == (cycles, taken)
