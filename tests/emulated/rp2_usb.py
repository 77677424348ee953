"""The USB controller of RP2040 and RP2350 for a board in Unicorn, and a USB host at the other end of the cable.

Written from the data sheets (RP2040 4.1, RP2350 12.7) and USB 2.0, apart from the firmware and from rp2040js: registers and
packet memory as the firmware uses them, one transaction at a time. What the hardware would not do, or the host would take for
an error, is an AssertionError.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, TypeVar

import unicorn

from edgebit.board import Board
from edgebit.devices.unicorn_m import CortexM

T = TypeVar("T")

ADDR_ENDP, MAIN_CTRL, SIE_CTRL, SIE_STATUS, BUFF_STATUS = 0x00, 0x40, 0x4C, 0x50, 0x58
EP_STALL_ARM, USB_MUXING, USB_PWR, SOF_RD = 0x68, 0x74, 0x78, 0x48
TO_PHY, TO_PAD, SOFTCON = 1, 4, 8
LINE_J, CONNECTED = 1 << 2, 1 << 16
SUSPENDED, SETUP_REC, BUS_RESET = 1 << 4, 1 << 17, 1 << 19
PULLUP, EP0_INT_1BUF = 1 << 16, 1 << 29
FULL, DATA1, STALL, AVAILABLE, LENGTH = 1 << 15, 1 << 13, 1 << 11, 1 << 10, 0x3FF
ENABLE, PER_BUFFER = 1 << 31, 1 << 29
STALLED = b"stalled"
PATIENCE = 32
"""Looks at SIE_STATUS after which the host has its turn."""


class Cable:
    """A board plugged into a host. The host's verbs run the firmware as long as they must."""

    def __init__(self, board: Board, image: bytes) -> None:
        assert board.usb is not None
        self.machine = CortexM(board, image, hang_seconds=5.0)
        self.memory = board.usb.memory
        self.address = 0
        self.configured = False
        self.toggles: dict[tuple[int, bool], int] = {}
        # PHY isolation comes up set on the RP2350, where the same bit of the RP2040 is not there.
        self.registers = {MAIN_CTRL: 4 if board.core.name == "cortex-m33" else 0}
        self._before: dict[int, int] = {}
        self._looks = 0
        uc = self.machine._uc
        uc.mem_unmap(board.usb.base, 0x1000)
        uc.mmio_map(board.usb.base, 0x1000, self._read, None, self._write, None)
        uc.mem_write(self.memory, b"\xa5" * 0x1000)  # nothing is known of it at power-on
        uc.hook_add(
            unicorn.UC_HOOK_MEM_WRITE, self._control, begin=self.memory + 0x80, end=self.memory + 0xFF
        )

    def close(self) -> None:
        self.machine.close()

    def _read(self, _uc: Any, offset: int, _size: int, _user: Any) -> int:
        if offset == SIE_STATUS:  # it waits for the host: let that go on
            self._looks += 1
            if self._looks % PATIENCE == 0:
                self.machine.stop()
        if offset == SOF_RD:  # a frame begins
            self.registers[SOF_RD] = (self.registers.get(SOF_RD, 0) + 1) & 0x7FF
        return self.registers.get(offset, 0)

    def _write(self, _uc: Any, offset: int, _size: int, value: int, _user: Any) -> None:
        if offset in (SIE_STATUS, BUFF_STATUS):
            value = self.registers.get(offset, 0) & ~value
        self.registers[offset] = value

    def _control(self, _uc: Any, _access: int, at: int, size: int, value: int, _user: Any) -> None:
        """A store to a buffer's control word: AVAILABLE goes in alone, after the rest."""
        assert size == 4
        value &= 0xFFFFFFFF
        if value & AVAILABLE:
            assert self._before.get(at) == value & ~AVAILABLE, f"buffer control {at:#x} is set in one store"
        self._before[at] = value

    def word(self, offset: int) -> int:
        """A word of the packet memory."""
        return int(struct.unpack("<I", self.machine._uc.mem_read(self.memory + offset, 4))[0])

    def until(self, what: str, ready: Callable[[], T | None]) -> T:
        """Run the firmware until something is there."""
        for _ in range(2000):
            found = ready()
            if found is not None:
                return found
            self.machine.run()
        raise AssertionError(f"waited in vain for {what}")

    def raise_event(self, bit: int) -> None:
        """Set a bit of SIE_STATUS, and let the firmware see it."""
        self.registers[SIE_STATUS] = self.registers.get(SIE_STATUS, 0) | bit
        self.until("its answer to an event", lambda: None if self.registers[SIE_STATUS] & bit else True)

    def uart(self, data: bytes) -> bytes:
        """What comes of bytes sent to the UART beside it."""
        self.machine.write(data)
        said = b""
        for _ in range(100):
            self.machine.run()
            said += self.machine._collect()
        return said

    # Transactions: None is a NAK.

    def _buffer(self, endpoint: int, to_host: bool) -> int:
        """Where a packet lies; the endpoint must be on."""
        assert self.registers[MAIN_CTRL] == 1, "the controller is off, a host, or isolated from its pins"
        assert self.registers[SIE_CTRL] & PULLUP, "no device is to be seen"
        assert self.registers.get(ADDR_ENDP, 0) & 0x7F == self.address
        if endpoint == 0:
            assert self.registers[SIE_CTRL] & EP0_INT_1BUF, "nobody would hear of its end"
            return 0x100
        control = self.word(8 * endpoint + (0 if to_host else 4))
        assert control & ENABLE
        assert control & PER_BUFFER, "nobody would hear of its end"
        assert control >> 26 & 3 == 2, "it is no bulk endpoint"
        assert control & 0xFFC0 >= 0x180
        return control & 0xFFC0

    def _done(self, endpoint: int, to_host: bool, control: int) -> None:
        at = 0x80 + 8 * endpoint + (0 if to_host else 4)
        self.machine._uc.mem_write(self.memory + at, struct.pack("<I", control))
        bit = 1 << 2 * endpoint + (0 if to_host else 1)
        self.registers[BUFF_STATUS] = self.registers.get(BUFF_STATUS, 0) | bit
        self.toggles[endpoint, to_host] = self.toggles.get((endpoint, to_host), 0) ^ 1

    def take(self, endpoint: int) -> bytes | None:
        """An IN transaction."""
        control = self.word(0x80 + 8 * endpoint)
        if endpoint == 0 and control & STALL and self.registers.get(EP_STALL_ARM, 0) & 1:
            return STALLED
        buffer = self._buffer(endpoint, True)
        if not control & AVAILABLE:
            return None
        assert control & FULL
        assert bool(control & DATA1) == bool(self.toggles.get((endpoint, True), 0)), "wrong toggle"
        assert control & LENGTH <= 64
        data = bytes(self.machine._uc.mem_read(self.memory + buffer, control & LENGTH))
        self._done(endpoint, True, control & ~(AVAILABLE | FULL))
        return data

    def give(self, endpoint: int, data: bytes) -> bool | None:
        """An OUT transaction."""
        buffer = self._buffer(endpoint, False)
        control = self.word(0x84 + 8 * endpoint)
        if not control & AVAILABLE:
            return None
        assert len(data) <= control & LENGTH
        assert bool(control & DATA1) == bool(self.toggles.get((endpoint, False), 0)), "wrong toggle"
        self.machine._uc.mem_write(self.memory + buffer, data)
        self._done(endpoint, False, control & ~(AVAILABLE | LENGTH) | FULL | len(data))
        return True

    def setup(self, kind: int, request: int, value: int = 0, index: int = 0, length: int = 0) -> None:
        """A SETUP transaction, which no device refuses. What it does to a request under way is the device's affair."""
        self.machine._uc.mem_write(self.memory, struct.pack("<BBHHH", kind, request, value, index, length))
        self.registers[EP_STALL_ARM] = 0
        self.toggles[0, True] = self.toggles[0, False] = 1
        self.raise_event(SETUP_REC)

    def control(
        self,
        kind: int,
        request: int,
        value: int = 0,
        index: int = 0,
        length: int = 0,
        data: bytes = b"",
        cut: int = 1 << 16,
    ) -> bytes:
        """A control transfer; its reply, or STALLED. cut: the host loses interest after so many bytes."""
        self.setup(kind, request, value, index, len(data) or length)
        if not kind & 0x80:
            if data:
                self.until("room", lambda: self.give(0, data))
            status = self.until("the status", lambda: self.take(0))
            assert status in (b"", STALLED)
            return status
        reply = b""
        while len(reply) < min(length, cut):
            part = self.until("the reply", lambda: self.take(0))
            if part == STALLED:
                return part
            reply += part
            if len(part) < 64:
                break
        if cut == 1 << 16:
            self.until("the end of the reply", lambda: self.give(0, b""))
        return reply

    def plug_in(self) -> None:
        """Reset the bus and enumerate, in as few requests as will do."""
        self.until("the pull-up", lambda: True if self.registers.get(SIE_CTRL, 0) & PULLUP else None)
        self.address = 0
        self.raise_event(BUS_RESET)
        assert self.control(0, 5, 23) == b""
        self.until("its address", lambda: True if self.registers[ADDR_ENDP] == 23 else None)
        self.address = 23
        self.choose(1)

    def choose(self, configuration: int) -> bytes:
        self.toggles[2, True] = self.toggles[2, False] = 0
        return self.control(0, 9, configuration)

    def open(self, baud: int = 115200) -> None:
        assert self.control(0x21, 0x20, data=struct.pack("<IBBB", baud, 0, 0, 8)) == b""
        assert self.control(0x21, 0x22, 3) == b""

    def close_port(self) -> None:
        assert self.control(0x21, 0x22, 0) == b""


class Port:
    """The serial port of a device that is plugged in and opened: a Transport."""

    where = "the emulated USB port"

    def __init__(self, cable: Cable) -> None:
        self.cable = cable

    def write(self, data: bytes) -> None:
        for at in range(0, len(data), 64):
            part = data[at : at + 64]
            self.cable.until("room for data", lambda part=part: self.cable.give(2, part))  # type: ignore[misc]

    def read(self, timeout: float) -> bytes:
        """Packets up to one that is not full, which ends a transfer; nothing when none comes for some rounds."""
        got = b""
        for _ in range(200):
            part = self.cable.take(2)
            if part is None:
                self.cable.machine.run()
                continue
            got += part
            if len(part) < 64:
                return got
        assert not got, "a transfer did not end"
        return got

    def close(self) -> None:
        self.cable.close()
