// SPDX-License-Identifier: Apache-2.0
// Ternary x int8 products by plain lists of columns in Thumb-2, a byte a nonzero trit: LIST8_PRODUCT(name)
// defines the kernel `name` of this family for layout "list8" (edgebit/layouts/list8.py).
//
// The weights are u16 tiles, u16 columns in a tile, then for each row and tile two lists: a byte that says
// where to enter the unrolled code, and the columns (from the tile's first) to subtract; the same and the
// columns to add. Two entries are one step: four loads in a row, which overlap, and two subtractions or
// additions, 7 cycles on a Cortex-M4. A list of odd length is entered behind a step's first load, with that
// register holding the distance to a zero on the stack.
//
// Bounds: |acc| <= 128 * nonzero trits < 2^31; sums on the way are not larger.
// Scratch: none.
#ifndef EDGEBIT_TMATVEC_S8_LIST8_H
#define EDGEBIT_TMATVEC_S8_LIST8_H

#include "tmatvec_s8/tmatvec_s8.h"

// clang-format off
// Two entries; 16 bytes of code.
#define LIST8_STEP(op)                                                                                       \
    "ldrb.w r0, [r6], #1\n ldrb.w r1, [r6], #1\n ldrsb.n r0, [r7, r0]\n ldrsb.n r1, [r7, r1]\n"              \
    #op ".n r4, r4, r0\n " #op ".n r4, r4, r1\n"
// To where the list's first byte says: that many times 4 bytes before `end`.
#define LIST8_ENTER(end)                                                                                     \
    "ldrb.w r1, [r6], #1\n mov r0, r2\n sub.w r1, " #end ", r1, lsl #2\n mov pc, r1\n"

// r0 and r1 free, r2 from the tile to the zero, r3 acc, r4 sum, r5 tiles left, r6 lists, r7 tile of x, r8 columns
// in a tile, r9 and r10 ends of the two codes, r11 tiles, r12 end of acc, lr x.
#define LIST8_PRODUCT(name)                                                                                  \
    __asm__(".syntax unified\n"                                                                              \
            ".pushsection .text." #name ", \"ax\", %progbits\n"                                              \
            ".p2align 2\n"                                                                                   \
            ".thumb\n"                                                                                       \
            ".global " #name "\n"                                                                            \
            ".type " #name ", %function\n"                                                                   \
            ".thumb_func\n"                                                                                  \
            #name ":\n"                                                                                      \
            "push.w {r4-r11, lr}\n"                                                                          \
            "movs r4, #0\n"                                                                                  \
            "push {r4}\n"                                                                                    \
            "mov r6, r0\n mov lr, r1\n add.w r12, r2, r3, lsl #2\n mov r3, r2\n"                             \
            "ldrh.w r11, [r6], #2\n ldrh.w r8, [r6], #2\n"                                                   \
            "adr.w r9, 3f\n adr.w r10, 4f\n"                                                                 \
            "1:\n"                                                                                           \
            "movs r4, #0\n mov r7, lr\n mov r5, r11\n"                                                       \
            "2:\n"                                                                                           \
            "sub.w r2, sp, r7\n"                                                                             \
            LIST8_ENTER(r9)                                                                                  \
            ".p2align 2\n"                                                                                   \
            ".rept 32\n" LIST8_STEP(subs) ".endr\n"                                                          \
            "3:\n"                                                                                           \
            LIST8_ENTER(r10)                                                                                 \
            ".p2align 2\n"                                                                                   \
            ".rept 32\n" LIST8_STEP(adds) ".endr\n"                                                          \
            "4:\n"                                                                                           \
            "add.n r7, r8\n subs.n r5, #1\n"                                                                 \
            "bne.w 2b\n"                                                                                     \
            "str r4, [r3], #4\n cmp r3, r12\n"                                                               \
            "bne.w 1b\n"                                                                                     \
            "pop {r4}\n"                                                                                     \
            "pop.w {r4-r11, pc}\n"                                                                           \
            ".size " #name ", . - " #name "\n"                                                               \
            ".popsection\n")
// clang-format on

#endif
