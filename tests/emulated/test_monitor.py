"""`edgebit monitor` on an emulated board and on a serial port, and how it tells frames, text and noise apart."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from serial.tools.list_ports_common import ListPortInfo

from edgebit.board import load_board
from edgebit.devices import serial
from edgebit.devices.link import Frame, Kind
from edgebit.devices.monitor import Splitter
from edgebit.devices.serial import open_port
from edgebit.devices.unicorn_m import CortexM
from edgebit.toolchain.build import build_export


def test_emulated_board_says_who_it_is(digits: Callable[[str], Path], edgebit: Callable[..., Any]) -> None:
    folder = digits("pico")
    seen = edgebit("monitor", folder, "--emulate", "--seconds", 0.6, "--every", 0.2, "--json").json
    assert seen["frames"] >= 2
    assert "pico: model 'digits'" in seen["events"][0]["text"]
    quiet = edgebit("monitor", folder, "--emulate", "--seconds", 0.3, "--listen", "--json").json
    assert quiet["events"] == []


def test_serial_port_with_a_board_behind_it(
    digits: Callable[[str], Path], edgebit: Callable[..., Any]
) -> None:
    """A pseudo terminal whose other end is an emulated board that another firmware's text precedes."""
    machine = CortexM(load_board("pico"), build_export(digits("pico")).bin.read_bytes())
    ours, theirs = os.openpty()
    tty.setraw(ours)
    tty.setraw(theirs)

    def serve() -> None:
        greeting = b"booting v1.2\r\n"
        while True:
            try:
                machine.write(os.read(ours, 4096))
            except OSError:
                return
            os.write(ours, greeting)
            greeting = b""
            while answer := machine.read(0):
                os.write(ours, answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        seen = edgebit(
            "monitor", "--port", os.ttyname(theirs), "--seconds", 1.0, "--every", 0.3, "--json"
        ).json
    finally:
        os.close(theirs)
        os.close(ours)
        thread.join(5.0)
        machine.close()
    assert seen["text"] == ["booting v1.2"]
    assert seen["frames"] >= 1
    assert any("model 'digits'" in e["text"] for e in seen["events"])


def test_errors_are_sentences(edgebit: Callable[..., Any], tmp_path: Path) -> None:
    missing = tmp_path / "ttyX"
    for port, why in (
        (missing, "there is no port"),
        (tmp_path, "is not a serial port"),
        (__file__, "is not a ser"),
    ):
        said = edgebit("monitor", "--port", port, "--json", code=8).json["error"]
        assert str(port) in said
        assert why in said
        assert "ports here" in said
    assert "--port" in edgebit("monitor", "--board", "teensy-4.1", "--json", code=6).json["error"]
    edgebit("monitor", "--emulate", "--port", "x", "--json", code=2)


def test_two_boards_are_listed_and_not_chosen_between(
    edgebit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [ListPortInfo(f"/dev/ttyACM{k}") for k in range(2)]
    for info in found:
        info.vid, info.pid = load_board("microbit-v2").usb_ids[0]
    monkeypatch.setattr(serial.list_ports, "comports", lambda: found)
    said = edgebit("monitor", "--board", "microbit-v2", "--json", code=6).json
    assert said["candidates"] == ["/dev/ttyACM0", "/dev/ttyACM1"]
    assert "choose with --port" in said["error"]


def test_frames_text_and_noise_in_any_pieces() -> None:
    frame = Frame(Kind.RUN | 0x80, 10, bytes(8), payload=b"\n\n\0abc\n").encode()
    stream = b"one\r\n" + frame + b"two\n\0" + b"\xff\xfe\x01\0" + "grün\n".encode() + b"\0" + frame
    want = ["text", "frame", "text", "bytes", "text", "frame"]
    for size in (1, 2, 3, 7, len(stream)):
        splitter = Splitter("here")
        events = [e for i in range(0, len(stream), size) for e in splitter.feed(stream[i : i + size])]
        assert [e.kind for e in events] == want, size
        assert [e.text for e in events if e.kind == "text"] == ["one", "two", "grün"]
        assert "RUN reply, 7 bytes" in events[1].text
    assert [e.text for e in Splitter("here").feed(b"no end")] == []
    splitter = Splitter("here")
    splitter.feed(b"no end")
    assert [e.text for e in splitter.rest()] == ["no end"]


@pytest.mark.parametrize("n", [5000, 20000])
def test_endless_noise_is_not_kept(n: int) -> None:
    splitter = Splitter("here")
    events = splitter.feed(b"\x01" * n)
    assert len(events) == 1
    assert str(n) in events[0].text


def test_a_port_that_another_program_has_open(edgebit: Callable[..., Any]) -> None:
    ours, theirs = os.openpty()
    name = os.ttyname(theirs)
    try:
        with contextlib.closing(open_port(name, 115200)):
            said = edgebit("monitor", "--port", name, "--seconds", 0.2, "--json", code=8).json["error"]
        assert f"{name} is busy" in said
        assert f"fuser {name}" in said
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_port_that_vanishes_while_it_is_watched(edgebit: Callable[..., Any]) -> None:
    """The cable is pulled: exit 10, with what was seen before on the screen."""
    ours, theirs = os.openpty()
    tty.setraw(ours)
    name = os.ttyname(theirs)

    def pull() -> None:
        os.read(ours, 100)  # the first greeting
        os.write(ours, b"still here\n")
        time.sleep(0.3)
        os.close(ours)

    cable = threading.Thread(target=pull)
    cable.start()
    done = edgebit("monitor", "--port", name, "--seconds", 20, "--every", 0.1, "--json", code=10)
    cable.join()
    os.close(theirs)
    assert "was it unplugged?" in done.json["error"]
    assert "still here" in done.err
