// SPDX-License-Identifier: Apache-2.0
// Raspberry Pi Pico 2 (Arm cores): 12 MHz crystal, system PLL at 150 MHz, USB PLL at 48 MHz, UART0 on GPIO0
// (TX) and GPIO1 (RX).
//
// Section numbers are those of the RP2350 Datasheet. The boot ROM has already set up execution from flash,
// with a clock divisor that also holds at 150 MHz. Not yet run on a real board.
// Addresses and bits were checked against the register headers of Raspberry Pi's pico-sdk, the image block
// against its picobin.h, the ROM's functions against its bootrom_constants.h and picoboot_constants.h.
#include "eb_board.h"
#include "eb_usb.h"

// 5.9.5.1: the least block that makes the boot ROM accept an Arm image; within the first 4 KiB of flash.
__attribute__((section(".image_def"), used)) const uint32_t eb_image_def[5] = {
    0xFFFFDED3u, // start of block
    0x10210142u, // IMAGE_TYPE, one word: executable, Arm, secure, RP2350
    0x000001FFu, // last item; the items take one word
    0x00000000u, // no further block
    0xAB123579u, // end of block
};

// 7.5 subsystem resets
#define RESETS_RESET      0x40020000u
#define RESETS_RESET_DONE 0x40020008u
#define RESET_IO_BANK0    (1u << 6)
#define RESET_PADS_BANK0  (1u << 9)
#define RESET_PLL_SYS     (1u << 14)
#define RESET_PLL_USB     (1u << 15)
#define RESET_UART0       (1u << 26)
#define RESET_USBCTRL     (1u << 28)

// 8.1 clocks
#define CLK_REF_CTRL     0x40010030u
#define CLK_REF_SELECTED 0x40010038u
#define CLK_SYS_CTRL     0x4001003Cu
#define CLK_SYS_DIV      0x40010040u
#define CLK_SYS_SELECTED 0x40010044u
#define CLK_PERI_CTRL    0x40010048u
#define CLK_PERI_DIV     0x4001004Cu
#define CLK_USB_CTRL     0x40010060u
#define CLK_USB_DIV      0x40010064u
#define CLK_SYS_RESUS    0x40010084u
#define CLK_DIV_1        (1u << 16)

// 8.2 crystal oscillator
#define XOSC_CTRL    0x40048000u
#define XOSC_STATUS  0x40048004u
#define XOSC_STARTUP 0x4004800Cu

// 8.6 PLL. System: 12 MHz * 125 / (5 * 2) = 150 MHz, the oscillator at 1500 MHz.
// USB: 12 MHz * 100 / (5 * 5) = 48 MHz, the oscillator at 1200 MHz.
#define PLL_SYS 0x40050000u
#define PLL_USB 0x40058000u

// 9.11 GPIO
#define IO_BANK0_GPIO0_CTRL 0x40028004u
#define IO_BANK0_GPIO1_CTRL 0x4002800Cu
#define PADS_BANK0_GPIO0    0x40038004u
#define PADS_BANK0_GPIO1    0x40038008u

// 5.4 ROM: at 16h the address, in 16 bits, of the function that finds others by two characters and a mask (4:
// those for secure Arm code). "RB" (5.4.8.24) reboots: into BOOTSEL (2), without coming back (100h), in 10
// ms.
#define ROM_LOOKUP 0x16u

#include "eb_rp2.h" // it takes the registers from above

void eb_board_init(void) {
    eb_rp2_clocks(PLL_POSTDIV(5u, 2u));

    EB_REG(RESETS_RESET + SET) = RESET_USBCTRL;
    eb_rp2_leave_reset(RESET_IO_BANK0 | RESET_PADS_BANK0 | RESET_UART0 | RESET_USBCTRL);
    EB_REG(IO_BANK0_GPIO0_CTRL) = FUNCSEL_UART;
    EB_REG(IO_BANK0_GPIO1_CTRL) = FUNCSEL_UART;
    EB_REG(PADS_BANK0_GPIO0) = PAD_INPUT | PAD_DRIVE_4MA | PAD_SCHMITT;
    EB_REG(PADS_BANK0_GPIO1) = PAD_INPUT | PAD_DRIVE_4MA | PAD_SCHMITT | PAD_PULL_UP;
}

// Enters what r0 points to; a null pointer means that the ROM has no such function. The ROM's look-up
// function returns here, so no call that the account of the stack need follow.
__attribute__((naked, noreturn, used)) static void reboot(void) {
    __asm volatile("cbz r0, 1f\n"
                   "push {r0}\n"
                   "movw r0, #0x102\n"
                   "movs r1, #10\n"
                   "movs r2, #0\n"
                   "movs r3, #0\n"
                   "pop {pc}\n"
                   "1: b 1b\n");
}

// Enters the look-up function, whose address the ROM keeps at ROM_LOOKUP (in assembly: compilers take it for
// a null pointer), to go on with reboot() above.
void eb_board_bootloader(void) {
    __asm volatile("movs r1, %0\n"
                   "ldrh r0, [r1]\n"
                   "push {r0}\n"
                   "mov lr, %1\n"
                   "movw r0, #0x4252\n" // "RB"
                   "movs r1, #4\n"
                   "pop {pc}\n"
                   :
                   : "i"(ROM_LOOKUP), "h"(reboot));
    __builtin_unreachable();
}
