// SPDX-License-Identifier: Apache-2.0
// nRF52833 and nRF52840: 64 MHz from the 32 MHz crystal, instruction cache on, UART0 on the board's EB_TX_PIN
// and EB_RX_PIN, which count 32 pins a port.
//
// Section numbers are those of the nRF52840 Product Specification; the nRF52833's registers are the same. Not
// yet run on a real board.
// Addresses and bits were checked against Nordic's nrf52840.svd and nrf52833.svd (nrfx), the boards' pins
// against Zephyr's board files and Arduino's variant.cpp.
#include "eb_board.h"

// 5.4 clock control: the core runs at 64 MHz from reset; the crystal makes it, and the UART's 16 MHz, exact
#define CLOCK_TASKS_HFCLKSTART    0x40000000u
#define CLOCK_EVENTS_HFCLKSTARTED 0x40000100u

// 4.3 non-volatile memory controller
#define NVMC_READY     0x4001E400u
#define NVMC_ICACHECNF 0x4001E540u
#define ICACHE_ENABLE  1u

// 6.9 GPIO: two ports of 32 pins
#define GPIO_PORT(pin)    (0x50000000u + 0x300u * ((pin) >> 5))
#define GPIO_OUTSET(pin)  (GPIO_PORT(pin) + 0x508u)
#define GPIO_PIN_CNF(pin) (GPIO_PORT(pin) + 0x700u + 4u * ((pin) & 31u))
#define PIN_OUTPUT        3u        // direction output, input buffer disconnected
#define PIN_INPUT_PULL_UP (3u << 2) // direction input, input buffer connected, pull-up

// 6.33 UART
#define UART_PSELTXD (EB_UART_BASE + 0x50Cu)
#define UART_PSELRXD (EB_UART_BASE + 0x514u)

void eb_board_init(void) {
    EB_REG(CLOCK_EVENTS_HFCLKSTARTED) = 0;
    EB_REG(CLOCK_TASKS_HFCLKSTART) = 1;
    eb_wait(CLOCK_EVENTS_HFCLKSTARTED, 1u, 1u);

    eb_wait(NVMC_READY, 1u, 1u);
    EB_REG(NVMC_ICACHECNF) = ICACHE_ENABLE;

    // The line idles high, so the pin must be high before the UART takes it over.
    EB_REG(GPIO_OUTSET(EB_TX_PIN)) = 1u << (EB_TX_PIN & 31u);
    EB_REG(GPIO_PIN_CNF(EB_TX_PIN)) = PIN_OUTPUT;
    EB_REG(GPIO_PIN_CNF(EB_RX_PIN)) = PIN_INPUT_PULL_UP;
    EB_REG(UART_PSELTXD) = EB_TX_PIN;
    EB_REG(UART_PSELRXD) = EB_RX_PIN;
}
