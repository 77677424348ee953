// SPDX-License-Identifier: Apache-2.0
// Second stage of the RP2040's boot (RP2040 Datasheet 2.8.1.3): 256 bytes at the start of flash.
//
// The boot ROM copies these 256 bytes to the end of SRAM5, checks the CRC-32 in the last word (the build puts it
// there), and jumps to the first byte with a flash that answers plain SPI commands only. We let the synchronous
// serial interface (section 4.10) turn bus reads of 0x10000000.. into the flash command 03h, "read data", which
// every serial NOR flash knows and which needs no mode to be set; then we start the program at 0x10000100.
//
// 03h is good for 50 MHz on the Pico's W25Q16JV (its data sheet, 9.6): 125 MHz / 4 = 31.25 MHz.
    .syntax unified
    .cpu cortex-m0plus
    .thumb

    .equ SSI_BASE,       0x18000000
    .equ SSI_CTRLR0,     0x00
    .equ SSI_CTRLR1,     0x04
    .equ SSI_SSIENR,     0x08
    .equ SSI_BAUDR,      0x14
    .equ SSI_SPI_CTRLR0, 0xF4

    // SPI_FRF 0 (standard), DFS_32 = 31 (32-bit frames), TMOD = 3 (send command and address, then receive)
    .equ CTRLR0,     (31 << 16) | (3 << 8)
    // XIP_CMD = 03h, INST_L = 2 (8-bit command), ADDR_L = 6 (24-bit address), TRANS_TYPE 0 (both serial)
    .equ SPI_CTRLR0, (0x03 << 24) | (2 << 8) | (6 << 2)
    .equ CLOCK_DIVISOR, 4

    .equ VTOR,    0xE000ED08
    .equ VECTORS, 0x10000100

    .section .boot2, "ax", %progbits
    .global eb_boot2
    .type eb_boot2, %function
    .thumb_func
eb_boot2:
    ldr   r3, =SSI_BASE
    movs  r0, #0
    str   r0, [r3, #SSI_SSIENR]     // most registers may be written only while it is off
    movs  r0, #CLOCK_DIVISOR
    str   r0, [r3, #SSI_BAUDR]
    ldr   r0, =CTRLR0
    str   r0, [r3, #SSI_CTRLR0]
    movs  r0, #0
    str   r0, [r3, #SSI_CTRLR1]     // one 32-bit frame per read
    ldr   r0, =SPI_CTRLR0
    ldr   r1, =(SSI_BASE + SSI_SPI_CTRLR0)
    str   r0, [r1]
    movs  r0, #1
    str   r0, [r3, #SSI_SSIENR]

    ldr   r0, =VECTORS
    ldr   r1, =VTOR
    str   r0, [r1]
    ldr   r1, [r0, #4]
    ldr   r0, [r0]
    msr   msp, r0
    bx    r1

    .ltorg
    .org 252                        // the CRC-32 of what stands above
    .word 0
