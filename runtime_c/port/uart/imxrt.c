// SPDX-License-Identifier: Apache-2.0
// NXP i.MX RT LPUART (i.MX RT1060 Reference Manual, chapter 49), polled, 8N1, oversampling by 16.
#include "eb_board.h"
#include "eb_port.h"

#define LPUART_BAUD (EB_UART_BASE + 0x10u)
#define LPUART_STAT (EB_UART_BASE + 0x14u)
#define LPUART_CTRL (EB_UART_BASE + 0x18u)
#define LPUART_DATA (EB_UART_BASE + 0x1Cu)

#define BAUD_OSR_16 (15u << 24)
#define STAT_OR     (1u << 19) // a byte was lost; written 1 to clear
#define STAT_RDRF   (1u << 21) // a byte has arrived
#define STAT_TDRE   (1u << 23) // the transmit register is free
#define CTRL_RE     (1u << 18)
#define CTRL_TE     (1u << 19)

void eb_uart_init(void) {
    EB_REG(LPUART_CTRL) = 0;
    EB_REG(LPUART_BAUD) = BAUD_OSR_16 | ((EB_UART_CLOCK_HZ / 16u + EB_UART_BAUD / 2u) / EB_UART_BAUD);
    EB_REG(LPUART_CTRL) = CTRL_TE | CTRL_RE;
}

int eb_port_getc(void) {
    for (;;) {
        const uint32_t state = EB_REG(LPUART_STAT);
        if (state & STAT_RDRF) {
            return (int)(EB_REG(LPUART_DATA) & 0xFFu);
        }
        if (state & STAT_OR) {
            EB_REG(LPUART_STAT) =
                STAT_OR; // it would stop reception; the link notices the gap by its checksum
        }
    }
}

void eb_port_putc(uint8_t byte) {
    while (!(EB_REG(LPUART_STAT) & STAT_TDRE)) {
    }
    EB_REG(LPUART_DATA) = byte;
}

void eb_port_flush(void) {
    // Every byte is already with the hardware.
}
