"""The USB serial port of Pico and Pico 2 against a host that does what hosts do on bad days, one packet at a time."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import unicorn
from rp2_usb import (
    BUFF_STATUS,
    CONNECTED,
    LINE_J,
    SIE_STATUS,
    SOFTCON,
    STALLED,
    SUSPENDED,
    TO_PAD,
    TO_PHY,
    USB_MUXING,
    Cable,
    Port,
)
from unicorn import arm_const

from edgebit.bench.folder import ExportFolder, open_export
from edgebit.bench.verify import golden, verify
from edgebit.board import load_board
from edgebit.devices.link import Frame, Kind, Link
from edgebit.toolchain.build import build_export

HELLO = Frame(Kind.HELLO, 1, bytes(8)).encode()


@pytest.fixture(params=["pico", "pico2"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(name: str, digits: Callable[[str], Path]) -> ExportFolder:
    return open_export(digits(name))


@pytest.fixture
def cable(name: str, folder: ExportFolder) -> Iterator[Cable]:
    c = Cable(load_board(name), build_export(folder.path).bin.read_bytes())
    yield c
    c.close()


@pytest.fixture
def ready(cable: Cable) -> Cable:
    cable.plug_in()
    cable.open()
    return cable


def greets(cable: Cable) -> bool:
    """Whether a greeting is answered, whole."""
    Port(cable).write(b"\0" + HELLO)
    for _ in range(3):  # what a reply of before left may come first
        frames = [Frame.decode(part) for part in Port(cable).read(0).split(b"\0") if part]
        if any(f is not None and f.kind == Kind.HELLO | 0x80 for f in frames):
            return True
    return False


def over_uart(cable: Cable, data: bytes) -> Frame | None:
    """What the UART answers."""
    said = cable.uart(data)
    frames = [Frame.decode(part) for part in said.split(b"\0") if part]
    return frames[-1] if frames else None


def test_the_one_certificate_over_usb(ready: Cable, folder: ExportFolder) -> None:
    link = Link(Port(ready))
    link.hello()
    result = verify(folder, link, golden(folder))
    assert result.bit_exact
    assert result.certificate == folder.manifest["certificate"]


def test_descriptors_of_any_length(cable: Cable, name: str) -> None:
    cable.plug_in()
    device = cable.control(0x80, 6, 0x100, length=18)
    whole = cable.control(0x80, 6, 0x200, length=65535)
    assert struct.unpack_from("<HH", device, 8) == load_board(name).usb_ids[0]
    assert struct.unpack_from("<H", whole, 2)[0] == len(whole)
    for n in (1, 8, 9, 63, 64, 65, len(whole), 255):
        assert cable.control(0x80, 6, 0x200, length=n) == whole[:n]
    for n in range(3):
        text = cable.control(0x80, 6, 0x300 | n, 0x409, 255)
        assert (text[0], text[1]) == (len(text), 3)
    assert text[2:].decode("utf-16-le") == f"EdgeBit {name}"


@pytest.mark.parametrize(
    "asked",
    [
        (0x80, 6, 0x300 | 3, 0, 255),  # a string that is not there
        (0x80, 6, 0x600, 0, 10),  # a qualifier: high speed alone has it
        (0x80, 6, 0x201, 0, 255),  # another configuration
        (0x00, 9, 2),  # as above
        (0x00, 3, 1),  # wake me up
        (0x02, 1, 0, 0x85),  # an endpoint that is not there
        (0x01, 11, 1, 1),  # another setting of an interface
        (0x21, 0x23, 100),  # a break
        (0xC0, 1, 0, 4, 16),  # somebody's own
        (0x00, 6, 0x100),  # the wrong way round
        (0x80, 9, 1, 0, 8),
        (0xA1, 0x20, 0, 0, 7),
        (0x21, 0x20),  # without its data
    ],
)
def test_what_it_does_not_know_it_stalls(ready: Cable, asked: tuple[int, ...]) -> None:
    assert ready.control(*asked) == STALLED
    assert ready.control(0x80, 8, length=1) == b"\1", "and goes on"
    assert greets(ready)


def test_requests_that_the_host_drops(ready: Cable) -> None:
    """It takes one packet of a reply, or none, and asks for something else."""
    for _ in range(3):
        assert len(ready.control(0x80, 6, 0x200, length=255, cut=64)) == 64
        ready.setup(0x80, 6, 0x100, length=18)
        ready.setup(0x21, 0x20, length=7)
        assert ready.control(0x80, 8, length=1) == b"\1"
    assert struct.unpack_from("<I", ready.control(0xA1, 0x21, length=7))[0] == 115200
    assert greets(ready)


def test_reset_in_the_middle_of_a_frame(ready: Cable) -> None:
    Port(ready).write(HELLO[:20])
    ready.plug_in()
    ready.open()
    assert greets(ready)


def test_reset_in_the_middle_of_a_reply(ready: Cable) -> None:
    Port(ready).write(HELLO)
    assert ready.until("a packet", lambda: ready.take(2))
    ready.plug_in()
    ready.open()
    assert greets(ready)


def test_a_program_that_goes_without_its_reply(ready: Cable) -> None:
    """The port is closed, or the bus falls asleep, with a reply half sent: the board goes on listening to others."""
    for leave in (ready.close_port, lambda: ready.raise_event(SUSPENDED)):
        Port(ready).write(HELLO)
        assert ready.until("a packet", lambda: ready.take(2))
        leave()
        assert over_uart(ready, HELLO) is not None
        ready.open()
        assert greets(ready)


def test_halts_and_settings_start_data_anew(ready: Cable) -> None:
    assert greets(ready)
    Port(ready).write(Frame(Kind.RESET, 2, b"another!").encode())
    assert len(Port(ready).read(0)) < 64, "an odd number of packets each way"
    assert ready.control(0x02, 1, 0, 0x82) == b""
    ready.toggles[2, True] = 0
    assert ready.control(0x02, 1, 0, 0x02) == b""
    ready.toggles[2, False] = 0
    assert greets(ready)
    ready.toggles[2, True] = ready.toggles[2, False] = 0
    assert ready.control(0x01, 11, 0, 1) == b""
    assert greets(ready)
    assert ready.choose(0) == b""
    assert ready.control(0x80, 8, length=1) == b"\0"
    assert ready.choose(1) == b""
    assert greets(ready)


def test_empty_packets_from_the_host(ready: Cable) -> None:
    for _ in range(3):
        ready.until("room", lambda: ready.give(2, b""))
    assert greets(ready)


def test_uart_and_usb_side_by_side(ready: Cable) -> None:
    """Half a frame of one does not spoil a frame of the other, and each gets its own replies."""
    assert over_uart(ready, HELLO[:10]) is None
    Port(ready).write(HELLO)
    assert Frame.decode(Port(ready).read(0).rstrip(b"\0")) is not None
    Port(ready).write(HELLO[:10])
    ready.machine.run()
    assert over_uart(ready, HELLO) is not None
    assert ready.take(2) is None


def test_nothing_happens_without_a_cable(name: str, cable: Cable) -> None:
    """Powered from elsewhere, the board serves its UART."""
    greeting = over_uart(cable, HELLO)
    assert greeting is not None
    assert name.encode() in greeting.payload
    assert not cable.registers.get(BUFF_STATUS)


def test_closing_at_1200_baud_calls_the_rom(name: str, ready: Cable) -> None:
    """The ROM's interface as the data sheets have it (RP2040 2.8.3, RP2350 5.4): what is called, with what arguments."""
    uc = ready.machine._uc
    uc.mem_map(0, 0x1000)
    calls: list[tuple[int, list[int]]] = []
    registers = [getattr(arm_const, f"UC_ARM_REG_R{k}") for k in range(4)]

    def called(_uc: object, at: int, _size: int, _user: object) -> None:
        calls.append((at, [uc.reg_read(r) for r in registers]))

    uc.mem_write(0x200, b"\xfe\xe7")  # b .: never comes back
    if name == "pico":
        uc.mem_write(0x14, struct.pack("<H", 0x80))
        uc.mem_write(0x80, b"D4" + struct.pack("<H", 0x301) + b"UB" + struct.pack("<HH", 0x201, 0))
    else:
        uc.mem_write(0x16, struct.pack("<H", 0x101))
        uc.mem_write(0x100, bytes.fromhex("0048 7047 01020000"))  # ldr r0, =0x201; bx lr
        uc.hook_add(unicorn.UC_HOOK_CODE, called, begin=0x100, end=0x101)
    uc.hook_add(unicorn.UC_HOOK_CODE, called, begin=0x200, end=0x201)
    ready.open(1200)
    assert greets(ready), "a speed alone asks for nothing"
    ready.setup(0x21, 0x22, 0)
    assert ready.take(0) == b"", "the host is told that its request was taken"
    uc.hook_add(
        unicorn.UC_HOOK_CODE, lambda *_: ready.machine.end("is in its boot loader"), begin=0x200, end=0x201
    )
    with pytest.raises(Exception, match="is in its boot loader"):
        ready.machine.run()
    if name == "pico":
        assert calls[-1][0] == 0x200
        assert calls[-1][1][:2] == [0, 0]
    else:
        look_up, reboot = calls[0], calls[-1]
        assert look_up[1][:2] == [ord("R") | ord("B") << 8, 4]
        assert reboot[0] == 0x200
        assert reboot[1] == [0x102, 10, 0, 0]


