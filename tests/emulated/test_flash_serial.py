"""`edgebit flash` of boards with a serial port: a Pico plugged in by its own USB, a Nucleo with its debugger. They are played by
a pseudo terminal with the emulated firmware behind it, and by a folder for their drive. What is written is what boots next."""

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
from edgebit.flash import base, msd, uf2
from edgebit.toolchain.build import build_export
from edgebit.toolchain.uf2 import read_uf2

SPEED = 4  # of what tcgetattr gives: the input speed


class Plugged:
    """A board on USB. image: what is in its flash, None for a program of somebody else's, which says nothing.

    writes counts images taken; spoil, if set, damages what is written.
    """

    name: str

    def __init__(self, folder: Path, image: bytes | None) -> None:
        self.board = load_board(self.name)
        self.drive = folder / "drive"
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
        info.vid, info.pid = self.board.usb_ids[0]
        return [info]

    def _live(self, image: bytes | None) -> None:
        while not self._stop.is_set():
            machine = None if image is None else CortexM(self.board, image)
            self._run(machine)
            if machine is not None:
                machine.close()
            if not self._stop.is_set():
                image = self._written()
        os.close(self.ours)
        os.close(self.theirs)

    def _run(self, machine: CortexM | None) -> None:
        """Answer, until the board is to take an image."""
        while not self._stop.is_set() and not self._asked():
            if not select.select([self.ours], [], [], 0.02)[0]:
                continue
            data = os.read(self.ours, 4096)
            if machine is not None:
                machine.write(data)
                while answer := machine.read(0):
                    os.write(self.ours, answer)

    def _asked(self) -> bool:
        raise NotImplementedError

    def _written(self) -> bytes:
        raise NotImplementedError

    def close(self) -> None:
        self._stop.set()
        self._thread.join(10.0)


class Pico(Plugged):
    """Shows its boot ROM's drive when its port is closed at 1200 baud."""

    name = "pico"

    def _asked(self) -> bool:
        return bool(termios.tcgetattr(self.ours)[SPEED] == termios.B1200)

    def _written(self) -> bytes:
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
                    image = read_uf2(file.read_bytes(), int(self.board.flash_methods["uf2"]["family"]))[1]
                    (self.drive / uf2.INFO).unlink()
                    file.unlink()
                    self.drive.rmdir()
                    self.writes += 1
                    time.sleep(0.4)
                    self.plugged = True
                    return self.spoil(image)
            time.sleep(0.02)
        return b""


class Nucleo(Plugged):
    """Its debugger always shows a drive, and programs what lies on it once no more of it comes."""

    name = "nucleo-f446re"

    def _asked(self) -> bool:
        if not self.drive.exists():
            self.drive.mkdir()
            (self.drive / "MBED.HTM").write_text("url=https://os.mbed.com/platforms/?code=07770221066FFF")
        return any(self.drive.glob("*.BIN"))

    def _written(self) -> bytes:
        (file,) = self.drive.glob("*.BIN")
        size = -1
        while size != file.stat().st_size:
            size = file.stat().st_size
            time.sleep(0.1)
        image = file.read_bytes()
        file.unlink()
        self.writes += 1
        return self.spoil(image)


@pytest.fixture
def plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Plugged]]:
    plugged: list[Plugged] = []

    def make(image: bytes | None, kind: type[Plugged] = Pico) -> Plugged:
        board = kind(tmp_path, image)
        plugged.append(board)
        monkeypatch.setenv(base.VOLUMES, str(board.drive))
        monkeypatch.setattr(ports.list_ports, "comports", board.comports)
        return board

    yield make
    for board in plugged:
        board.close()


def test_written_once_then_left_alone(
    plug_in: Callable[..., Plugged], digits: Callable[[str], Path], edgebit: Callable[..., Any]
) -> None:
    folder = digits("pico")
    pico = plug_in(None)
    steps = edgebit("flash", folder, "--dry-run", "--json").json["steps"]
    asked = next(k for k, s in enumerate(steps) if s.startswith(f"ask {pico.port} which image runs"))
    assert f"close {pico.port} at 1200 baud" in steps[asked + 1]
    assert not any(
        "which image runs" in s
        for s in edgebit("flash", folder, "--force", "--dry-run", "--json").json["steps"]
    )
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
    took = edgebit("bench", folder, "--board", "pico", "--runs", 1, "--json").json
    assert took["metric"] == "wall-clock seconds with the link", "nothing is counted on a real board"
    forced = edgebit("flash", folder, "--force", "--json").json
    assert forced["written"] is True
    assert pico.writes == 2


def test_a_board_that_runs_another_image_afterwards(
    plug_in: Callable[..., Plugged], digits: Callable[[str], Path], edgebit: Callable[..., Any]
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
    plug_in: Callable[..., Plugged],
    digits: Callable[[str], Path],
    edgebit: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pico = plug_in(None)
    monkeypatch.setattr(ports.list_ports, "comports", lambda: pico.comports() * 2)
    said = edgebit("flash", digits("pico"), "--json", code=6).json["error"]
    assert "choose with --port" in said
    assert pico.writes == 0


def test_a_debuggers_board_is_asked_too(
    plug_in: Callable[..., Plugged],
    digits: Callable[[str], Path],
    edgebit: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its port is there all the time; a wrong image behind it is noticed."""
    monkeypatch.setattr(msd, "WRITE_SECONDS", 0.5)
    folder = digits("nucleo-f446re")
    nucleo = plug_in(None, Nucleo)
    done = edgebit("flash", folder, "--json").json
    assert f"it answers on {nucleo.port} as 'digits', image {done['image_id']}" in done["said"]
    assert edgebit("flash", folder, "--json").json["written"] is False
    assert nucleo.writes == 1
    name = bytes.fromhex(done["image_id"])
    nucleo.spoil = lambda image: image.replace(name, b"\x5a" * 16)
    assert "5a" * 16 in edgebit("flash", folder, "--force", "--json", code=7).json["error"]
