// SPDX-License-Identifier: Apache-2.0
// Raspberry Pi Pico: 12 MHz crystal, system PLL at 125 MHz, USB PLL at 48 MHz, UART0 on GPIO0 (TX) and GPIO1
// (RX).
//
// Section numbers are those of the RP2040 Datasheet. Not yet run on a real board.
// Addresses and bits were checked against the register headers of Raspberry Pi's pico-sdk.
#include "eb_board.h"
#include "eb_usb.h"

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
#define CLK_REF_CTRL     0x40008030u
#define CLK_REF_SELECTED 0x40008038u
#define CLK_SYS_CTRL     0x4000803Cu
#define CLK_SYS_DIV      0x40008040u
#define CLK_SYS_SELECTED 0x40008044u
#define CLK_PERI_CTRL    0x40008048u
#define CLK_USB_CTRL     0x40008054u
#define CLK_USB_DIV      0x40008058u
#define CLK_SYS_RESUS    0x40008078u
#define CLK_DIV_1        (1u << 8)

// 2.16 crystal oscillator
#define XOSC_CTRL    0x40024000u
#define XOSC_STATUS  0x40024004u
#define XOSC_STARTUP 0x4002400Cu

// 2.18 PLL. System: 12 MHz * 125 / (6 * 2) = 125 MHz, the oscillator at 1500 MHz.
// USB: 12 MHz * 100 / (5 * 5) = 48 MHz, the oscillator at 1200 MHz.
#define PLL_SYS 0x40028000u
#define PLL_USB 0x4002C000u

// 2.19 GPIO
#define IO_BANK0_GPIO0_CTRL 0x40014004u
#define IO_BANK0_GPIO1_CTRL 0x4001400Cu
#define PADS_BANK0_GPIO1    0x4001C008u

// 2.8.3 ROM: a table of functions, each two characters and an address in 16 bits, ends with zero. "UB"
// (2.8.3.1.5) restarts as if BOOTSEL were held; its arguments: no light, every interface.
#define ROM_TABLE    0x14u
#define ROM_USB_BOOT (uint32_t)('U' | 'B' << 8)

#include "eb_rp2.h" // it takes the registers from above

void eb_board_init(void) {
    eb_rp2_clocks(PLL_POSTDIV(6u, 2u));

    // 2.19.2: the pads come out of reset with their inputs enabled. The receiver's is pulled up, so that a
    // pin to which nothing is connected says nothing.
    EB_REG(RESETS_RESET + SET) = RESET_USBCTRL;
    eb_rp2_leave_reset(RESET_IO_BANK0 | RESET_PADS_BANK0 | RESET_UART0 | RESET_USBCTRL);
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
