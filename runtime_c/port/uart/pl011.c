// SPDX-License-Identifier: Apache-2.0
// Arm PrimeCell UART PL011 (TRM DDI 0183, section 3.3), polled, 8N1, FIFOs on.
#include "eb_board.h"
#include "eb_port.h"

#define UARTDR    (EB_UART_BASE + 0x000u)
#define UARTFR    (EB_UART_BASE + 0x018u) // flags
#define UARTIBRD  (EB_UART_BASE + 0x024u) // baud divisor, integer part
#define UARTFBRD  (EB_UART_BASE + 0x028u) // baud divisor, 1/64ths
#define UARTLCR_H (EB_UART_BASE + 0x02Cu)
#define UARTCR    (EB_UART_BASE + 0x030u)

#define DR_BROKEN                                                                                            \
    (7u << 8) // framing error, parity error, break: what a line does to which nothing is connected
#define FR_RXFE      (1u << 4) // receive FIFO empty
#define FR_TXFF      (1u << 5) // transmit FIFO full
#define LCR_H_FEN    (1u << 4)
#define LCR_H_WLEN_8 (3u << 5)
#define CR_UARTEN    (1u << 0)
#define CR_TXE       (1u << 8)
#define CR_RXE       (1u << 9)

void eb_uart_init(void) {
    // divisor = clock / (16 * baud), in 1/64ths, rounded
    const uint32_t divisor = (4u * EB_UART_CLOCK_HZ + EB_UART_BAUD / 2u) / EB_UART_BAUD;
    EB_REG(UARTCR) = 0;
    EB_REG(UARTIBRD) = divisor >> 6;
    EB_REG(UARTFBRD) = divisor & 63u;
    EB_REG(UARTLCR_H) = LCR_H_WLEN_8 | LCR_H_FEN; // also latches the divisor
    EB_REG(UARTCR) = CR_UARTEN | CR_TXE | CR_RXE;
}

int eb_uart_poll(void) {
    if (EB_REG(UARTFR) & FR_RXFE) {
        return -1;
    }
    const uint32_t data = EB_REG(UARTDR);
    return data & DR_BROKEN ? -1 : (int)(data & 0xFFu);
}

void eb_uart_putc(uint8_t byte) {
    while (EB_REG(UARTFR) & FR_TXFF) {
    }
    EB_REG(UARTDR) = byte;
}

#ifndef EB_USB_BASE // else usb/both.c joins the two

int eb_port_getc(void) {
    int c;
    do {
        c = eb_uart_poll();
    } while (c < 0);
    return c;
}

void eb_port_putc(uint8_t byte) {
    eb_uart_putc(byte);
}

void eb_port_flush(void) {
    // Every byte is already with the hardware.
}

#endif
