// SPDX-License-Identifier: Apache-2.0
// Ternary products of packed pixels for Armv6-M (Thumb-1), by lookup.
//
// For every three inputs a, b, c a table holds the 13 sums that differ by more than their sign, each for all
// eight pixels (16 bytes). A row names the sums to subtract and the sums to add by their byte offsets (layout
// "lut3"), so up to 24 multiply-accumulates cost LDRH, ADD, LDM of 4 words and four ADDs: 12 cycles. Tables
// are built for up to 32 groups (96 columns) at a time and used for all rows before the next tile replaces
// them.
//
// Bounds: the layout cuts blocks of columns so that sums fit int16, see tpixels_s8.h.
// Scratch: 208 bytes for each group of a tile: 208 * ceil(groups / ceil(groups / 32)), groups = ceil(cols /
// 3). Cost (modelled cycles, Cortex-M0+, no wait states), for eight pixels: 12 for each group of a row with a
// nonzero
//   trit, 65 a row and tile (13 more unless the tile begins a block), 60 a column. The reference takes 70 a
//   trit.
#include "tpixels_s8/tpixels_s8.h"

// Build the tables of `groups` >= 1 groups of three columns.
void eb_tpixels_s8__armv6m_lut3_build(const uint32_t *x, uint32_t *table, uint32_t groups, int32_t stride);
// One tile of all rows; returns the end of its lists. `acc_end` is less by one when sums are added to what
// acc holds instead of replacing it.
const uint8_t *eb_tpixels_s8__armv6m_lut3_rows(const uint8_t *lists, const uint32_t *table, uint32_t *acc,
                                               uint32_t acc_end);

// clang-format off
// r0 x, r1 table, r2-r4 a b c, r5 a + b, r6 a - b, r7 others, r8 words to the next pair of pixels, r9 table
// of the pair, r10 end of the tables' first words, r11 bytes of x in a run, r12 end of x.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_tpixels_s8__armv6m_lut3_build, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_tpixels_s8__armv6m_lut3_build\n"
        ".hidden eb_tpixels_s8__armv6m_lut3_build\n"
        ".type eb_tpixels_s8__armv6m_lut3_build, %function\n"
        ".thumb_func\n"
        "eb_tpixels_s8__armv6m_lut3_build:\n"
        "push {r4-r7, lr}\n"
        "mov r4, r8\n mov r5, r9\n mov r6, r10\n mov r7, r11\n"
        "push {r4-r7}\n"
        "mov r9, r1\n movs r4, r1\n adds r4, #16\n mov r10, r4\n"
        "lsls r4, r2, #3\n lsls r5, r2, #2\n adds r4, r4, r5\n mov r11, r4\n"
        "lsls r3, r3, #2\n subs r3, r3, r4\n mov r8, r3\n"
        "1:\n"
        "mov r4, r11\n adds r4, r4, r0\n mov r12, r4\n"
        "2:\n"
        "ldmia r0!, {r2, r3, r4}\n"
        "str r2, [r1]\n str r3, [r1, #16]\n str r4, [r1, #32]\n"
        "adds r5, r2, r3\n str r5, [r1, #48]\n"
        "subs r6, r2, r3\n str r6, [r1, #64]\n"
        "adds r7, r2, r4\n str r7, [r1, #80]\n"
        "subs r7, r2, r4\n str r7, [r1, #96]\n"
        "adds r7, r3, r4\n str r7, [r1, #112]\n"
        "adds r1, #128\n"
        "subs r7, r3, r4\n str r7, [r1]\n"
        "adds r7, r5, r4\n str r7, [r1, #16]\n"
        "subs r7, r5, r4\n str r7, [r1, #32]\n"
        "adds r7, r6, r4\n str r7, [r1, #48]\n"
        "subs r7, r6, r4\n str r7, [r1, #64]\n"
        "adds r1, #80\n"
        "cmp r0, r12\n"
        "bne 2b\n"
        "add r0, r8\n"
        "mov r1, r9\n adds r1, #4\n mov r9, r1\n"
        "cmp r1, r10\n"
        "bne 1b\n"
        "pop {r4-r7}\n"
        "mov r8, r4\n mov r9, r5\n mov r10, r6\n mov r11, r7\n"
        "pop {r4-r7, pc}\n"
        ".size eb_tpixels_s8__armv6m_lut3_build, . - eb_tpixels_s8__armv6m_lut3_build\n"
        ".popsection\n");

// Adds the sums of one list entry; the list's last entry is at r6 + 62. 14 bytes of code.
#define STEP(n)                                                                                              \
    "ldrh r5, [r6, #(2 * " #n ")]\n add r5, r12\n ldmia r5!, {r0-r3}\n"                                      \
    "add r8, r0\n add r9, r1\n add r10, r2\n add r11, r3\n"
