// SPDX-License-Identifier: Apache-2.0
// STM32F4 USART (RM0390 section 25.6), polled, 8N1, oversampling by 16.
#include "eb_board.h"
#include "eb_port.h"

#define USART_SR  (EB_UART_BASE + 0x00u)
#define USART_DR  (EB_UART_BASE + 0x04u)
#define USART_BRR (EB_UART_BASE + 0x08u)
#define USART_CR1 (EB_UART_BASE + 0x0Cu)

#define SR_RXNE (1u << 5) // a byte has arrived
#define SR_TXE  (1u << 7) // the transmit register is free
#define CR1_RE  (1u << 2)
#define CR1_TE  (1u << 3)
#define CR1_UE  (1u << 13)

void eb_uart_init(void) {
    EB_REG(USART_CR1) = 0;
    EB_REG(USART_BRR) = (EB_UART_CLOCK_HZ + EB_UART_BAUD / 2u) / EB_UART_BAUD;
    EB_REG(USART_CR1) = CR1_UE | CR1_TE | CR1_RE;
}

int eb_port_getc(void) {
    // Reading SR and then DR also clears an overrun, which would otherwise stop reception.
    while (!(EB_REG(USART_SR) & SR_RXNE)) {
    }
    return (int)(EB_REG(USART_DR) & 0xFFu);
}

void eb_port_putc(uint8_t byte) {
    while (!(EB_REG(USART_SR) & SR_TXE)) {
    }
    EB_REG(USART_DR) = byte;
}

void eb_port_flush(void) {
    // Every byte is already with the hardware.
}
