// SPDX-License-Identifier: Apache-2.0
// Raspberry Pi Pico: 12 MHz crystal, system PLL at 125 MHz, UART0 on GPIO0 (TX) and GPIO1 (RX).
//
// Section numbers are those of the RP2040 Datasheet. Not yet run on a real board.
#include "eb_board.h"

// 2.1.2: every register has aliases that set or clear the bits written.
#define SET   0x2000u
#define CLEAR 0x3000u

// 2.14 resets
#define RESETS_RESET      0x4000C000u
#define RESETS_RESET_DONE 0x4000C008u
#define RESET_IO_BANK0    (1u << 5)
#define RESET_PADS_BANK0  (1u << 8)
#define RESET_PLL_SYS     (1u << 12)
#define RESET_UART0       (1u << 22)

// 2.15 clocks
#define CLK_REF_CTRL      0x40008030u
#define CLK_REF_SELECTED  0x40008038u
#define CLK_SYS_CTRL      0x4000803Cu
#define CLK_SYS_DIV       0x40008040u
#define CLK_SYS_SELECTED  0x40008044u
#define CLK_PERI_CTRL     0x40008048u
#define CLK_SYS_RESUS     0x40008078u
#define CLK_REF_SRC_XOSC  2u
#define CLK_SYS_SRC_REF   0u
#define CLK_SYS_SRC_AUX   1u // with AUXSRC 0: the system PLL
#define CLK_PERI_ENABLE   (1u << 11)
#define CLK_PERI_FROM_SYS 0u

// 2.16 crystal oscillator
#define XOSC_CTRL          0x40024000u
#define XOSC_STATUS        0x40024004u
#define XOSC_STARTUP       0x4002400Cu
#define XOSC_CTRL_ENABLE   0x00FABAA0u // ENABLE = FABh, FREQ_RANGE = AA0h (1 to 15 MHz)
#define XOSC_STATUS_STABLE (1u << 31)
#define XOSC_STARTUP_DELAY 94u // in units of 256 cycles of 12 MHz: 2 ms

// 2.18 PLL: 12 MHz * 125 / (6 * 2) = 125 MHz, the oscillator at 1500 MHz
#define PLL_SYS_CS        0x40028000u
#define PLL_SYS_PWR       0x40028004u
#define PLL_SYS_FBDIV_INT 0x40028008u
#define PLL_SYS_PRIM      0x4002800Cu
#define PLL_CS_LOCK       (1u << 31)
#define PLL_PWR_PD        (1u << 0)
#define PLL_PWR_POSTDIVPD (1u << 3)
#define PLL_PWR_VCOPD     (1u << 5)
#define PLL_POSTDIV1      (6u << 16)
#define PLL_POSTDIV2      (2u << 12)
#define PLL_REFDIV        1u
#define PLL_FEEDBACK      125u

// 2.19 GPIO
#define IO_BANK0_GPIO0_CTRL 0x40014004u
#define IO_BANK0_GPIO1_CTRL 0x4001400Cu
#define FUNCSEL_UART        2u

static void wait_for(uint32_t address, uint32_t bits) {
    while ((EB_REG(address) & bits) != bits) {
    }
}

static void leave_reset(uint32_t blocks) {
    EB_REG(RESETS_RESET + CLEAR) = blocks;
    wait_for(RESETS_RESET_DONE, blocks);
}

void eb_board_init(void) {
    // Run from the crystal while the PLL is set up, wherever we came from.
    EB_REG(CLK_SYS_RESUS) = 0;
    EB_REG(XOSC_STARTUP) = XOSC_STARTUP_DELAY;
    EB_REG(XOSC_CTRL) = XOSC_CTRL_ENABLE;
    wait_for(XOSC_STATUS, XOSC_STATUS_STABLE);
    EB_REG(CLK_SYS_CTRL) = CLK_SYS_SRC_REF;
    wait_for(CLK_SYS_SELECTED, 1u << CLK_SYS_SRC_REF);
    EB_REG(CLK_REF_CTRL) = CLK_REF_SRC_XOSC;
    wait_for(CLK_REF_SELECTED, 1u << CLK_REF_SRC_XOSC);

    // 2.18.2.1: divisors first, then power, then lock, then the post dividers.
    EB_REG(RESETS_RESET + SET) = RESET_PLL_SYS;
    leave_reset(RESET_PLL_SYS);
    EB_REG(PLL_SYS_CS) = PLL_REFDIV;
    EB_REG(PLL_SYS_FBDIV_INT) = PLL_FEEDBACK;
    EB_REG(PLL_SYS_PWR + CLEAR) = PLL_PWR_PD | PLL_PWR_VCOPD;
    wait_for(PLL_SYS_CS, PLL_CS_LOCK);
    EB_REG(PLL_SYS_PRIM) = PLL_POSTDIV1 | PLL_POSTDIV2;
    EB_REG(PLL_SYS_PWR + CLEAR) = PLL_PWR_POSTDIVPD;

    EB_REG(CLK_SYS_DIV) = 1u << 8;
    EB_REG(CLK_SYS_CTRL) = CLK_SYS_SRC_AUX;
    wait_for(CLK_SYS_SELECTED, 1u << CLK_SYS_SRC_AUX);
    EB_REG(CLK_PERI_CTRL) = CLK_PERI_ENABLE | CLK_PERI_FROM_SYS;

    // 2.19.2: the pads come out of reset with their inputs enabled.
    leave_reset(RESET_IO_BANK0 | RESET_PADS_BANK0 | RESET_UART0);
    EB_REG(IO_BANK0_GPIO0_CTRL) = FUNCSEL_UART;
    EB_REG(IO_BANK0_GPIO1_CTRL) = FUNCSEL_UART;
}
