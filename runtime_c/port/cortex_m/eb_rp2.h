// SPDX-License-Identifier: Apache-2.0
// What start-up of the RP2040 and of the RP2350 have in common: resets, clocks, bits of pads.
//
// Section numbers are those of the RP2040 Datasheet, then of the RP2350 Datasheet. Who includes this has
// defined where its chip has the registers: see boards/pico/start_rp2040.c. Not yet run on a real board.
#ifndef EDGEBIT_EB_RP2_H
#define EDGEBIT_EB_RP2_H

#include "eb_board.h"

// 2.1.2, 2.1.3: every register has aliases that set or clear the bits written.
#define SET   0x2000u
#define CLEAR 0x3000u

// 2.15, 8.1: clocks
#define CLK_REF_SRC_XOSC  2u
#define CLK_SYS_SRC_REF   0u
#define CLK_SYS_SRC_AUX   1u // with AUXSRC 0: the system PLL
#define CLK_PERI_ENABLE   (1u << 11)
#define CLK_PERI_FROM_SYS 0u
#define CLK_USB_ENABLE    (1u << 11)
#define CLK_USB_FROM_PLL  0u // the USB PLL

// 2.16, 8.2: crystal oscillator
#define XOSC_CTRL_ENABLE   0x00FABAA0u // ENABLE = FABh, FREQ_RANGE = AA0h (1 to 15 MHz)
#define XOSC_STATUS_STABLE (1u << 31)
#define XOSC_STARTUP_DELAY 94u // in units of 256 cycles of 12 MHz: 2 ms

// 2.18, 8.6: PLLs
#define PLL_CS            0x0u
#define PLL_PWR           0x4u
#define PLL_FBDIV_INT     0x8u
#define PLL_PRIM          0xCu
#define PLL_CS_LOCK       (1u << 31)
#define PLL_PWR_PD        (1u << 0)
#define PLL_PWR_POSTDIVPD (1u << 3)
#define PLL_PWR_VCOPD     (1u << 5)
#define PLL_POSTDIV(a, b) ((a) << 16 | (b) << 12)
#define PLL_REFDIV        1u

// 2.19, 9.11: pads
#define FUNCSEL_UART  2u
#define PAD_SCHMITT   (1u << 1)
#define PAD_PULL_UP   (1u << 3)
#define PAD_DRIVE_4MA (1u << 4)
#define PAD_INPUT     (1u << 6)

static void eb_rp2_wait(uint32_t address, uint32_t bits) {
    while ((EB_REG(address) & bits) != bits) {
    }
}

static void eb_rp2_leave_reset(uint32_t blocks) {
    EB_REG(RESETS_RESET + CLEAR) = blocks;
    eb_rp2_wait(RESETS_RESET_DONE, blocks);
}

// 2.18.2.1, 8.6.3: divisors first, then power, then lock, then the post dividers.
static void eb_rp2_start_pll(uint32_t pll, uint32_t block, uint32_t feedback, uint32_t dividers) {
    EB_REG(RESETS_RESET + SET) = block;
    eb_rp2_leave_reset(block);
    EB_REG(pll + PLL_CS) = PLL_REFDIV;
    EB_REG(pll + PLL_FBDIV_INT) = feedback;
    EB_REG(pll + PLL_PWR + CLEAR) = PLL_PWR_PD | PLL_PWR_VCOPD;
    eb_rp2_wait(pll + PLL_CS, PLL_CS_LOCK);
    EB_REG(pll + PLL_PRIM) = dividers;
    EB_REG(pll + PLL_PWR + CLEAR) = PLL_PWR_POSTDIVPD;
}

// From the 12 MHz crystal: the system PLL, whose oscillator runs at 1500 MHz, with these post dividers, and
// the USB PLL at 48 MHz; clk_sys and clk_peri from the first, clk_usb from the second.
static void eb_rp2_clocks(uint32_t sys_dividers) {
    // Run from the crystal while the PLL is set up, wherever we came from.
    EB_REG(CLK_SYS_RESUS) = 0;
    EB_REG(XOSC_STARTUP) = XOSC_STARTUP_DELAY;
    EB_REG(XOSC_CTRL) = XOSC_CTRL_ENABLE;
    eb_rp2_wait(XOSC_STATUS, XOSC_STATUS_STABLE);
    EB_REG(CLK_SYS_CTRL) = CLK_SYS_SRC_REF;
    eb_rp2_wait(CLK_SYS_SELECTED, 1u << CLK_SYS_SRC_REF);
    EB_REG(CLK_REF_CTRL) = CLK_REF_SRC_XOSC;
    eb_rp2_wait(CLK_REF_SELECTED, 1u << CLK_REF_SRC_XOSC);

    eb_rp2_start_pll(PLL_SYS, RESET_PLL_SYS, 125, sys_dividers);
    eb_rp2_start_pll(PLL_USB, RESET_PLL_USB, 100, PLL_POSTDIV(5u, 5u));

    EB_REG(CLK_SYS_DIV) = CLK_DIV_1;
    EB_REG(CLK_SYS_CTRL) = CLK_SYS_SRC_AUX;
    eb_rp2_wait(CLK_SYS_SELECTED, 1u << CLK_SYS_SRC_AUX);
#ifdef CLK_PERI_DIV // the RP2040 has none
    EB_REG(CLK_PERI_DIV) = CLK_DIV_1;
#endif
    EB_REG(CLK_PERI_CTRL) = CLK_PERI_ENABLE | CLK_PERI_FROM_SYS;
    EB_REG(CLK_USB_DIV) = CLK_DIV_1;
    EB_REG(CLK_USB_CTRL) = CLK_USB_ENABLE | CLK_USB_FROM_PLL;
}

#endif
