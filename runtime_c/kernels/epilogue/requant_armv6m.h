// SPDX-License-Identifier: Apache-2.0
// eb_requant of a row of sums for Armv6-M, in 21 cycles an element (modelled, Cortex-M0+, no wait states)
// where compilers need 37: constants stay in high registers. A value above qmax costs 4 more.
#ifndef EDGEBIT_REQUANT_ARMV6M_H
#define EDGEBIT_REQUANT_ARMV6M_H

#include "edgebit/eb_types.h"

// y[i] = eb_requant(acc[i], p, &e[i]), i < n, n >= 1.
void eb_requant_row__armv6m(const int32_t *acc, const eb_requant_entry *e, int8_t *y,
                            const eb_requant_params *p, int32_t n);

// clang-format off
// r0 acc, r1 entries, r2 y, r3 pre_shift, r4 the value, r5 r6 entry, r7 free, r8 half, r9 end of y, r10 qmin, r11
// qmax.
#define EB_REQUANT_ELEMENT(at, low, back, high)                                                              \
    "ldmia r0!, {r4}\n ldmia r1!, {r5, r6}\n add r4, r8\n asrs r4, r3\n sxth r7, r6\n muls r4, r7, r4\n"     \
    "adds r4, r4, r5\n asrs r6, r6, #16\n asrs r4, r6\n"                                                     \
    "cmp r4, r10\n bge " #low "f\n mov r4, r10\n" #low ":\n"                                                 \
    "cmp r4, r11\n bgt " #high "f\n" #back ":\n strb r4, [r2, #" #at "]\n"

__asm__(".syntax unified\n"
        ".pushsection .text.eb_requant_row__armv6m, \"axG\", %progbits, eb_requant_row__armv6m, comdat\n"
        ".p2align 2\n"
        ".thumb\n"
        ".weak eb_requant_row__armv6m\n"
        ".hidden eb_requant_row__armv6m\n"
        ".type eb_requant_row__armv6m, %function\n"
        ".thumb_func\n"
        "eb_requant_row__armv6m:\n"
        "push {r4-r7, lr}\n"
        "mov r4, r8\n mov r5, r9\n mov r6, r10\n mov r7, r11\n"
        "push {r4-r7}\n"
        "ldmia r3!, {r4, r5, r6, r7}\n"
        "mov r8, r4\n mov r10, r6\n mov r11, r7\n movs r3, r5\n"
        "ldr r4, [sp, #36]\n adds r5, r4, r2\n mov r9, r5\n"
        "lsls r4, r4, #31\n"
        "beq 1f\n"
        "subs r2, #1\n"
        "b 2f\n"
        "1:\n"
        EB_REQUANT_ELEMENT(0, 11, 12, 13)
        "2:\n"
        EB_REQUANT_ELEMENT(1, 21, 22, 23)
        "adds r2, #2\n cmp r2, r9\n bne 1b\n"
        "pop {r4-r7}\n"
        "mov r8, r4\n mov r9, r5\n mov r10, r6\n mov r11, r7\n"
        "pop {r4-r7, pc}\n"
        "13: mov r4, r11\n b 12b\n"
        "23: mov r4, r11\n b 22b\n"
        ".size eb_requant_row__armv6m, . - eb_requant_row__armv6m\n"
        ".popsection\n");
#undef EB_REQUANT_ELEMENT
// clang-format on

#endif
