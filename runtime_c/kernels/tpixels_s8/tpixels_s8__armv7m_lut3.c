// SPDX-License-Identifier: Apache-2.0
// Ternary products of packed pixels for Armv7-M without DSP extension (Cortex-M3), by lookup.
//
// The tables and the lists (layout "lut3") are those of tpixels_s8__armv6m_lut3. Here a list entry costs four
// loads with one offset to four bases, the load of the next offset behind them, where it overlaps, and four
// ADDs: 10 cycles for up to 24 multiply-accumulates instead of 12.4. The load of the next offset yields the
// first of the positive list at the end of the negative one, and the lengths of the next row's lists at the
// end of that.
//
// Bounds: the layout cuts blocks of columns so that sums fit int16, see tpixels_s8.h.
// Scratch: as tpixels_s8__armv6m_lut3.
// Cost (modelled cycles, Cortex-M3, no wait states), for eight pixels: 10 for each group of a row with a
// nonzero trit, 68 a row and tile, 64 a column with its packing.
#include "tpixels_s8/tpixels_s8.h"

EB_TPIXELS_S8_DECL(eb_tpixels_s8__armv7m_lut3);

enum { SUMS = 13 }; // of a group of three columns

// One tile of all rows; returns the end of its lists. `acc_end` is less by one when sums are added to what
// acc holds instead of replacing it.
const uint8_t *eb_tpixels_s8__armv7m_lut3_rows(const uint8_t *lists, const uint32_t *table, uint32_t *acc,
                                               uint32_t acc_end);

// clang-format off
// Adds the sums of one list entry. 24 bytes of code.
#define STEP                                                                                                 \
    "ldr.n r0, [r4, r5]\n ldr.n r1, [r7, r5]\n ldr.w r2, [r12, r5]\n ldr.w r3, [lr, r5]\n"                   \
    "ldrh.w r5, [r6], #2\n"                                                                                  \
    "add.n r8, r0\n add.n r9, r1\n add.n r10, r2\n add.n r11, r3\n"
#define STEPS_8 STEP STEP STEP STEP STEP STEP STEP STEP
// To the step that leaves as many as r0 / 2.
#define ENTER "adr.w r1, 3f\n add.w r0, r0, r0, lsl #1\n sub.w r1, r1, r0, lsl #2\n mov pc, r1\n"

// r0-r3 free, r4, r7, r12 and lr table of each pair of pixels, r5 next offset, r6 lists, r8-r11 sums; on the
// stack: bytes of the list to come, negative when there is none, acc and its end less the flag.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_tpixels_s8__armv7m_lut3_rows, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_tpixels_s8__armv7m_lut3_rows\n"
        ".hidden eb_tpixels_s8__armv7m_lut3_rows\n"
        ".type eb_tpixels_s8__armv7m_lut3_rows, %function\n"
        ".thumb_func\n"
        "eb_tpixels_s8__armv7m_lut3_rows:\n"
        "push.w {r4-r11, lr}\n"
        "sub sp, sp, #12\n"
        "strd r2, r3, [sp, #4]\n"
        "mov r6, r0\n mov r4, r1\n add.w r7, r1, #4\n add.w r12, r1, #8\n add.w lr, r1, #12\n"
        "ldrh.w r5, [r6], #2\n"
        "1:\n"
        "uxtb r0, r5\n lsr.w r1, r5, #8\n str r1, [sp]\n"
        "ldrh.w r5, [r6], #2\n"
        "mov.w r8, #0\n mov.w r9, #0\n mov.w r10, #0\n mov.w r11, #0\n"
        "2:\n"
        ENTER
        ".p2align 2\n"
        STEPS_8 STEPS_8 STEPS_8 STEPS_8
        "3:\n"
        "ldr r0, [sp]\n"
        "cmp r0, #0\n"
        "blt 4f\n"
        "rsb.w r8, r8, #0\n rsb.w r9, r9, #0\n rsb.w r10, r10, #0\n rsb.w r11, r11, #0\n"
        "mov.w r1, #-1\n str r1, [sp]\n"
        "b 2b\n"
        "4:\n"
        "ldr r0, [sp, #4]\n ldr r1, [sp, #8]\n"
        "lsls r2, r1, #31\n"
        "bmi 6f\n"
        "5:\n"
        "stm.w r0!, {r8-r11}\n"
        "str r0, [sp, #4]\n"
        "cmp r0, r1\n"
        "blo 1b\n"
        "subs r0, r6, #2\n"
        "add sp, sp, #12\n"
        "pop.w {r4-r11, pc}\n"
        "6:\n"
        "ldrd r2, r3, [r0]\n add.n r8, r2\n add.n r9, r3\n"
        "ldrd r2, r3, [r0, #8]\n add.n r10, r2\n add.n r11, r3\n"
        "b 5b\n"
        ".size eb_tpixels_s8__armv7m_lut3_rows, . - eb_tpixels_s8__armv7m_lut3_rows\n"
        ".popsection\n");
// clang-format on

// The tables of `groups` >= 1 groups of three columns, for one pair of pixels.
EB_INLINE void lut3_build(const uint32_t *EB_RESTRICT x, uint32_t *EB_RESTRICT table, uint32_t groups) {
    for (const uint32_t *end = x + 3 * groups; x != end; x += 3, table += SUMS * EB_PIXEL_PAIRS) {
        const uint32_t a = x[0];
        const uint32_t b = x[1];
        const uint32_t c = x[2];
        const uint32_t sum = a + b;
        const uint32_t less = a - b;
        table[0] = a;
        table[4] = b;
        table[8] = c;
        table[12] = sum;
        table[16] = less;
        table[20] = a + c;
        table[24] = a - c;
        table[28] = b + c;
        table[32] = b - c;
        table[36] = sum + c;
        table[40] = sum - c;
        table[44] = less + c;
        table[48] = less - c;
    }
}

EB_TPIXELS_S8_DECL(eb_tpixels_s8__armv7m_lut3) {
    (void)cols;
    uint32_t *table = scratch;
    uint32_t *block = acc - rows * EB_PIXEL_PAIRS;
    for (uint32_t groups = w[0]; groups > 0; groups = w[0]) {
        uint32_t begins = w[1];
        block += begins ? rows * EB_PIXEL_PAIRS : 0;
        uint32_t end = (uint32_t)(uintptr_t)(block + rows * EB_PIXEL_PAIRS);
        for (int32_t pair = 0; pair < EB_PIXEL_PAIRS; pair++) {
            lut3_build(x + pair * stride, table + pair, groups);
        }
        w = eb_tpixels_s8__armv7m_lut3_rows(w + 2, table, block, end - (begins ^ 1));
        x += 3 * groups;
    }
}

EB_KERNEL(tpixels_s8, armv7m_lut3, lut3);
