// SPDX-License-Identifier: Apache-2.0
// Ternary rows as digits of a byte for cores with Helium (Cortex-M55, M85): what kernels of layouts with such
// blocks share.
//
// A byte holds one column of up to four rows as the two's complement number t0 + 4 t1 + 16 t2 + 64 t3. As
// |t0 + 4 t1 + 16 t2| <= 21, VRSHR.S8, which shifts right and rounds, leaves t3 of it when it shifts by 6,
// t2 + 4 t3 when by 4 and t1 + 4 t2 + 16 t3 when by 2, all of them exactly. A vector of 16 bytes, shifted in
// these ways and as it is, gives one VMLADAV.S8 with the inputs each, of 16 multiply-accumulates; of two
// neighbouring sums the one with more digits less four times the other is a row's. No constants, no sum of
// the inputs and no start value are needed.
//
// Bounds. |sum| <= 85 * 128 * cols < 2^31 for cols <= 131072, the layouts' limit.
#ifndef EDGEBIT_DIGITS_MVE_H
#define EDGEBIT_DIGITS_MVE_H

// A step of 16 columns of four rows, its digits loaded; "a": accumulate, "": start to. The digits of the next
// step are loaded here, so that 16 bytes behind the last are read.
#define EB_DIGITS_FOUR_ROWS(a)                                                                               \
    "vldrb.u8 q1, [r3], #16\n vrshr.s8 q2, q0, #6\n"                                                         \
    "vmladav" a ".s8 r0, q0, q1\n vrshr.s8 q3, q0, #4\n vmladav" a ".s8 r6, q2, q1\n"                        \
    "vrshr.s8 q2, q0, #2\n vmladav" a ".s8 r4, q3, q1\n vldrb.u8 q0, [r1], #16\n"                            \
    "vmladav" a ".s8 r2, q2, q1\n"

// Of the sums of a byte's four digits, r0 all, r2, r4 and r6 the highest three, two and one: sums of rows.
#define EB_DIGITS_SUMS "sub r0, r0, r2, lsl #2\n sub r2, r2, r4, lsl #2\n sub r4, r4, r6, lsl #2\n"

// Blocks of four rows, at least one: the first digits in q0, r1 behind them, r3 and r5 x, r7 acc, r9 steps
// after the first, r11 the end of acc. Labels 1 and 2 and r0-r7, lr and q0-q3 are used.
#define EB_DIGITS_FOURS                                                                                      \
    "1:\n" EB_DIGITS_FOUR_ROWS("") "wls lr, r9, 3f\n"                                                        \
                                   "2:\n" EB_DIGITS_FOUR_ROWS(                                               \
                                       "a") "le lr, 2b\n"                                                    \
                                            "3:\n" EB_DIGITS_SUMS                                            \
                                            "strd r0, r2, [r7], #16\n strd r4, r6, [r7, #-8]\n"              \
                                            "cmp r7, r11\n mov r3, r5\n bne 1b\n"

#endif
