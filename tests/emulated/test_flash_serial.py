"""`edgebit flash` of a Pico plugged in by its own USB: the board is played by a pseudo terminal with the emulated firmware
behind it, and by a folder for the drive of its boot ROM. What is written is what boots next."""

from __future__ import annotations

import contextlib
import os
import select
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from serial.tools.list_ports_common import ListPortInfo

from edgebit.board import load_board
from edgebit.devices import serial as ports
from edgebit.devices.unicorn_m import CortexM
from edgebit.errors import ToolchainError
from edgebit.flash import base, uf2
from edgebit.toolchain.build import build_export
from edgebit.toolchain.uf2 import read_uf2

PICO = load_board("pico")
SPEED = 4  # of what tcgetattr gives: the input speed


class Pico:
    """A board on USB. image: what is in its flash, None for a program of somebody else's, which says nothing.

    writes counts images taken; spoil, if set, damages what is written.
    """

    def __init__(self, folder: Path, image: bytes | None) -> None:
        self.drive = folder / "RPI-RP2"
        self.ours, self.theirs = os.openpty()
        tty.setraw(self.ours)
        tty.setraw(self.theirs)
        self.port = os.ttyname(self.theirs)
        self.plugged = True
        self.writes = 0
        self.spoil: Callable[[bytes], bytes] = lambda image: image
        self._stop = threading.Event()
        self._machine: CortexM | None = None
        self._thread = threading.Thread(target=self._live, args=(image,), daemon=True)
        self._thread.start()

    def comports(self) -> list[ListPortInfo]:
        if not self.plugged:
            return []
        info = ListPortInfo(self.port)
        info.vid, info.pid = PICO.usb_ids[0]
        return [info]

    def _live(self, image: bytes | None) -> None:
        while not self._stop.is_set():
            machine = None if image is None else CortexM(PICO, image)
            self._run(machine)
            if machine is not None:
                machine.close()
            image = self._boot_rom()
        os.close(self.ours)
        os.close(self.theirs)

    def _run(self, machine: CortexM | None) -> None:
        """Answer, until somebody closes the port at 1200 baud."""
        while not self._stop.is_set() and termios.tcgetattr(self.ours)[SPEED] != termios.B1200:
            if not select.select([self.ours], [], [], 0.02)[0]:
                continue
            data = os.read(self.ours, 4096)
            if machine is not None:
                machine.write(data)
                while answer := machine.read(0):
                    os.write(self.ours, answer)

    def _boot_rom(self) -> bytes:
        self.plugged = False
        told = termios.tcgetattr(self.ours)
        told[SPEED] = told[SPEED + 1] = termios.B115200
        termios.tcsetattr(self.ours, termios.TCSANOW, told)
        time.sleep(0.1)
        self.drive.mkdir()
        (self.drive / uf2.INFO).write_text(
            "UF2 Bootloader v3.0\nModel: Raspberry Pi RP2\nBoard-ID: RPI-RP2\n"
        )
        while not self._stop.is_set():
            for file in self.drive.glob("*.UF2"):
                with contextlib.suppress(ToolchainError):  # not all of it is there yet
                    image = read_uf2(file.read_bytes(), int(PICO.flash_methods["uf2"]["family"]))[1]
                    (self.drive / uf2.INFO).unlink()
                    file.unlink()
                    self.drive.rmdir()
                    self.writes += 1
                    time.sleep(0.4)
                    self.plugged = True
                    return self.spoil(image)
            time.sleep(0.02)
        return b""

    def close(self) -> None:
        self._stop.set()
        self._thread.join(10.0)


@pytest.fixture
def plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes | None], Pico]]:
    plugged: list[Pico] = []

    def make(image: bytes | None) -> Pico:
        pico = Pico(tmp_path, image)
        plugged.append(pico)
        monkeypatch.setenv(base.VOLUMES, str(pico.drive))
        monkeypatch.setattr(ports.list_ports, "comports", pico.comports)
        return pico

    yield make
    for pico in plugged:
        pico.close()


def test_written_once_then_left_alone(
    plug_in: Callable[[bytes | None], Pico], digits: Callable[[str], Path], edgebit: Callable[..., Any]
) -> None:
    folder = digits("pico")
    pico = plug_in(None)
    steps = edgebit("flash", folder, "--dry-run", "--json").json["steps"]
    assert any(f"close {pico.port} at 1200 baud" in s for s in steps)
    assert "compare the model and the image" in steps[-1]
    assert pico.writes == 0
    first = edgebit("flash", folder, "--json").json
    assert first["written"] is True
    assert f"it answers on {pico.port} as 'digits', image {first['image_id']}" in first["said"]
    assert pico.writes == 1
    again = edgebit("flash", folder, "--json").json
    assert again["written"] is False
    assert f"{pico.port} already runs this image" in again["said"]
    assert pico.writes == 1
    assert edgebit("verify", folder, "--board", "pico", "--json").json["bit_exact"] is True
    forced = edgebit("flash", folder, "--force", "--json").json
    assert forced["written"] is True
    assert pico.writes == 2


def test_a_board_that_runs_another_image_afterwards(
    plug_in: Callable[[bytes | None], Pico], digits: Callable[[str], Path], edgebit: Callable[..., Any]
) -> None:
    folder = digits("pico")
    built = build_export(folder)
    name = bytes.fromhex(built.image_id)
    pico = plug_in(built.bin.read_bytes().replace(name, bytes(16)))
    pico.spoil = lambda image: image.replace(name, b"\x5a" * 16)
    said = edgebit("flash", folder, "--json", code=7).json["error"]
    assert "5a" * 16 in said
    assert pico.writes == 1


def test_two_boards_are_not_chosen_between(
    plug_in: Callable[[bytes | None], Pico],
    digits: Callable[[str], Path],
    edgebit: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pico = plug_in(None)
    monkeypatch.setattr(ports.list_ports, "comports", lambda: pico.comports() * 2)
    said = edgebit("flash", digits("pico"), "--json", code=6).json["error"]
    assert "choose with --port" in said
    assert pico.writes == 0
