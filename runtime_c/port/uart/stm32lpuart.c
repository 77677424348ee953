// SPDX-License-Identifier: Apache-2.0
// STM32 low-power UART (RM0432 section 43), polled, 8N1. Its registers are those of the USART but for the
// divisor, which is in 1/256ths: 256 * clock / baud, between 300h and FFFFFh.
#include "eb_board.h"
#include "eb_port.h"

#define LPUART_CR1 (EB_UART_BASE + 0x00u)
#define LPUART_BRR (EB_UART_BASE + 0x0Cu)
#define LPUART_ISR (EB_UART_BASE + 0x1Cu)
#define LPUART_ICR (EB_UART_BASE + 0x20u)
#define LPUART_RDR (EB_UART_BASE + 0x24u)
#define LPUART_TDR (EB_UART_BASE + 0x28u)

#define ISR_ORE  (1u << 3) // a byte was lost
#define ISR_RXNE (1u << 5) // a byte has arrived
#define ISR_TXE  (1u << 7) // the transmit register is free
#define CR1_UE   (1u << 0)
#define CR1_RE   (1u << 2)
#define CR1_TE   (1u << 3)

#define DIVISOR ((256ull * EB_UART_CLOCK_HZ + EB_UART_BAUD / 2u) / EB_UART_BAUD)
_Static_assert(DIVISOR >= 0x300u && DIVISOR <= 0xFFFFFu,
               "the LPUART cannot make this baud rate from its clock");

void eb_uart_init(void) {
    EB_REG(LPUART_CR1) = 0;
    EB_REG(LPUART_BRR) = (uint32_t)DIVISOR;
    EB_REG(LPUART_CR1) = CR1_UE | CR1_TE | CR1_RE;
}

int eb_port_getc(void) {
    for (;;) {
        const uint32_t state = EB_REG(LPUART_ISR);
        if (state & ISR_RXNE) {
            return (int)(EB_REG(LPUART_RDR) & 0xFFu);
        }
        if (state & ISR_ORE) {
            EB_REG(LPUART_ICR) = ISR_ORE; // it would stop reception; the link notices the gap by its checksum
        }
    }
}

void eb_port_putc(uint8_t byte) {
    while (!(EB_REG(LPUART_ISR) & ISR_TXE)) {
    }
    EB_REG(LPUART_TDR) = byte;
}

void eb_port_flush(void) {
    // Every byte is already with the hardware.
}
