"""Flashing over mounted drives, with folders for drives and a thread for the boot ROM."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from edgebit.board import load_board
from edgebit.devices.find import UsbDevice
from edgebit.errors import NoBoardError, ToolchainError, UsageError, WriteError, WrongBoardError
from edgebit.flash import base, msd, uf2
from edgebit.flash.base import Chosen, choose_flasher, flashers
from edgebit.toolchain.uf2 import seal_boot2, write_uf2

PICO, PICO2 = load_board("pico"), load_board("pico2")
NUCLEO = load_board("nucleo-f446re")
RP2040, RP2350 = 0xE48BFF56, 0xE48BFF59
IMAGE = seal_boot2(bytes(256)) + bytes(range(256)) * 20


class Built(NamedTuple):
    elf: Path
    bin: Path
    uf2: Path | None
    image_id: str = "00" * 16


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No drives but ours, no ports, no long waits."""
    monkeypatch.setenv(base.VOLUMES, "")
    monkeypatch.setattr(base, "connected_ports", lambda board: [])
    monkeypatch.setattr(uf2, "RESTART_SECONDS", 0.3)
    monkeypatch.setattr(msd, "WRITE_SECONDS", 0.3)


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Built]:
    def make(image: bytes = IMAGE, family: int = RP2040, origin: int = 0x10000000) -> Built:
        folder = tmp_path / "net.build"
        folder.mkdir(exist_ok=True)
        built = Built(folder / "firmware.elf", folder / "firmware.bin", folder / "firmware.uf2")
        assert built.uf2 is not None
        built.bin.write_bytes(image)
        built.uf2.write_bytes(write_uf2(image, origin, family))
        return built

    return make


def drive(parent: Path, name: str, board_id: str) -> Path:
    d = parent / name
    d.mkdir()
    (d / uf2.INFO).write_bytes(
        f"UF2 Bootloader v3.0\r\nModel: Raspberry Pi\r\nBoard-ID: {board_id}\r\n".encode()
    )
    return d


@pytest.fixture
def boot_rom() -> Iterator[Callable[[Path], None]]:
    """Takes the drive away once a whole UF2 file lies on it."""
    stop = threading.Event()
    threads: list[threading.Thread] = []

    def start(d: Path) -> None:
        def watch() -> None:
            while not stop.is_set():
                if any(p.stat().st_size >= 512 * 21 for p in d.glob("*.UF2")):
                    (d / uf2.INFO).unlink()
                    return
                time.sleep(0.01)

        threads.append(threading.Thread(target=watch))
        threads[-1].start()

    yield start
    stop.set()
    for t in threads:
        t.join()


def test_methods_are_found() -> None:
    assert set(flashers()) >= {"uf2", "msd", "emulated", "pyocd", "bossac", "teensy_loader", "ssh"}
    assert choose_flasher(PICO).name == "uf2"
    assert choose_flasher(NUCLEO).name == "msd"
    assert choose_flasher(PICO, emulate="").name == "emulated"
    assert choose_flasher(load_board("host")).name == "emulated"
    with pytest.raises(UsageError, match="it takes: uf2"):
        choose_flasher(PICO, method="msd")
    with pytest.raises(UsageError, match="there are: bossac, emulated, msd"):
        choose_flasher(PICO, method="jtag")
    with pytest.raises(UsageError, match="no way to flash"):
        choose_flasher(load_board("mps2-an386"))
    assert choose_flasher(PICO, chosen=Chosen(probe="1")).name == "pyocd"
    assert choose_flasher(load_board("rpi5"), chosen=Chosen(host="pi")).name == "ssh"
    with pytest.raises(UsageError, match="--host is not for the Raspberry Pi Pico"):
        choose_flasher(PICO, chosen=Chosen(host="pi"))


