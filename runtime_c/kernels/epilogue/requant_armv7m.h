// SPDX-License-Identifier: Apache-2.0
// eb_requant of a row of sums for Armv7-M and Armv8-M Mainline: in 11 cycles an element (modelled, Cortex-M4,
// no wait states) for the whole range of int8 without pre-shift, in 13 with it, where compilers need 20.
#ifndef EDGEBIT_REQUANT_ARMV7M_H
#define EDGEBIT_REQUANT_ARMV7M_H

#include "edgebit/eb_types.h"

// y[i] = eb_requant(acc[i], p, &e[i]), i < n, n >= 1, for the whole range of int8: without pre-shift, and
// with any.
void eb_requant_row__armv7m(const int32_t *acc, const eb_requant_entry *e, int8_t *y,
                            const eb_requant_params *p, int32_t n);
void eb_requant_row__armv7m_shift(const int32_t *acc, const eb_requant_entry *e, int8_t *y,
                                  const eb_requant_params *p, int32_t n);

// clang-format off
#define EB_REQUANT_NONE(v)
#define EB_REQUANT_SHIFT(v) "add " #v ", r12\n asr " #v ", " #v ", lr\n"
#define EB_REQUANT_FINISH(v, add, mul, shift)                                                                \
    "asr " #shift ", " #mul ", #16\n sxth " #mul ", " #mul "\n mla " #v ", " #v ", " #mul ", " #add "\n"     \
    "asr " #v ", " #v ", " #shift "\n ssat " #v ", #8, " #v "\n strb " #v ", [r2], #1\n"
#define EB_REQUANT_TWO(PRE)                                                                                  \
    "ldr r4, [r0], #4\n ldr r5, [r0], #4\n"                                                                  \
    "ldr r6, [r1], #4\n ldr r7, [r1], #4\n ldr r8, [r1], #4\n ldr r9, [r1], #4\n"                            \
    PRE(r4) PRE(r5) EB_REQUANT_FINISH(r4, r6, r7, r10) EB_REQUANT_FINISH(r5, r8, r9, r11)
// r0 acc, r1 entries, r2 y, r3 end of y, r4 r5 values, r6-r9 entries, r10 r11 shifts, r12 half, lr pre-shift.
#define EB_REQUANT_ROW(name, PRE)                                                                            \
    __asm__(".syntax unified\n"                                                                              \
            ".pushsection .text." name ", \"axG\", %progbits, " name ", comdat\n"                            \
            ".p2align 2\n"                                                                                   \
            ".thumb\n"                                                                                       \
            ".weak " name "\n"                                                                               \
            ".hidden " name "\n"                                                                             \
            ".type " name ", %function\n"                                                                    \
            ".thumb_func\n"                                                                                  \
            name ":\n"                                                                                       \
            "push {r4-r11, lr}\n"                                                                            \
            "ldrd r12, lr, [r3]\n"                                                                           \
            "ldr r4, [sp, #36]\n"                                                                            \
            "add r3, r2, r4\n"                                                                               \
            "lsls r4, r4, #31\n"                                                                             \
            "beq 1f\n"                                                                                       \
            "ldr r4, [r0], #4\n ldrd r6, r7, [r1], #8\n"                                                     \
            PRE(r4) EB_REQUANT_FINISH(r4, r6, r7, r10)                                                       \
            "cmp r2, r3\n"                                                                                   \
            "beq 4f\n"                                                                                       \
            "1:\n"                                                                                           \
            "subs r4, r3, r2\n lsls r4, r4, #30\n"                                                           \
            "bne 3f\n"                                                                                       \
            "2:\n"                                                                                           \
            EB_REQUANT_TWO(PRE)                                                                              \
            "3:\n"                                                                                           \
            EB_REQUANT_TWO(PRE)                                                                              \
            "cmp r2, r3\n"                                                                                   \
            "bne 2b\n"                                                                                       \
            "4:\n"                                                                                           \
            "pop {r4-r11, pc}\n"                                                                             \
            ".size " name ", . - " name "\n"                                                                 \
            ".popsection\n");

EB_REQUANT_ROW("eb_requant_row__armv7m", EB_REQUANT_NONE)
EB_REQUANT_ROW("eb_requant_row__armv7m_shift", EB_REQUANT_SHIFT)
#undef EB_REQUANT_ROW
#undef EB_REQUANT_TWO
#undef EB_REQUANT_FINISH
#undef EB_REQUANT_SHIFT
#undef EB_REQUANT_NONE
// clang-format on

#endif
