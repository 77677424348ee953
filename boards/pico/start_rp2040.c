// SPDX-License-Identifier: Apache-2.0
// Raspberry Pi Pico: 12 MHz crystal, system PLL at 125 MHz, USB PLL at 48 MHz, UART0 on GPIO0 (TX) and GPIO1
// (RX).
//
// Section numbers are those of the RP2040 Datasheet. Not yet run on a real board.
// Addresses and bits were checked against the register headers of Raspberry Pi's pico-sdk.
#include "eb_board.h"
#include "eb_usb.h"

// 2.1.2: every register has aliases that set or clear the bits written.
#define SET   0x2000u
#define CLEAR 0x3000u

// 2.14 resets
#define RESETS_RESET      0x4000C000u
#define RESETS_RESET_DONE 0x4000C008u
#define RESET_IO_BANK0    (1u << 5)
#define RESET_PADS_BANK0  (1u << 8)
#define RESET_PLL_SYS     (1u << 12)
#define RESET_PLL_USB     (1u << 13)
#define RESET_UART0       (1u << 22)
#define RESET_USBCTRL     (1u << 24)

// 2.15 clocks
#define CLK_REF_CTRL      0x40008030u
#define CLK_REF_SELECTED  0x40008038u
#define CLK_SYS_CTRL      0x4000803Cu
#define CLK_SYS_DIV       0x40008040u
#define CLK_SYS_SELECTED  0x40008044u
#define CLK_PERI_CTRL     0x40008048u
#define CLK_USB_CTRL      0x40008054u
#define CLK_USB_DIV       0x40008058u
#define CLK_SYS_RESUS     0x40008078u
#define CLK_REF_SRC_XOSC  2u
#define CLK_SYS_SRC_REF   0u
#define CLK_SYS_SRC_AUX   1u // with AUXSRC 0: the system PLL
#define CLK_PERI_ENABLE   (1u << 11)
#define CLK_PERI_FROM_SYS 0u
#define CLK_USB_ENABLE    (1u << 11)
#define CLK_USB_FROM_PLL  0u // the USB PLL
#define CLK_DIV_1         (1u << 8)

// 2.16 crystal oscillator
#define XOSC_CTRL          0x40024000u
#define XOSC_STATUS        0x40024004u
#define XOSC_STARTUP       0x4002400Cu
#define XOSC_CTRL_ENABLE   0x00FABAA0u // ENABLE = FABh, FREQ_RANGE = AA0h (1 to 15 MHz)
#define XOSC_STATUS_STABLE (1u << 31)
#define XOSC_STARTUP_DELAY 94u // in units of 256 cycles of 12 MHz: 2 ms

// 2.18 PLL. System: 12 MHz * 125 / (6 * 2) = 125 MHz, the oscillator at 1500 MHz.
// USB: 12 MHz * 100 / (5 * 5) = 48 MHz, the oscillator at 1200 MHz.
#define PLL_SYS           0x40028000u
#define PLL_USB           0x4002C000u
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

// 2.19 GPIO
#define IO_BANK0_GPIO0_CTRL 0x40014004u
#define IO_BANK0_GPIO1_CTRL 0x4001400Cu
#define PADS_BANK0_GPIO1    0x4001C008u
#define FUNCSEL_UART        2u
#define PAD_SCHMITT         (1u << 1)
#define PAD_PULL_UP         (1u << 3)
#define PAD_DRIVE_4MA       (1u << 4)
#define PAD_INPUT           (1u << 6)

// 2.8.3 ROM: a table of functions, each two characters and an address in 16 bits, ends with zero. "UB"
// (2.8.3.1.5) restarts as if BOOTSEL were held; its arguments: no light, every interface.
#define ROM_TABLE    0x14u
#define ROM_USB_BOOT (uint32_t)('U' | 'B' << 8)

static void wait_for(uint32_t address, uint32_t bits) {
    while ((EB_REG(address) & bits) != bits) {
    }
}

static void leave_reset(uint32_t blocks) {
    EB_REG(RESETS_RESET + CLEAR) = blocks;
    wait_for(RESETS_RESET_DONE, blocks);
}

// 2.18.2.1: divisors first, then power, then lock, then the post dividers.
static void start_pll(uint32_t pll, uint32_t block, uint32_t feedback, uint32_t dividers) {
    EB_REG(RESETS_RESET + SET) = block;
    leave_reset(block);
    EB_REG(pll + PLL_CS) = PLL_REFDIV;
    EB_REG(pll + PLL_FBDIV_INT) = feedback;
    EB_REG(pll + PLL_PWR + CLEAR) = PLL_PWR_PD | PLL_PWR_VCOPD;
    wait_for(pll + PLL_CS, PLL_CS_LOCK);
    EB_REG(pll + PLL_PRIM) = dividers;
    EB_REG(pll + PLL_PWR + CLEAR) = PLL_PWR_POSTDIVPD;
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

    start_pll(PLL_SYS, RESET_PLL_SYS, 125, PLL_POSTDIV(6u, 2u));
    start_pll(PLL_USB, RESET_PLL_USB, 100, PLL_POSTDIV(5u, 5u));

    EB_REG(CLK_SYS_DIV) = CLK_DIV_1;
    EB_REG(CLK_SYS_CTRL) = CLK_SYS_SRC_AUX;
    wait_for(CLK_SYS_SELECTED, 1u << CLK_SYS_SRC_AUX);
    EB_REG(CLK_PERI_CTRL) = CLK_PERI_ENABLE | CLK_PERI_FROM_SYS;
    EB_REG(CLK_USB_DIV) = CLK_DIV_1;
    EB_REG(CLK_USB_CTRL) = CLK_USB_ENABLE | CLK_USB_FROM_PLL;

    // 2.19.2: the pads come out of reset with their inputs enabled. The receiver's is pulled up, so that a
    // pin to which nothing is connected says nothing.
    EB_REG(RESETS_RESET + SET) = RESET_USBCTRL;
    leave_reset(RESET_IO_BANK0 | RESET_PADS_BANK0 | RESET_UART0 | RESET_USBCTRL);
    EB_REG(PADS_BANK0_GPIO1) = PAD_INPUT | PAD_DRIVE_4MA | PAD_SCHMITT | PAD_PULL_UP;
    EB_REG(IO_BANK0_GPIO0_CTRL) = FUNCSEL_UART;
    EB_REG(IO_BANK0_GPIO1_CTRL) = FUNCSEL_UART;
}

// A half-word of the ROM, in assembly: compilers take its addresses for those of null pointers.
static uint32_t rom_half(uint32_t address) {
    uint32_t value;
    __asm volatile("ldrh %0, [%1]" : "=l"(value) : "l"(address));
    return value;
}

// Enters the ROM's function at `address` with two zero arguments. It never comes back, and takes the stack as
// it is: a jump that the account of the stack need not follow.
__attribute__((noreturn)) static void enter(uint32_t address) {
    __asm volatile("push {%0}\n"
                   "movs r0, #0\n"
                   "movs r1, #0\n"
                   "pop {pc}\n"
                   :
                   : "l"(address));
    __builtin_unreachable();
}

void eb_board_bootloader(void) {
    uint32_t at = rom_half(ROM_TABLE);
    while (rom_half(at) != 0 && rom_half(at) != ROM_USB_BOOT) {
        at += 4;
    }
    if (rom_half(at) != 0) {
        enter(rom_half(at + 2));
    }
}
