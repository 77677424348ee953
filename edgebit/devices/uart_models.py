"""UARTs as the emulated boards see them: the registers that polled drivers use.

Bytes leave at once and never get lost; interrupts, errors and baud rates are not modelled.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

# After so many looks at an empty receiver, with nothing sent in between, the program is waiting for us. Sending
# looks at the same register, so each byte sent starts the count again.
_PATIENCE = 8


class UartModel:
    """Base: queues and idle detection. `received` holds bytes on their way to the program, `sent` its own."""

    def __init__(self, idle: Callable[[], None]) -> None:
        self.received: deque[int] = deque()
        self.sent = bytearray()
        self._idle = idle
        self._looks = 0
        self._registers: dict[int, int] = {}

    def read(self, offset: int) -> int:
        """A 32-bit read of the register at `offset`."""
        return self._registers.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """A 32-bit write to the register at `offset`."""
        self._registers[offset] = value

    def _take(self) -> int:
        self._looks = 0
        return self.received.popleft() if self.received else 0

    def _send(self, value: int) -> None:
        self._looks = 0
        self.sent.append(value & 0xFF)

    def _look(self) -> bool:
        """The program asks whether a byte has arrived."""
        if self.received:
            return True
        self._looks += 1
        if self._looks >= _PATIENCE:
            self._looks = 0
            self._idle()
        return False


class Pl011(UartModel):
    """Arm PrimeCell UART PL011 (TRM DDI 0183G, section 3.3)."""

    DR, FR = 0x00, 0x18
    RXFE, TXFE = 1 << 4, 1 << 7

    def read(self, offset: int) -> int:
        if offset == self.DR:
            return self._take()
        if offset == self.FR:
            return self.TXFE | (0 if self._look() else self.RXFE)
        return super().read(offset)

    def write(self, offset: int, value: int) -> None:
        if offset == self.DR:
            self._send(value)
        else:
            super().write(offset, value)


class Stm32f4Usart(UartModel):
    """USART of the STM32F4 (RM0390, section 25.6)."""

    SR, DR = 0x00, 0x04
    RXNE, TC, TXE = 1 << 5, 1 << 6, 1 << 7

    def read(self, offset: int) -> int:
        if offset == self.DR:
            return self._take()
        if offset == self.SR:
            return self.TXE | self.TC | (self.RXNE if self._look() else 0)
        return super().read(offset)

    def write(self, offset: int, value: int) -> None:
        if offset == self.DR:
            self._send(value)
        elif offset != self.SR:  # its flags are cleared by other means
            super().write(offset, value)


class CmsdkUart(UartModel):
    """Arm CMSDK APB UART (Cortex-M System Design Kit TRM DDI 0479, section 4.3)."""

    DATA, STATE = 0x00, 0x04
    RX_FULL = 1 << 1

    def read(self, offset: int) -> int:
        if offset == self.DATA:
            return self._take()
        if offset == self.STATE:
            return self.RX_FULL if self._look() else 0
        return super().read(offset)

    def write(self, offset: int, value: int) -> None:
        if offset == self.DATA:
            self._send(value)
        elif offset != self.STATE:
            super().write(offset, value)


class Stm32v2Usart(UartModel):
    """USART and LPUART of the STM32L4, H7 and U5 (RM0432 42.8, RM0433 48.8, RM0456 66.8).

    Nothing is sent or received before the peripheral, its transmitter and its receiver are enabled.
    """

    CR1, ISR, RDR, TDR = 0x00, 0x1C, 0x24, 0x28
    UE, RE, TE = 1 << 0, 1 << 2, 1 << 3
    RXNE, TC, TXE = 1 << 5, 1 << 6, 1 << 7

    def _enabled(self, bit: int) -> bool:
        return self._registers.get(self.CR1, 0) & (self.UE | bit) == self.UE | bit

    def read(self, offset: int) -> int:
        if offset == self.RDR:
            return self._take()
        if offset == self.ISR:
            seen = self._look() and self._enabled(self.RE)
            return self.TXE | self.TC | (self.RXNE if seen else 0)
        return super().read(offset)

    def write(self, offset: int, value: int) -> None:
        if offset == self.TDR:
            if self._enabled(self.TE):
                self._send(value)
        elif offset != self.ISR:
            super().write(offset, value)


class NrfUart(UartModel):
    """UART without DMA of the nRF51 and nRF52 (nRF51 Reference Manual 29.10, nRF52840 PS 6.33.9).

    Nothing is sent or received before it is enabled (4: UART, 8 would be the UARTE), its pins are chosen and its tasks
    are started.
    """

    STARTRX, STARTTX, RXDRDY, TXDRDY = 0x000, 0x008, 0x108, 0x11C
    ENABLE, PSELTXD, PSELRXD, RXD, TXD = 0x500, 0x50C, 0x514, 0x518, 0x51C
    DISCONNECTED = 0xFFFFFFFF

    def _works(self, start: int, pin: int) -> bool:
        connected = self._registers.get(pin, self.DISCONNECTED) != self.DISCONNECTED
        return self._registers.get(self.ENABLE) == 4 and bool(self._registers.get(start)) and connected

    def read(self, offset: int) -> int:
        if offset == self.RXD:
            return self._take()
        if offset == self.RXDRDY:
            return int(self._look() and self._works(self.STARTRX, self.PSELRXD))
        return super().read(offset)

    def write(self, offset: int, value: int) -> None:
        super().write(offset, value)
        if offset == self.TXD and self._works(self.STARTTX, self.PSELTXD):
            self._send(value)
            super().write(self.TXDRDY, 1)


class ImxrtLpuart(UartModel):
    """LPUART of the i.MX RT1060 (its Reference Manual, 49.5)."""

    STAT, CTRL, DATA = 0x14, 0x18, 0x1C
    RDRF, TC, TDRE = 1 << 21, 1 << 22, 1 << 23
    RE, TE = 1 << 18, 1 << 19

    def read(self, offset: int) -> int:
        if offset == self.DATA:
            return self._take()
        if offset == self.STAT:
            seen = self._look() and self._registers.get(self.CTRL, 0) & self.RE
            return self.TDRE | self.TC | (self.RDRF if seen else 0)
        return super().read(offset)

    def write(self, offset: int, value: int) -> None:
        if offset == self.DATA:
            if self._registers.get(self.CTRL, 0) & self.TE:
                self._send(value)
        elif offset != self.STAT:
            super().write(offset, value)


MODELS: dict[str, type[UartModel]] = {
    "pl011": Pl011,
    "stm32f4": Stm32f4Usart,
    "stm32v2": Stm32v2Usart,
    "stm32lpuart": Stm32v2Usart,
    "cmsdk": CmsdkUart,
    "nrf": NrfUart,
    "imxrt": ImxrtLpuart,
}
