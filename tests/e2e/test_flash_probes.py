"""Flashing through pyOCD, bossac and teensy_loader_cli, as far as it goes without a probe or a board: the real tools run."""

from __future__ import annotations

import gc
import importlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgebit.board import list_boards, load_board
from edgebit.devices import find
from edgebit.devices.serial import SerialPort, explain, find_port
from edgebit.errors import NoBoardError, PortError, ToolchainError, WriteError, WrongBoardError
from edgebit.flash import base, bossac, external, pyocd
from edgebit.flash.base import Chosen, flash_start
from edgebit.toolchain.build import build_export

PROBED = [b for b in list_boards() if "pyocd" in load_board(b).flash_methods]
NEEDS_PACK = {"nucleo-f446re", "nucleo-g0b1re", "nucleo-l4r5zi", "nucleo-u575zi-q", "stm32f4-discovery"}


@pytest.fixture(autouse=True)
def nothing_plugged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "usb").mkdir()
    monkeypatch.setattr(find, "SYSFS", tmp_path / "usb")
    monkeypatch.setenv(base.VOLUMES, "")


@pytest.fixture
def plug(tmp_path: Path) -> Callable[..., None]:
    """Put a device into the kernel's list of USB devices, as /sys/bus/usb/devices shows it."""

    def put(name: str, vid: int, pid: int, serial: str = "") -> None:
        d = tmp_path / "usb" / name
        d.mkdir()
        (d / "idVendor").write_text(f"{vid:04x}\n")
        (d / "idProduct").write_text(f"{pid:04x}\n")
        (d / "serial").write_text(serial + "\n")
        (tmp_path / "usb" / f"{name}:1.0").mkdir(exist_ok=True)  # an interface has no ids

    return put


# pyOCD


@pytest.mark.parametrize("name", PROBED)
def test_chip_is_known_with_a_flash_algorithm(name: str) -> None:
    targets = pytest.importorskip(
        "pyocd.target", reason="pyOCD is not installed: flashing by probe was not tested"
    ).TARGET
    board = load_board(name)
    if name in NEEDS_PACK:
        with pytest.raises(ToolchainError, match=f"pyocd pack install {pyocd.target_name(board)}.*_DFP"):
            pyocd.known_target(board)
        return
    chip = targets[pyocd.known_target(board)]
    region = chip.MEMORY_MAP.get_region_for_address(flash_start(board))
    assert region is not None
    assert region.is_flash
    assert region.flm is not None or region.algo is not None
    last = max(m.origin + m.length for m in board.memories if m.kind == "flash") - 1
    if board.core.name != "cortex-m33":  # pyOCD describes less flash for the RP2350 than the Pico 2 has
        assert chip.MEMORY_MAP.get_region_for_address(last).is_flash


class Wire:
    """A probe with nothing at its end, as pyOCD asks of one before it connects."""

    vendor_name, product_name, unique_id = "nobody", "a wire", "0"

    def __getattr__(self, name: str) -> Any:
        return None if name.startswith("_") else lambda *_args, **_more: None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_pyocd_takes_the_image(digits: Callable[[str], Path]) -> None:
    """Its own loader splits it into the chip's sectors and pages, each byte in its place; only the wire is missing."""
    session = pytest.importorskip("pyocd.core.session", reason="pyOCD is not installed").Session
    loader_of = importlib.import_module("pyocd.flash.loader").FlashLoader
    real = {n: build_export(digits(n)).bin.read_bytes() for n in ("pico", "nrf52840-dk")}
    for name in sorted(set(PROBED) - NEEDS_PACK):
        board, image = load_board(name), real.get(name, bytes(range(256)) * 100)
        options = {"target_override": pyocd.known_target(board), "no_config": True}
        opened = session(Wire(), options=options, auto_open=False)
        opened.target.create_flash()
        opened.target.cores[0] = SimpleNamespace(node_name=None)
        opened.target.selected_core = 0
        loader = loader_of(opened)
        loader.add_data(flash_start(board), image)
        (builder,) = loader._builders.values()
        builder._build_sectors_and_pages(False)
        pages = {p.addr: bytes(p.data) for p in builder.page_list}
        assert b"".join(pages[at] for at in sorted(pages))[: len(image)] == image, name
        assert min(pages) == flash_start(board)
        assert all(s.addr % s.size == 0 for s in builder.sector_list)
        del opened, loader, builder
        gc.collect()  # pyOCD leaves an archive of register descriptions open


