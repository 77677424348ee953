// SPDX-License-Identifier: Apache-2.0
// What the Thumb-2 kernels that walk lists of bytes share: the walk over one tile of columns for all rows,
// the tables of three columns, and the driver that goes from tile to tile. The layouts are in
// edgebit/layouts/byte_lists.py.
//
// The words to add up, four planes of them (one a pair of pixels), have one place of a byte in each plane: so
// a list entry is one byte, whatever it stands for, and costs four loads with that byte to four bases, the
// load of the next one behind them, where it overlaps, and four additions: 10 cycles. The load of the next
// entry yields the length of the list to come at the end of a list. A list is entered in unrolled code at the
// place that leaves as many entries as it has.
//
// Bounds: the layouts cut blocks of columns so that sums fit int16, see tpixels_s8.h, and tiles so that no
// list is longer than the code.
#ifndef EDGEBIT_TPIXELS_S8_BYTES_ARMV7M_H
#define EDGEBIT_TPIXELS_S8_BYTES_ARMV7M_H

#include "tmatvec_s8/ofs16.h"
#include "tpixels_s8/tpixels_s8.h"

enum { BYTES_SUMS = 13 }; // of a group of three columns

// The planes of the sums of `groups` >= 1 groups of three columns, one behind the other: 4 * BYTES_SUMS *
// groups words at `table`. stride: words of x from one pair of pixels to the next.
void eb_tpixels_s8_bytes_build(const uint32_t *x, uint32_t *table, uint32_t groups, int32_t stride);
// One tile of all rows: adds to [rows][4] words from acc to acc_end; returns the end of the tile's lists.
// `words`: the first plane, `plane`: bytes to the next.
const uint8_t *eb_tpixels_s8_bytes_rows(const uint8_t *lists, const uint32_t *words, uint32_t *acc,
                                        const uint32_t *acc_end, uint32_t plane);

// clang-format off
#define BYTES_LOAD                                                                                           \
    "ldr.w r0, [r4, r5, lsl #2]\n ldr.w r1, [r7, r5, lsl #2]\n ldr.w r2, [r12, r5, lsl #2]\n"                \
    "ldr.w r3, [lr, r5, lsl #2]\n ldrb.w r5, [r6], #1\n"
// 36 and 28 bytes of code.
#define BYTES_LESS                                                                                           \
    BYTES_LOAD "sub.w r8, r8, r0\n sub.w r9, r9, r1\n sub.w r10, r10, r2\n sub.w r11, r11, r3\n"
#define BYTES_MORE BYTES_LOAD "add.n r8, r0\n add.n r9, r1\n add.n r10, r2\n add.n r11, r3\n"
// To the step that leaves as many as r1; `step`: half the bytes of one.
#define BYTES_PLACE(n, step) ".hword (3f - 2b) / 2 - " #step " * " #n "\n"
#define BYTES_ENTER(step)                                                                                    \
    "tbh [pc, r1, lsl #1]\n"                                                                                 \
    "2:\n"                                                                                                   \
    BYTES_PLACE(0, step) BYTES_PLACE(1, step) BYTES_PLACE(2, step) BYTES_PLACE(3, step) BYTES_PLACE(4, step) \
    BYTES_PLACE(5, step) BYTES_PLACE(6, step) BYTES_PLACE(7, step) BYTES_PLACE(8, step) BYTES_PLACE(9, step) \
    BYTES_PLACE(10, step) BYTES_PLACE(11, step) BYTES_PLACE(12, step) BYTES_PLACE(13, step)                  \
    BYTES_PLACE(14, step) BYTES_PLACE(15, step) BYTES_PLACE(16, step) BYTES_PLACE(17, step)                  \
    BYTES_PLACE(18, step) BYTES_PLACE(19, step) BYTES_PLACE(20, step) BYTES_PLACE(21, step)                  \
    BYTES_PLACE(22, step) BYTES_PLACE(23, step) BYTES_PLACE(24, step)