def test_a_reset_takes_back_the_sign(ready: Cable) -> None:
    """The computer goes down while it closes a port of 1200 baud: the board stays what it is."""
    ready.open(1200)
    ready.setup(0x21, 0x22, 0)
    ready.plug_in()
    ready.open()
    assert greets(ready)


def test_a_reply_that_fills_its_packets_is_ended(ready: Cable) -> None:
    """By an empty packet: a host would wait for more."""
    link = Link(Port(ready))
    link.hello()
    link.run()
    for n in (33, 34, 35):  # 34 bytes make a frame of 64
        assert len(link.read_output(0, n)) == n


@pytest.mark.parametrize("seen", [True, False], ids=["idle is seen", "host gone"])
def test_the_first_steppings_are_helped_out_of_a_reset(cable: Cable, name: str, seen: bool) -> None:
    """RP2040-E5: when the host has let go of the bus, D+ comes from GPIO15, forced high, until the controller is connected;
    then everything is as before."""
    uc, chip, ctrl, pad = cable.machine._uc, 0x40000000, 0x4001407C, 0x4001C040
    before = {ctrl: 0x1F, pad: 0x56}
    for at, value in {chip: 0x10002927, **before}.items():
        uc.mem_write(at, struct.pack("<I", value))
    cable.plug_in()
    assert cable.registers[USB_MUXING] == TO_PHY | SOFTCON, "both lines are low: the host resets it still"
    cable.registers[SIE_STATUS] |= LINE_J
    if name == "pico2":  # another chip
        cable.machine.run()
        assert cable.registers[USB_MUXING] == TO_PHY | SOFTCON
        return
    to_pad = TO_PAD | SOFTCON
    cable.until("D+ from the pin", lambda: cable.registers[USB_MUXING] == to_pad or None)
    assert struct.unpack("<I", uc.mem_read(ctrl, 4))[0] == 8 | 2 << 12 | 3 << 16
    for _ in range(100):  # 3,200 looks: 800 us are not over
        cable.machine.run()
        assert cable.registers[USB_MUXING] == to_pad
    cable.registers[SIE_STATUS] |= CONNECTED if seen else 0
    cable.until("the PHY", lambda: cable.registers[USB_MUXING] == TO_PHY | SOFTCON or None)
    assert {at: struct.unpack("<I", uc.mem_read(at, 4))[0] for at in before} == before
    cable.open()
    assert greets(cable)