def test_no_probe_is_said(digits: Callable[[str], Path], edgebit: Callable[..., Any]) -> None:
    pytest.importorskip("pyocd", reason="pyOCD is not installed: flashing by probe was not tested")
    folder = digits("nrf52840-dk")
    edgebit("build", folder)
    said = edgebit("flash", folder, "--json", code=6).json
    assert "no debug probe is connected" in said["error"]
    assert "'1234'" in edgebit("flash", folder, "--probe", "1234", "--json", code=6).json["error"]
    dry = edgebit("flash", folder, "--dry-run", "--json").json
    assert dry["method"] == "pyocd"
    assert "connect a debug probe" in dry["steps"][0]
    assert any("read the flash back" in s for s in dry["steps"])


def test_what_goes_wrong_under_pyocd_has_its_exit_code() -> None:
    exceptions = pytest.importorskip("pyocd.core.exceptions", reason="pyOCD is not installed")
    board = load_board("nrf52840-dk")
    for error, kind in (
        (exceptions.ProbeError("Access denied (insufficient permissions)"), PortError),
        (exceptions.ProbeError("resource busy"), PortError),
        (exceptions.TransferError("SWD/JTAG communication failure (No ACK)"), WrongBoardError),
        (exceptions.FlashEraseFailure("flash erase sector failure", address=0), WriteError),
    ):
        assert isinstance(pyocd.explain(board, None, error), kind)


def test_read_back_names_the_first_difference() -> None:
    image = bytes(range(200))
    pyocd.check_read_back(0x1000, image, image)
    with pytest.raises(WriteError, match="0x1007"):
        pyocd.check_read_back(0x1000, image, image[:7] + b"\0" + image[8:])
    with pytest.raises(WriteError, match="0x10c7"):
        pyocd.check_read_back(0x1000, image, image[:-1])


# teensy_loader_cli


def test_teensy(
    digits: Callable[[str], Path], edgebit: Callable[..., Any], plug: Callable[..., None]
) -> None:
    folder = digits("teensy-4.1")
    edgebit("build", folder)
    if shutil.which("teensy_loader_cli") is None:
        assert "install teensy-loader-cli" in edgebit("flash", folder, "--json", code=5).json["error"]
        pytest.skip("teensy_loader_cli is not installed; flashing by it was not tested")
    assert "press its button" in edgebit("flash", folder, "--json", code=6).json["error"]
    assert "press the button" in edgebit("flash", folder, "--dry-run", "--json").json["steps"][0]
    plug("1-1", 0x16C0, 0x0478, "1234567")
    steps = edgebit("flash", folder, "--dry-run", "--json").json["steps"]
    assert any("teensy_loader_cli --mcu=TEENSY41" in s and "1234567" in s for s in steps)
    # The kernel's list has a boot loader and the real program looks at the real USB: it finds none.
    assert "udev" in edgebit("flash", folder, "--json", code=8).json["error"]
    plug("1-2", 0x16C0, 0x0478)
    said = edgebit("flash", folder, "--json", code=6).json
    assert len(said["candidates"]) == 2


def test_hex_files_hold_the_image(digits: Callable[[str], Path]) -> None:
    built = build_export(digits("teensy-4.1"))
    memory: dict[int, int] = {}
    upper = 0
    with external.hex_file(built) as path:
        lines = path.read_text().split()
    for line in lines:
        raw = bytes.fromhex(line[1:])
        assert sum(raw) & 0xFF == 0
        count, low, kind = raw[0], int.from_bytes(raw[1:3], "big"), raw[3]
        if kind == 4:
            upper = int.from_bytes(raw[4:6], "big") << 16
        elif kind == 0:
            memory |= {upper + low + i: b for i, b in enumerate(raw[4 : 4 + count])}
    start = flash_start(load_board("teensy-4.1"))
    image = built.bin.read_bytes()
    assert min(memory) == start
    assert bytes(memory.get(start + i, 0xFF) for i in range(len(image))) == image


# bossac


