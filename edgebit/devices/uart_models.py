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


MODELS: dict[str, type[UartModel]] = {"pl011": Pl011, "stm32f4": Stm32f4Usart, "cmsdk": CmsdkUart}
