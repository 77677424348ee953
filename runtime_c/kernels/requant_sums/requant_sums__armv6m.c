// SPDX-License-Identifier: Apache-2.0
// Requantisation of sums for Armv6-M: a row's entry is read once for eight pixels.
//
// Cost (modelled cycles, Cortex-M0+): 126 a row of eight pixels and 2 for each output outside qmin..qmax.
#include "requant_sums/requant_sums.h"

EB_REQUANT_SUMS_DECL(eb_requant_sums__armv6m);

// clang-format off
// One sum; it jumps to labels 1n and 2n (in the direction `to`) when it is clamped.
#define VALUE(n, to)                                                                                         \
    "ldmia r0!, {r2}\n add r2, r8\n asrs r2, r4\n muls r2, r6\n adds r2, r2, r5\n asrs r2, r3\n"             \
    "cmp r2, r11\n blt 1" #n #to "\n cmp r2, r12\n bgt 2" #n #to "\n"                                        \
    "3" #n ":\n strb r2, [r1]\n add r1, r9\n"
#define CLAMPED(n, to)                                                                                       \
    "1" #n ":\n mov r2, r11\n b 3" #n #to "\n 2" #n ":\n mov r2, r12\n b 3" #n #to "\n"

// r0 acc, r1 y, r2 the value, r3 shift, r4 pre-shift, r5 add, r6 mul, r7 entries, r8 half, r9 step, r10 from behind
// the last first pixel to the first second pixel, r11 qmin, r12 qmax, lr end of acc. Stack: 0 from behind the last
// pixel to the next row.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_requant_sums__armv6m, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_requant_sums__armv6m\n"
        ".type eb_requant_sums__armv6m, %function\n"
        ".thumb_func\n"
        "eb_requant_sums__armv6m:\n"
        "push {r4-r7, lr}\n"
        "mov r4, r8\n mov r5, r9\n mov r6, r10\n mov r7, r11\n"
        "push {r4-r7}\n"
        "ldr r4, [sp, #36]\n ldr r5, [sp, #40]\n ldr r6, [sp, #44]\n"
        "sub sp, #4\n"
        "movs r7, r1\n movs r1, r3\n"
        "lsls r4, r4, #5\n adds r4, r4, r2\n mov lr, r4\n"
        "mov r9, r5\n lsls r5, r5, #2\n subs r4, r6, r5\n mov r10, r4\n"
        "adds r5, r5, r6\n negs r5, r5\n adds r5, #1\n str r5, [sp]\n"
        "ldmia r0!, {r3, r4, r5, r6}\n mov r8, r3\n mov r11, r5\n mov r12, r6\n"
        "movs r0, r2\n"
        "b 4f\n"
        CLAMPED(0, f) CLAMPED(1, f) CLAMPED(2, f) CLAMPED(3, f)
        "4:\n"
        "ldmia r7!, {r5, r6}\n asrs r3, r6, #16\n sxth r6, r6\n"
        VALUE(0, b) VALUE(1, b) VALUE(2, b) VALUE(3, b)
        "add r1, r10\n"
        VALUE(4, f) VALUE(5, f) VALUE(6, f) VALUE(7, f)
        "ldr r2, [sp]\n adds r1, r1, r2\n"
        "cmp r0, lr\n"
        "bne 4b\n"
        "b 5f\n"
        CLAMPED(4, b) CLAMPED(5, b) CLAMPED(6, b) CLAMPED(7, b)
        "5:\n"
        "add sp, #4\n"
        "pop {r4-r7}\n"
        "mov r8, r4\n mov r9, r5\n mov r10, r6\n mov r11, r7\n"
        "pop {r4-r7, pc}\n"
        ".size eb_requant_sums__armv6m, . - eb_requant_sums__armv6m\n"
        ".popsection\n");
// clang-format on

EB_KERNEL(requant_sums, armv6m, none);