def test_bossac(
    digits: Callable[[str], Path], edgebit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = digits("arduino-nano-33-ble")
    edgebit("build", folder)
    if shutil.which("bossac") is None:
        assert "1.9.1-arduino2" in edgebit("flash", folder, "--json", code=5).json["error"]
        pytest.skip("bossac is not installed; flashing by it was not tested")
    assert "reset button twice" in edgebit("flash", folder, "--json", code=6).json["error"]
    ours, theirs = os.openpty()
    try:
        name = os.ttyname(theirs)
        port = SerialPort(name, "Nano 33 BLE", 0x2341, 0x005A, "1")
        monkeypatch.setattr(bossac, "list_serial_ports", lambda: [port])
        assert f"--port={name.removeprefix('/dev/')}" in str(
            edgebit("flash", folder, "--dry-run", "--json").json
        )
        said = edgebit("flash", folder, "--json", code=11).json["error"]  # nobody answers on the other end
        assert "bossac failed" in said
        other = SerialPort("/dev/ttyACM98", "Nano 33 BLE", 0x2341, 0x805A, "2")
        monkeypatch.setattr(bossac, "list_serial_ports", lambda: [port, other])
        said = edgebit("flash", folder, "--json", code=6).json
        assert said["candidates"] == [name, "/dev/ttyACM98"]
        assert "choose with --port" in said["error"]
        assert "bossac failed" in edgebit("flash", folder, "--port", name, "--json", code=11).json["error"]
    finally:
        os.close(ours)
        os.close(theirs)


# What is plugged in


def test_boards_says_what_is_plugged_in(
    edgebit: Callable[..., Any], plug: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plug("1-1", 0x2E8A, 0x000F)
    stlink = SerialPort("/dev/ttyACM7", "ST-LINK", 0x0483, 0x374E, "1")
    monkeypatch.setattr(find, "list_serial_ports", lambda: [stlink])
    found = {r["name"]: r["connected"] for r in edgebit("boards", "--json").json["boards"]}
    assert found["pico2"] == ["waits for an image (2e8a:000f)"]
    assert found["pico"] == []
    assert found["nucleo-u575zi-q"] == found["nucleo-h743zi"] == ["/dev/ttyACM7?"]  # both have an ST-LINK/V3E
    assert set(found) == set(list_boards())
    shown = edgebit("boards", "show", "pico2", "--json").json
    assert shown["memories"][0] == {
        "name": "FLASH",
        "kind": "flash",
        "origin": 0x10000000,
        "length": 0x400000,
    }
    assert shown["sources"]
    for words in (("show",), ("pico",), ("show", "pico", "pico2")):
        edgebit("boards", *words, code=2)
    assert "there are" in edgebit("boards", "show", "picoo", "--json", code=2).json["error"]


def test_unmounted_bootsel_drive(
    digits: Callable[[str], Path], edgebit: Callable[..., Any], plug: Callable[..., None]
) -> None:
    plug("1-1", 0x2E8A, 0x0003)
    edgebit("build", digits("pico"))
    said = edgebit("flash", digits("pico"), "--json", code=6).json["error"]
    assert "udisksctl mount -b /dev/disk/by-label/RPI-RP2" in said


def test_a_forbidden_port_gets_its_exact_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    port = SerialPort("/dev/ttyACM3", "", 0x0D28, 0x0204, None)
    monkeypatch.setattr("edgebit.devices.serial.list_serial_ports", lambda: [port])
    said = str(explain("/dev/ttyACM3", PermissionError(13, "Permission denied")))
    assert 'ATTRS{idVendor}=="0d28", ATTRS{idProduct}=="0204"' in said
    assert "usermod -aG" in said
    with pytest.raises(NoBoardError, match=r"serial adapter on PA2 .*--port"):
        find_port(load_board("stm32f4-discovery"))
    assert find_port(load_board("microbit-v2")) == "/dev/ttyACM3"


def test_methods_follow_what_was_chosen(edgebit: Callable[..., Any], digits: Callable[[str], Path]) -> None:
    pico = load_board("pico")
    assert base.choose_flasher(pico).name == "uf2"
    assert base.choose_flasher(pico, chosen=Chosen(probe="x")).name == "pyocd"
    edgebit("build", digits("pico"))
    assert (
        "--volume is not for"
        in edgebit("flash", digits("rpi5"), "--volume", "x", "--json", code=2).json["error"]
    )


def test_doctor_lists_what_the_methods_use(edgebit: Callable[..., Any]) -> None:
    checks = {c["name"]: c for c in edgebit("doctor", "--json").json["checks"]}
    for name in ("pyocd", "bossac", "teensy_loader_cli", "ssh"):
        assert checks[name]["needed"] is False
        assert checks[name]["fix"]
