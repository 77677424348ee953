// SPDX-License-Identifier: Apache-2.0
// Seven ternary rows at once for cores with Helium (Cortex-M55, M85), as many as there are registers for
// their sums: so many share each load of inputs. What kernels of layout "digits7" share.
//
// Layout "digits7": rows in blocks of seven as long as 28 are left, then of four, as digits_mve.h explains. A
// column of seven rows is two bytes, 16 columns two vectors: the first holds rows 0 to 3, the second
// t4 + 4 t5 + 16 t6. Behind the last block are 32 bytes that are read and ignored: every step loads the
// weights of the next, also of the next block's first, whose inputs stay in a register. Cost (Cortex-M55,
// llvm-mca model, no wait states): 15 cycles for 112 weights, 17 per 7 rows, and those of digits_mve.h for
// blocks of four.
#ifndef EDGEBIT_DIGITS7_MVE_H
#define EDGEBIT_DIGITS7_MVE_H

#include "tmatvec_s8/digits_mve.h"

// A step of 16 columns whose inputs are in the register x; it loads the next step's weights.
#define EB_DIGITS7_STEP(a, x)                                                                                \
    "vrshr.s8 q3, q0, #6\n vmladav" a ".s8 r0, q0, " x "\n vrshr.s8 q4, q0, #4\n"                            \
    "vmladav" a ".s8 r6, q3, " x "\n vrshr.s8 q3, q0, #2\n vmladav" a ".s8 r4, q4, " x "\n"                  \
    "vrshr.s8 q4, q1, #4\n vmladav" a ".s8 r2, q3, " x "\n vrshr.s8 q3, q1, #2\n"                            \
    "vmladav" a ".s8 r8, q1, " x "\n vldrb.u8 q0, [r1], #16\n vmladav" a ".s8 r12, q4, " x "\n"              \
    "vldrb.u8 q1, [r1], #16\n vmladav" a ".s8 r10, q3, " x "\n"

// All rows: r1 w, r3 x, r7 acc, r9 steps after the first, r11 end of acc of the blocks of seven; `end`:
// operand of a load of the end of acc. Labels 1 to 5, r0-r8, r10-r12, lr and q0-q5 are used: q0 q1 weights,
// q2 inputs, q5 the first inputs, q3 q4 shifted weights, r0 r2 r4 r6 r8 r12 r10 sums of rows 0 to 6, r5 x of
// the second step.
// clang-format off
#define EB_DIGITS7_ROWS(end)                                                                                 \
    "vldrb.u8 q0, [r1], #16\n cmp r7, r11\n vldrb.u8 q5, [r3], #16\n mov r5, r3\n beq 4f\n"                  \
    "vldrb.u8 q1, [r1], #16\n"                                                                               \
    "1:\n" EB_DIGITS7_STEP("", "q5")                                                                         \
    "wls lr, r9, 3f\n"                                                                                       \
    "2:\n vldrb.u8 q2, [r3], #16\n" EB_DIGITS7_STEP("a", "q2")                                               \
    "le lr, 2b\n"                                                                                            \
    "3:\n" EB_DIGITS_SUMS                                                                                    \
    "strd r0, r2, [r7], #28\n sub r8, r8, r10, lsl #2\n strd r4, r6, [r7, #-20]\n"                           \
    "sub r10, r10, r12, lsl #2\n strd r8, r10, [r7, #-12]\n str r12, [r7, #-4]\n"                            \
    "cmp r7, r11\n mov r3, r5\n bne 1b\n"                                                                    \
    "subs r1, #16\n"                                                                                         \
    "4:\n ldr r11, " end "\n subs r5, #16\n mov r3, r5\n cmp r7, r11\n beq 5f\n" EB_DIGITS_FOURS             \
    "5:\n"
// clang-format on

#endif
