/* SPDX-License-Identifier: Apache-2.0 */
/* A program of known cost: layer 0 is a dot product of 256 int8 pairs, layer 1 a delay loop of DELAY rounds. */
    .syntax unified
    .thumb
    .text

    .global eb_mark
    .type eb_mark, %function
    .thumb_func
eb_mark:
    bx lr

    .global dot
    .type dot, %function
    .thumb_func
dot:
    push {r4, r5, r6, lr}
    movs r3, #0
    movs r4, #0
1:
    ldrsb r5, [r0, r3]
    ldrsb r6, [r1, r3]
    muls r5, r6, r5
    adds r4, r4, r5
    adds r3, #1
    cmp r3, r2
    bne 1b
    movs r0, r4
    pop {r4, r5, r6, pc}

    .global main
    .type main, %function
    .thumb_func
main:
    bl eb_port_init
again:
    ldr r0, =0xFFFFFFFF
    bl eb_mark
    ldr r0, =values
    ldr r1, =values
    movs r2, #128
    lsls r2, r2, #1
    bl dot
    movs r0, #0
    bl eb_mark
    ldr r2, rounds /* a literal of our own: an assembler may turn ldr r2, =DELAY into a move */
2:
    subs r2, #1
    bne 2b
    movs r0, #1
    bl eb_mark
    bl eb_port_getc
    b again
    .ltorg
    .balign 4
rounds:
    .word DELAY

    .section .rodata
values:
    .rept 64
    .byte 1, 2, 0x80, 0x7F
    .endr
