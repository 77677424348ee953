// SPDX-License-Identifier: Apache-2.0
// Nordic UART without DMA (nRF51 Series Reference Manual section 29, nRF52840 Product Specification
// section 6.33), polled, 8N1, no flow control. The nRF52's UARTE shares its address; we use the UART, whose
// six-byte receive buffer loses nothing between two bytes, while DMA of one byte at a time would.
//
// Start-up has chosen the pins (PSELTXD, PSELRXD) and runs the 16 MHz clock from the crystal.
#include "eb_board.h"
#include "eb_port.h"

#define TASKS_STARTRX (EB_UART_BASE + 0x000u)
#define TASKS_STARTTX (EB_UART_BASE + 0x008u)
#define EVENTS_RXDRDY (EB_UART_BASE + 0x108u)
#define EVENTS_TXDRDY (EB_UART_BASE + 0x11Cu)
#define UART_ENABLE   (EB_UART_BASE + 0x500u)
#define UART_RXD      (EB_UART_BASE + 0x518u)
#define UART_TXD      (EB_UART_BASE + 0x51Cu)
#define UART_BAUDRATE (EB_UART_BASE + 0x524u)
#define UART_CONFIG   (EB_UART_BASE + 0x56Cu)

#define ENABLE_UART 4u

// The rate in 2^-32 of the clock, rounded to the 20 bits the register has: 0x01D7E000 for 115200, as the
// manual says.
#define RATE ((uint32_t)((((uint64_t)EB_UART_BAUD << 32) / EB_UART_CLOCK_HZ + 0x800u) & 0xFFFFF000u))

void eb_uart_init(void) {
    EB_REG(UART_BAUDRATE) = RATE;
    EB_REG(UART_CONFIG) = 0;
    EB_REG(UART_ENABLE) = ENABLE_UART;
    EB_REG(EVENTS_RXDRDY) = 0;
    EB_REG(EVENTS_TXDRDY) = 0;
    EB_REG(TASKS_STARTRX) = 1;
    EB_REG(TASKS_STARTTX) = 1;
}

int eb_port_getc(void) {
    while (!EB_REG(EVENTS_RXDRDY)) {
    }
    EB_REG(EVENTS_RXDRDY) = 0; // before the byte is read, which lets the next one raise it again
    return (int)(EB_REG(UART_RXD) & 0xFFu);
}

void eb_port_putc(uint8_t byte) {
    EB_REG(EVENTS_TXDRDY) = 0;
    EB_REG(UART_TXD) = byte;
    while (!EB_REG(EVENTS_TXDRDY)) {
    }
}

void eb_port_flush(void) {
    // Every byte has left.
}
