// SPDX-License-Identifier: Apache-2.0
// Raspberry Pi Pico 2 (Arm cores): 12 MHz crystal, system PLL at 150 MHz, UART0 on GPIO0 (TX) and GPIO1 (RX).
//
// Section numbers are those of the RP2350 Datasheet. The boot ROM has already set up execution from flash,
// with a clock divisor that also holds at 150 MHz. Not yet run on a real board.
#include "eb_board.h"

// 5.9.5.1: the least block that makes the boot ROM accept an Arm image; within the first 4 KiB of flash.
__attribute__((section(".image_def"), used)) const uint32_t eb_image_def[5] = {
    0xFFFFDED3u, // start of block
    0x10210142u, // IMAGE_TYPE, one word: executable, Arm, secure, RP2350
    0x000001FFu, // last item; the items take one word
    0x00000000u, // no further block
    0xAB123579u, // end of block
};

// 2.1.3: every register has aliases that set or clear the bits written.
#define SET   0x2000u
#define CLEAR 0x3000u

// 7.5 subsystem resets
#define RESETS_RESET      0x40020000u
#define RESETS_RESET_DONE 0x40020008u
#define RESET_IO_BANK0    (1u << 6)
#define RESET_PADS_BANK0  (1u << 9)
#define RESET_PLL_SYS     (1u << 14)
#define RESET_UART0       (1u << 26)

// 8.1 clocks
#define CLK_REF_CTRL      0x40010030u
#define CLK_REF_SELECTED  0x40010038u
#define CLK_SYS_CTRL      0x4001003Cu
#define CLK_SYS_DIV       0x40010040u
#define CLK_SYS_SELECTED  0x40010044u
#define CLK_PERI_CTRL     0x40010048u
#define CLK_PERI_DIV      0x4001004Cu
#define CLK_SYS_RESUS     0x40010084u
#define CLK_REF_SRC_XOSC  2u
#define CLK_SYS_SRC_REF   0u
#define CLK_SYS_SRC_AUX   1u // with AUXSRC 0: the system PLL
#define CLK_PERI_ENABLE   (1u << 11)
#define CLK_PERI_FROM_SYS 0u
#define CLK_DIV_1         (1u << 16)

// 8.2 crystal oscillator
#define XOSC_CTRL          0x40048000u
#define XOSC_STATUS        0x40048004u
#define XOSC_STARTUP       0x4004800Cu
#define XOSC_CTRL_ENABLE   0x00FABAA0u // ENABLE = FABh, FREQ_RANGE = AA0h (1 to 15 MHz)
#define XOSC_STATUS_STABLE (1u << 31)
#define XOSC_STARTUP_DELAY 94u // in units of 256 cycles of 12 MHz: 2 ms

// 8.6 PLL: 12 MHz * 125 / (5 * 2) = 150 MHz, the oscillator at 1500 MHz
#define PLL_SYS_CS        0x40050000u
#define PLL_SYS_PWR       0x40050004u
#define PLL_SYS_FBDIV_INT 0x40050008u
#define PLL_SYS_PRIM      0x4005000Cu
#define PLL_CS_LOCK       (1u << 31)
#define PLL_PWR_PD        (1u << 0)
#define PLL_PWR_POSTDIVPD (1u << 3)
#define PLL_PWR_VCOPD     (1u << 5)
#define PLL_POSTDIV1      (5u << 16)
#define PLL_POSTDIV2      (2u << 12)
#define PLL_REFDIV        1u
#define PLL_FEEDBACK      125u

// 9.11 GPIO
#define IO_BANK0_GPIO0_CTRL 0x40028004u
#define IO_BANK0_GPIO1_CTRL 0x4002800Cu
#define PADS_BANK0_GPIO0    0x40038004u
#define PADS_BANK0_GPIO1    0x40038008u
#define FUNCSEL_UART        2u
#define PAD_SCHMITT         (1u << 1)
#define PAD_PULL_UP         (1u << 3)
#define PAD_DRIVE_4MA       (1u << 4)
#define PAD_INPUT           (1u << 6) // bit 8, isolation, must be written 0 (9.7)

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

    // 8.6.3: divisors first, then power, then lock, then the post dividers.
    EB_REG(RESETS_RESET + SET) = RESET_PLL_SYS;
    leave_reset(RESET_PLL_SYS);
    EB_REG(PLL_SYS_CS) = PLL_REFDIV;
    EB_REG(PLL_SYS_FBDIV_INT) = PLL_FEEDBACK;
    EB_REG(PLL_SYS_PWR + CLEAR) = PLL_PWR_PD | PLL_PWR_VCOPD;
    wait_for(PLL_SYS_CS, PLL_CS_LOCK);
    EB_REG(PLL_SYS_PRIM) = PLL_POSTDIV1 | PLL_POSTDIV2;
    EB_REG(PLL_SYS_PWR + CLEAR) = PLL_PWR_POSTDIVPD;

    EB_REG(CLK_SYS_DIV) = CLK_DIV_1;
    EB_REG(CLK_SYS_CTRL) = CLK_SYS_SRC_AUX;
    wait_for(CLK_SYS_SELECTED, 1u << CLK_SYS_SRC_AUX);
    EB_REG(CLK_PERI_DIV) = CLK_DIV_1;
    EB_REG(CLK_PERI_CTRL) = CLK_PERI_ENABLE | CLK_PERI_FROM_SYS;

    leave_reset(RESET_IO_BANK0 | RESET_PADS_BANK0 | RESET_UART0);
    EB_REG(IO_BANK0_GPIO0_CTRL) = FUNCSEL_UART;
    EB_REG(IO_BANK0_GPIO1_CTRL) = FUNCSEL_UART;
    EB_REG(PADS_BANK0_GPIO0) = PAD_INPUT | PAD_DRIVE_4MA | PAD_SCHMITT;
    EB_REG(PADS_BANK0_GPIO1) = PAD_INPUT | PAD_DRIVE_4MA | PAD_SCHMITT | PAD_PULL_UP;
}