#define STEPS_8(a, b, c, d, e, f, g, h) STEP(a) STEP(b) STEP(c) STEP(d) STEP(e) STEP(f) STEP(g) STEP(h)

// r0-r3 free, r4 bytes of the list to come, negative when there is none, r5 bytes of the list, r6 lists, r7
// end of acc less the flag, r8-r11 sums, r12 table, lr acc. Lists are entered at the step that leaves as many
// as they are long.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_tpixels_s8__armv6m_lut3_rows, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_tpixels_s8__armv6m_lut3_rows\n"
        ".hidden eb_tpixels_s8__armv6m_lut3_rows\n"
        ".type eb_tpixels_s8__armv6m_lut3_rows, %function\n"
        ".thumb_func\n"
        "eb_tpixels_s8__armv6m_lut3_rows:\n"
        "push {r4-r7, lr}\n"
        "mov r4, r8\n mov r5, r9\n mov r6, r10\n mov r7, r11\n"
        "push {r4-r7}\n"
        "movs r6, r0\n mov r12, r1\n mov lr, r2\n movs r7, r3\n"
        "1:\n"
        "ldrb r5, [r6]\n ldrb r4, [r6, #1]\n adds r6, #2\n"
        "movs r0, #0\n mov r8, r0\n mov r9, r0\n mov r10, r0\n mov r11, r0\n"
        "2:\n"
        "lsls r0, r5, #3\n subs r0, r0, r5\n"
        "adr r1, 3f\n subs r1, r1, r0\n"
        "adds r6, r6, r5\n subs r6, #64\n"
        "mov pc, r1\n"
        ".p2align 2\n"
        STEPS_8(0, 1, 2, 3, 4, 5, 6, 7) STEPS_8(8, 9, 10, 11, 12, 13, 14, 15)
        STEPS_8(16, 17, 18, 19, 20, 21, 22, 23) STEPS_8(24, 25, 26, 27, 28, 29, 30, 31)
        "3:\n"
        "adds r6, #64\n"
        "movs r5, r4\n"
        "bmi 4f\n"
        "mov r0, r8\n negs r0, r0\n mov r8, r0\n"
        "mov r0, r9\n negs r0, r0\n mov r9, r0\n"
        "mov r0, r10\n negs r0, r0\n mov r10, r0\n"
        "mov r0, r11\n negs r0, r0\n mov r11, r0\n"
        "subs r4, #255\n"
        "b 2b\n"
        "4:\n"
        "mov r4, lr\n"
        "lsls r0, r7, #31\n"
        "bmi 6f\n"
        "mov r0, r8\n mov r1, r9\n mov r2, r10\n mov r3, r11\n"
        "5:\n"
        "stmia r4!, {r0-r3}\n"
        "mov lr, r4\n"
        "cmp r4, r7\n"
        "bhs 7f\n"
        "b 1b\n"
        "6:\n"
        "ldmia r4!, {r0-r3}\n subs r4, #16\n"
        "add r0, r8\n add r1, r9\n add r2, r10\n add r3, r11\n"
        "b 5b\n"
        "7:\n"
        "movs r0, r6\n"
        "pop {r4-r7}\n"
        "mov r8, r4\n mov r9, r5\n mov r10, r6\n mov r11, r7\n"
        "pop {r4-r7, pc}\n"
        ".size eb_tpixels_s8__armv6m_lut3_rows, . - eb_tpixels_s8__armv6m_lut3_rows\n"
        ".popsection\n");
// clang-format on

EB_TPIXELS_S8_DECL(eb_tpixels_s8__armv6m_lut3);

EB_TPIXELS_S8_DECL(eb_tpixels_s8__armv6m_lut3) {
    (void)cols;
    uint32_t *table = scratch;
    uint32_t *block = acc - rows * EB_PIXEL_PAIRS;
    for (uint32_t groups = w[0]; groups > 0; groups = w[0]) {
        uint32_t begins = w[1];
        block += begins ? rows * EB_PIXEL_PAIRS : 0;
        uint32_t end = (uint32_t)(uintptr_t)(block + rows * EB_PIXEL_PAIRS);
        eb_tpixels_s8__armv6m_lut3_build(x, table, groups, stride);
        w = eb_tpixels_s8__armv6m_lut3_rows(w + 2, table, block, end - (begins ^ 1));
        x += 3 * groups;
    }
}

EB_KERNEL(tpixels_s8, armv6m_lut3, lut3);