def test_the_file_arrives_and_the_board_restarts(
    tmp_path: Path,
    build: Callable[..., Built],
    boot_rom: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    d = drive(tmp_path, "RPI-RP2", "RPI-RP2")
    monkeypatch.setenv(base.VOLUMES, str(d))
    monkeypatch.setattr(uf2, "RESTART_SECONDS", 5.0)
    built = build()
    assert built.uf2 is not None
    steps = uf2.FLASHER.steps(PICO, built)
    assert any(str(d) in s for s in steps)
    assert [p.name for p in d.iterdir()] == [uf2.INFO], "a dry run writes nothing"
    assert steps[-1].startswith("not ask the board"), "nothing says that the drive is its own USB's"
    monkeypatch.setattr(uf2, "usb_devices", lambda: [UsbDevice(0x2E8A, 0x0003, "RP2 Boot", "", "1-1")])
    assert steps[:-1] == uf2.FLASHER.steps(PICO, built)[:-1]
    assert "compare the model and the image" in uf2.FLASHER.steps(PICO, built)[-1]
    monkeypatch.setattr(uf2, "usb_devices", list)
    boot_rom(d)
    said = uf2.FLASHER.run(PICO, built)
    assert "restarted" in said
    assert "edgebit verify --port" in said
    assert (d / "EDGEBIT.UF2").read_bytes() == built.uf2.read_bytes()


def test_a_board_that_does_not_restart(tmp_path: Path, build: Callable[..., Built]) -> None:
    d = drive(tmp_path, "RPI-RP2", "RPI-RP2")
    with pytest.raises(WriteError, match="still there"):
        uf2.FLASHER.run(PICO, build(), Chosen(volume=str(d)))


def test_a_drive_that_cannot_be_written(tmp_path: Path, build: Callable[..., Built]) -> None:
    d = drive(tmp_path, "RPI-RP2", "RPI-RP2")
    (d / "EDGEBIT.UF2").mkdir()
    with pytest.raises(WriteError, match="BOOTSEL"):
        uf2.FLASHER.run(PICO, build(), Chosen(volume=str(d)))


def test_none_and_many(tmp_path: Path, build: Callable[..., Built], monkeypatch: pytest.MonkeyPatch) -> None:
    built = build()
    with pytest.raises(NoBoardError, match="BOOTSEL"):
        uf2.FLASHER.run(PICO, built)
    (tmp_path / "stick").mkdir()
    with pytest.raises(NoBoardError, match="INFO_UF2"):
        uf2.FLASHER.run(PICO, built, Chosen(volume=str(tmp_path / "stick")))
    with pytest.raises(NoBoardError):
        uf2.FLASHER.run(PICO, built, Chosen(volume=str(tmp_path / "nothing")))
    two = [drive(tmp_path, n, "RPI-RP2") for n in ("a", "b")]
    monkeypatch.setenv(base.VOLUMES, ":".join(map(str, two)))
    with pytest.raises(NoBoardError, match=r"more than one .*choose with --volume"):
        uf2.FLASHER.run(PICO, built)
    assert uf2.find_drive(PICO, str(two[0])) == two[0]


def test_wrong_boards(tmp_path: Path, build: Callable[..., Built], monkeypatch: pytest.MonkeyPatch) -> None:
    d = drive(tmp_path, "RP2350", "RP2350")
    monkeypatch.setenv(base.VOLUMES, str(d))
    with pytest.raises(WrongBoardError, match=r"RP2350"):
        uf2.FLASHER.run(PICO, build())
    with pytest.raises(WrongBoardError, match="is not for a Raspberry Pi Pico"):
        uf2.FLASHER.run(PICO, build(family=RP2350), Chosen(volume=str(d)))
    with pytest.raises(WrongBoardError, match="second-stage boot"):
        uf2.FLASHER.run(PICO, build(image=bytes([1]) + IMAGE[1:]))
    with pytest.raises(WrongBoardError, match="starts at 0x10000000"):
        uf2.FLASHER.run(PICO, build(origin=0x10001000))
    with pytest.raises(WrongBoardError, match="image definition block"):
        uf2.FLASHER.run(PICO2, build(family=RP2350))
    with pytest.raises(WrongBoardError, match="no UF2 file"):
        uf2.FLASHER.run(PICO, build()._replace(uf2=None))
    with pytest.raises(ToolchainError, match="build it first"):
        uf2.FLASHER.run(PICO, build()._replace(uf2=tmp_path / "missing"))
    damaged = build()
    assert damaged.uf2 is not None
    damaged.uf2.write_bytes(damaged.uf2.read_bytes()[:-1])
    with pytest.raises(WrongBoardError, match="whole number of 512-byte blocks"):
        uf2.FLASHER.run(PICO, damaged)
    assert [p.name for p in d.iterdir()] == [uf2.INFO]


def test_st_link_drives(tmp_path: Path, build: Callable[..., Built], monkeypatch: pytest.MonkeyPatch) -> None:
    built = build()._replace(uf2=None)
    with pytest.raises(NoBoardError, match="plug in its debugger"):
        msd.FLASHER.run(NUCLEO, built)
    other = tmp_path / "NODE_F401RE"
    other.mkdir()
    (other / "DETAILS.TXT").write_text("Version: 0221\n")
    monkeypatch.setenv(base.VOLUMES, str(other))
    with pytest.raises(WrongBoardError, match="NODE_F401RE"):
        msd.FLASHER.run(NUCLEO, built)
    right = tmp_path / "NODE_F446RE"
    right.mkdir()
    (right / "MBED.HTM").write_text("")
    monkeypatch.setenv(base.VOLUMES, f"{other}:{right}")
    assert any("EDGEBIT.BIN" in s for s in msd.FLASHER.steps(NUCLEO, built))
    assert not (right / "EDGEBIT.BIN").exists()
    assert "written through" in msd.FLASHER.run(NUCLEO, built)
    assert (right / "EDGEBIT.BIN").read_bytes() == IMAGE
    (right / "FAIL.TXT").write_text("of an earlier attempt\r\n")
    assert "written through" in msd.FLASHER.run(NUCLEO, built)
    (right / "EDGEBIT.BIN").unlink()

    def refuse() -> None:
        while not (right / "EDGEBIT.BIN").exists():
            time.sleep(0.005)
        (right / "FAIL.TXT").write_text("The target is not responding\r\n")

    debugger = threading.Thread(target=refuse)
    debugger.start()
    with pytest.raises(WriteError, match="target is not responding"):
        msd.FLASHER.run(NUCLEO, built)
    debugger.join()


def test_drives_that_say_their_number(
    tmp_path: Path, build: Callable[..., Built], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number in MBED.HTM or DETAILS.TXT counts, whatever the drive is called."""
    built = build()._replace(uf2=None)
    link = '<meta http-equiv="refresh" content="0; url=https://os.mbed.com/platforms/?code=%s0221066FFF"/>'
    d = tmp_path / "SOMETHING"
    d.mkdir()
    monkeypatch.setenv(base.VOLUMES, str(d))
    (d / "MBED.HTM").write_text(link % "0777")
    assert "written through" in msd.FLASHER.run(NUCLEO, built)
    (d / "EDGEBIT.BIN").unlink()
    for volume in (None, str(d)):
        with pytest.raises(WrongBoardError, match="0777"):
            msd.FLASHER.run(load_board("nucleo-l4r5zi"), built, Chosen(volume=volume))
    d = d.rename(tmp_path / "MICROBIT")
    monkeypatch.setenv(base.VOLUMES, str(d))
    (d / "MBED.HTM").write_text('<meta http-equiv="refresh" content="0; url=https://microbit.org/device/"/>')
    (d / "DETAILS.TXT").write_text(
        "# DAPLink Firmware\r\nUnique ID: 9904360258824e45005b8008000000397969900b97969900\r\n"
    )
    assert msd.find_drive(load_board("microbit-v2"), None) == d
    with pytest.raises(WrongBoardError, match="9904"):
        msd.find_drive(load_board("microbit"), None)
    again = tmp_path / "MICROBIT1"
    again.mkdir()
    (again / "DETAILS.TXT").write_text("Unique ID: 9906\r\n")
    monkeypatch.setenv(base.VOLUMES, f"{d}:{again}")
    with pytest.raises(NoBoardError, match="more than one") as e:
        msd.find_drive(load_board("microbit-v2"), None)
    assert len(e.value.details["candidates"]) == 2
    assert not list(tmp_path.rglob("EDGEBIT.BIN"))


def test_mount_points_with_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Path, "read_text", lambda self: "/dev/sdb1 /media/My\\040Drive vfat rw 0 0\n/dev/sda1 / ext4 rw 0 0\n"
    )
    assert base._mounts() == [Path("/media/My Drive")]
