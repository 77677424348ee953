// SPDX-License-Identifier: Apache-2.0
// Arm CMSDK APB UART (Cortex-M System Design Kit TRM DDI 0479, section 4.3), polled, 8N1.
#include "eb_board.h"
#include "eb_port.h"

#define UART_DATA    (EB_UART_BASE + 0x00u)
#define UART_STATE   (EB_UART_BASE + 0x04u)
#define UART_CTRL    (EB_UART_BASE + 0x08u)
#define UART_BAUDDIV (EB_UART_BASE + 0x10u) // at least 16

#define STATE_TX_FULL (1u << 0)
#define STATE_RX_FULL (1u << 1)
#define CTRL_TX       (1u << 0)
#define CTRL_RX       (1u << 1)

void eb_uart_init(void) {
    EB_REG(UART_BAUDDIV) = (EB_UART_CLOCK_HZ + EB_UART_BAUD / 2u) / EB_UART_BAUD;
    EB_REG(UART_CTRL) = CTRL_TX | CTRL_RX;
}

int eb_port_getc(void) {
    while (!(EB_REG(UART_STATE) & STATE_RX_FULL)) {
    }
    return (int)(EB_REG(UART_DATA) & 0xFFu);
}

void eb_port_putc(uint8_t byte) {
    while (EB_REG(UART_STATE) & STATE_TX_FULL) {
    }
    EB_REG(UART_DATA) = byte;
}

void eb_port_flush(void) {
    // Every byte is already with the hardware.
}
