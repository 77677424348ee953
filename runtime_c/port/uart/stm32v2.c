// SPDX-License-Identifier: Apache-2.0
// STM32 USART of the second kind, with ISR, RDR and TDR (RM0432 section 42, RM0433 section 48, RM0456 section
// 66), polled, 8N1, oversampling by 16.
#include "eb_board.h"
#include "eb_port.h"

#define USART_CR1 (EB_UART_BASE + 0x00u)
#define USART_BRR (EB_UART_BASE + 0x0Cu)
#define USART_ISR (EB_UART_BASE + 0x1Cu)
#define USART_ICR (EB_UART_BASE + 0x20u)
#define USART_RDR (EB_UART_BASE + 0x24u)
#define USART_TDR (EB_UART_BASE + 0x28u)

#define ISR_ORE  (1u << 3) // a byte was lost
#define ISR_RXNE (1u << 5) // a byte has arrived
#define ISR_TXE  (1u << 7) // the transmit register is free
#define CR1_UE   (1u << 0)
#define CR1_RE   (1u << 2)
#define CR1_TE   (1u << 3)

void eb_uart_init(void) {
    EB_REG(USART_CR1) = 0;
    EB_REG(USART_BRR) = (EB_UART_CLOCK_HZ + EB_UART_BAUD / 2u) / EB_UART_BAUD;
    EB_REG(USART_CR1) = CR1_UE | CR1_TE | CR1_RE;
}

int eb_port_getc(void) {
    for (;;) {
        const uint32_t state = EB_REG(USART_ISR);
        if (state & ISR_RXNE) {
            return (int)(EB_REG(USART_RDR) & 0xFFu);
        }
        if (state & ISR_ORE) {
            EB_REG(USART_ICR) = ISR_ORE; // it would stop reception; the link notices the gap by its checksum
        }
    }
}

void eb_port_putc(uint8_t byte) {
    while (!(EB_REG(USART_ISR) & ISR_TXE)) {
    }
    EB_REG(USART_TDR) = byte;
}

void eb_port_flush(void) {
    // Every byte is already with the hardware.
}
