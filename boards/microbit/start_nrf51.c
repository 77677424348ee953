// SPDX-License-Identifier: Apache-2.0
// BBC micro:bit v1: 16 MHz crystal, UART0 on P0.24 (TX) and P0.25 (RX), which the board wires to the
// DAPLink's virtual serial port.
//
// Section numbers are those of the nRF51 Series Reference Manual. Not yet run on a real board.
// Addresses and bits were checked against Nordic's nrf51.svd (nrfx), the pins against Zephyr's board file.
#include "eb_board.h"

// 13.2 clock: the core runs from reset; the crystal makes the UART's clock exact
#define CLOCK_TASKS_HFCLKSTART    0x40000000u
#define CLOCK_EVENTS_HFCLKSTARTED 0x40000100u

// 14.2 GPIO
#define GPIO_OUTSET       0x50000508u
#define GPIO_PIN_CNF(pin) (0x50000700u + 4u * (pin))
#define PIN_OUTPUT        3u        // direction output, input buffer disconnected
#define PIN_INPUT_PULL_UP (3u << 2) // direction input, input buffer connected, pull-up

// 29.10 UART
#define UART_PSELTXD (EB_UART_BASE + 0x50Cu)
#define UART_PSELRXD (EB_UART_BASE + 0x514u)

void eb_board_init(void) {
    EB_REG(CLOCK_EVENTS_HFCLKSTARTED) = 0;
    EB_REG(CLOCK_TASKS_HFCLKSTART) = 1;
    eb_wait(CLOCK_EVENTS_HFCLKSTARTED, 1u, 1u);

    // The line idles high, so the pin must be high before the UART takes it over.
    EB_REG(GPIO_OUTSET) = 1u << EB_TX_PIN;
    EB_REG(GPIO_PIN_CNF(EB_TX_PIN)) = PIN_OUTPUT;
    EB_REG(GPIO_PIN_CNF(EB_RX_PIN)) = PIN_INPUT_PULL_UP;
    EB_REG(UART_PSELTXD) = EB_TX_PIN;
    EB_REG(UART_PSELRXD) = EB_RX_PIN;
}