// r0-r3 free, r4, r7, r12 and lr plane of each pair of pixels, r5 next entry or length, r6 lists, r8-r11 sums; on
// the stack acc and its end.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_tpixels_s8_bytes_rows, \"axG\", %progbits, eb_tpixels_s8_bytes_rows, comdat\n"
        ".p2align 2\n"
        ".thumb\n"
        ".weak eb_tpixels_s8_bytes_rows\n"
        ".hidden eb_tpixels_s8_bytes_rows\n"
        ".type eb_tpixels_s8_bytes_rows, %function\n"
        ".thumb_func\n"
        "eb_tpixels_s8_bytes_rows:\n"
        "push.w {r4-r11, lr}\n"
        "ldr r5, [sp, #36]\n"
        "sub sp, #12\n"
        "mov r6, r0\n mov r4, r1\n add.w r7, r1, r5\n add.w r12, r7, r5\n add.w lr, r12, r5\n"
        "strd r2, r3, [sp]\n"
        "ldrb.w r5, [r6], #1\n"
        "1:\n"
        "mov r1, r5\n ldr r0, [sp]\n ldrb.w r5, [r6], #1\n"
        "ldmia.w r0, {r8-r11}\n"
        BYTES_ENTER(18)
        ".rept 24\n" BYTES_LESS ".endr\n"
        "3:\n"
        "mov r1, r5\n ldrb.w r5, [r6], #1\n"
        BYTES_ENTER(14)
        ".rept 24\n" BYTES_MORE ".endr\n"
        "3:\n"
        "ldr r0, [sp]\n ldr r1, [sp, #4]\n"
        "stmia.w r0!, {r8-r11}\n"
        "str r0, [sp]\n"
        "cmp r0, r1\n"
        "bne.w 1b\n"
        "subs r0, r6, #1\n"
        "add sp, #12\n"
        "pop.w {r4-r11, pc}\n"
        ".size eb_tpixels_s8_bytes_rows, . - eb_tpixels_s8_bytes_rows\n"
        ".popsection\n");

// r11 bytes of the groups' columns, r12 pairs of pixels left, r0 x, r1 table, r2 a - b, r3 others,
// r4-r6 a b c, r7 a + b, r9 bytes of x to the next pair of pixels, r10 end of x. 54 bytes and 27 cycles a group.
#define BYTES_GROUP                                                                                          \
    "ldmia.w r0!, {r4-r6}\n str r5, [r1, #4]\n str r6, [r1, #8]\n"                                           \
    "adds r7, r4, r5\n str r7, [r1, #12]\n subs r2, r4, r5\n str r2, [r1, #16]\n"                            \
    "adds r3, r4, r6\n str r3, [r1, #20]\n subs r3, r4, r6\n str r3, [r1, #24]\n"                            \
    "adds r3, r5, r6\n str r3, [r1, #28]\n subs r3, r5, r6\n str r3, [r1, #32]\n"                            \
    "adds r3, r7, r6\n str r3, [r1, #36]\n subs r3, r7, r6\n str r3, [r1, #40]\n"                            \
    "adds r3, r2, r6\n str r3, [r1, #44]\n subs r3, r2, r6\n str r3, [r1, #48]\n"                            \
    "str.w r4, [r1], #52\n"
__asm__(".syntax unified\n"
        ".pushsection .text.eb_tpixels_s8_bytes_build, \"axG\", %progbits, eb_tpixels_s8_bytes_build, comdat\n"
        ".p2align 2\n"
        ".thumb\n"
        ".weak eb_tpixels_s8_bytes_build\n"
        ".hidden eb_tpixels_s8_bytes_build\n"
        ".type eb_tpixels_s8_bytes_build, %function\n"
        ".thumb_func\n"
        "eb_tpixels_s8_bytes_build:\n"
        "push.w {r4-r11, lr}\n"
        "add.w r2, r2, r2, lsl #1\n lsl.w r11, r2, #2\n rsb.w r9, r11, r3, lsl #2\n"
        "mov.w r12, #4\n"
        "1:\n"
        "add.w r10, r0, r11\n"
        "lsls.w r2, r11, #29\n"
        "bmi.n 3f\n"
        "2:\n"
        BYTES_GROUP
        "3:\n"
        BYTES_GROUP
        "cmp r0, r10\n"
        "bne.n 2b\n"
        "add r0, r9\n"
        "subs.w r12, r12, #1\n"
        "bne.n 1b\n"
        "pop.w {r4-r11, pc}\n"
        ".size eb_tpixels_s8_bytes_build, . - eb_tpixels_s8_bytes_build\n"
        ".popsection\n");
// clang-format on

// The product by layout "lut3b" (`lookup`, a literal, is true; tables are made in `table`) or "list8p".
EB_INLINE void bytes_product(const uint8_t *w, const uint32_t *x, uint32_t *acc, int32_t rows, int32_t stride,
                             int lookup, uint32_t *table) {
    uint32_t *block = acc - rows * EB_PIXEL_PAIRS;
    for (uint32_t units = w[0]; units > 0; units = w[0]) {
        if (w[1]) {
            block += rows * EB_PIXEL_PAIRS;
            eb_tmatvec_s8_ofs16_clear((int32_t *)block, (uint32_t)rows);
        }
        const uint32_t *words = lookup ? table : x;
        uint32_t plane = lookup ? BYTES_SUMS * units : (uint32_t)stride;
        if (lookup) {
            eb_tpixels_s8_bytes_build(x, table, units, stride);
        }
        w = eb_tpixels_s8_bytes_rows(w + 2, words, block, block + rows * EB_PIXEL_PAIRS, 4 * plane);
        x += lookup ? 3 * units : units;
    }
}

#endif
