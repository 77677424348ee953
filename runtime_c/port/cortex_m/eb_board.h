// SPDX-License-Identifier: Apache-2.0
// What the parts of a Cortex-M port ask of each other. Addresses and rates are in the generated
// board_config.h: EB_CLOCK_HZ, EB_UART_BASE, EB_UART_CLOCK_HZ, EB_UART_BAUD, what usb/eb_usb.h names where
// there is a USB port, and the board's own port.constants as EB_<NAME>.
#ifndef EDGEBIT_EB_BOARD_H
#define EDGEBIT_EB_BOARD_H

#include <stdint.h>

#include "board_config.h"

// A 32-bit device register.
#define EB_REG(address) (*(volatile uint32_t *)(uintptr_t)(address))

// Waits until the bits of a register that are in `mask` read as `value`.
static inline void eb_wait(uint32_t address, uint32_t mask, uint32_t value) {
    while ((EB_REG(address) & mask) != value) {
    }
}

// Clears bits of a register, then sets some, in one write.
static inline void eb_modify(uint32_t address, uint32_t clear, uint32_t set) {
    EB_REG(address) = (EB_REG(address) & ~clear) | set;
}

// Clocks, resets and pins, from boards/<board>/start_*.c. Runs after .data and .bss are set up.
void eb_board_init(void);

// The UART itself, from uart/<model>.c, once its clock runs and its pins are connected.
void eb_uart_init(void);

// Where a board has USB too (EB_USB_BASE), the UART does not define the stream of eb_port.h but these two:
// the next byte that has come, 0..255, or -1; and one byte to send.
int eb_uart_poll(void);
void eb_uart_putc(uint8_t byte);

#endif
