"""A Cortex-M board in Unicorn, from the memory map and register list of its board.toml.

The flash image is booted as the hardware would: stack pointer and entry from the vector table. RAM holds a
pattern at power-on, so that start-up code has to do its work. There are no interrupts.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import unicorn
from unicorn import arm_const

from edgebit.board import Board
from edgebit.devices.bootrom import refusal
from edgebit.devices.uart_models import MODELS, UartModel
from edgebit.devices.unicorn_base import Machine, Uc, model_constant
from edgebit.errors import EdgebitError, LinkError, WrongBoardError

_PAGE = 0x1000
_PRIVATE = (0xE0000000, 0x100000)  # private peripheral bus: VTOR, CPACR, ...; plain memory here
_POWER_ON = 0xA5


class CortexM(Machine):
    """An emulated Cortex-M board that runs a flash image.

    image: bytes from the lowest flash address on (firmware.bin). mark: address of eb_mark, for counting.
    """

    pc_register = arm_const.UC_ARM_REG_PC
    argument_register = arm_const.UC_ARM_REG_R0
    thumb = True

    def __init__(
        self, board: Board, image: bytes, *, mark: int | None = None, hang_seconds: float = 600.0
    ) -> None:
        where = f"the emulated {board.name}"
        # UC_MODE_MCLASS would run every core as a Cortex-M33, whatever model is set.
        uc: Any = Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
        uc.ctl_set_cpu_model(model_constant(arm_const, "UC_CPU_ARM_", board.core))
        super().__init__(uc, board.core, where, None if mark is None else mark & ~1, hang_seconds)
        try:
            self._uart = self._map(board, image)
            self._boot(board, image)
        except BaseException:
            self.close()
            raise

    def _map(self, board: Board, image: bytes) -> UartModel:
        flash = [m for m in board.memories if m.kind in ("flash", "boot")]
        if not flash or board.uart is None or board.uart.model not in MODELS:
            raise EdgebitError(
                f"board {board.name}: its board.toml lacks what an emulator needs (flash, uart)"
            )
        start = min(m.origin for m in flash)
        end = max(m.origin + m.length for m in flash)
        if len(image) > end - start:
            raise WrongBoardError(f"an image of {len(image)} bytes does not fit the {board.title}")
        self._uc.mem_map(start, _up(end) - start, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
        self._uc.mem_write(start, b"\xff" * (end - start))
        self._uc.mem_write(start, image)
        for m in board.memories:
            if m.kind == "ram":
                self._uc.mem_map(m.origin, _up(m.length))
                self._uc.mem_write(m.origin, bytes([_POWER_ON]) * m.length)
        uart = MODELS[board.uart.model](self.stop)
        unicorn_options = board.emulators.get("unicorn", {})
        special: dict[int, dict[int, _Register]] = {}
        for r in unicorn_options.get("ready", ()):
            register = _Register(int(r["bits"]), r["mode"] == "const")
            special.setdefault(r["address"] & -_PAGE, {})[r["address"] & (_PAGE - 1)] = register
        devices = [(m["origin"], m["length"]) for m in unicorn_options.get("mmio", ())]
        if not any(o <= _PRIVATE[0] < o + n for o, n in devices):
            devices.append(_PRIVATE)
        uart_page = board.uart.base & -_PAGE
        for page in {uart_page, *special}:
            window = None if page != uart_page else (board.uart.base - page, uart)
            read, write = _page(special.get(page, {}), window)
            self._uc.mmio_map(page, _PAGE, read, None, write, None)
        for origin, length in devices:  # the rest remembers what is written
            at = origin
            for page in [p for p in sorted({uart_page, *special}) if origin <= p < origin + length]:
                if page > at:
                    self._uc.mem_map(at, page - at)
                at = page + _PAGE
            if at < origin + length:
                self._uc.mem_map(at, origin + length - at)
        return uart

    def _boot(self, board: Board, image: bytes) -> None:
        flash = [m for m in board.memories if m.kind in ("flash", "boot")]
        start = min(m.origin for m in flash)
        vectors = min(m.origin for m in flash if m.kind == "flash")
        problem = refusal(board, image)
        if problem:
            raise LinkError(f"the {board.title} would not start this image: {problem}")
        if len(image) < vectors - start + 8:
            raise LinkError(f"the {board.title} would not start this image: it ends before its vector table")
        sp, entry = struct.unpack_from("<II", image, vectors - start)
        if not entry & 1 or not any(m.origin <= sp <= m.origin + m.length for m in board.memories):
            raise LinkError(
                f"the {board.title} would not start this image: its vector table says stack {sp:#x}, entry {entry:#x}"
            )
        self._uc.reg_write(arm_const.UC_ARM_REG_SP, sp)
        self._uc.reg_write(arm_const.UC_ARM_REG_LR, 0xFFFFFFFF)
        self._pc = entry & ~1

    def _deliver(self, data: bytes) -> None:
        self._uart.received.extend(data)

    def _collect(self) -> bytes:
        data = bytes(self._uart.sent)
        self._uart.sent.clear()
        return data


class _Register:
    """A register that start-up polls: "const" always reads `bits`, else what was written, or `bits`."""

    def __init__(self, bits: int, constant: bool) -> None:
        self.bits, self.constant, self.value = bits, constant, 0

    def read(self) -> int:
        return self.bits if self.constant else self.value | self.bits


_Read = Callable[[Any, int, int, Any], int]
_Write = Callable[[Any, int, int, int, Any], None]


def _page(registers: dict[int, _Register], uart: tuple[int, UartModel] | None) -> tuple[_Read, _Write]:
    """Callbacks of one page of device registers; `uart` is (offset in the page, model)."""
    memory: dict[int, int] = {}

    def read(_uc: Any, offset: int, _size: int, _user: Any) -> int:
        if uart is not None and offset >= uart[0]:
            return uart[1].read(offset - uart[0])
        register = registers.get(offset)
        return memory.get(offset, 0) if register is None else register.read()

    def write(_uc: Any, offset: int, _size: int, value: int, _user: Any) -> None:
        if uart is not None and offset >= uart[0]:
            uart[1].write(offset - uart[0], value)
        elif offset in registers:
            registers[offset].value = value
        else:
            memory[offset] = value

    return read, write


def _up(n: int) -> int:
    """The next multiple of a page."""
    return -(-n // _PAGE) * _PAGE
