// SPDX-License-Identifier: Apache-2.0
// Ternary x int8 products for Armv6-M by lists of table offsets, 3 columns a group: for 10 to 40 rows.
//
// For every 3 inputs a table holds half of their 27 signed sums, as uint16 biased by 1024 so that two are
// made by one 32-bit addition; -s is found where s is. A row (layout "ofs16g3") lists the offsets of the sums
// to subtract and of those to add: UXTH or LSRS, LDRH, ADD and half a word of LDM for 3 multiply-accumulates,
// and nothing for groups of zeros.
//
// Bounds: entries are 1024 + s, |s| <= 3 * 128, so no carry passes between halves. The packer starts each row
//   at the bias of all its entries: |acc| <= 128 * nonzero trits; a tile adds up to 588 columns. Sums on
//   the way are below 392 * 1408 in magnitude.
// Scratch: 28 bytes for each group of the largest tile (at most 196 groups), rounded up to 8.
// Cost (modelled cycles, Cortex-M0+, no wait states): 4.75 an entry, 14 a column for the tables, 21 a row and
//   tile.
#include "tmatvec_s8/ofs16.h"

// Words of a table, (low, high): (x2, 0), (x0, x1), (x2 + x0, x2 + x1), (x0 + x1, x1 - x0),
// (x2 + x0 + x1, x2 + x1 - x0), (x2 - x0, x2 - x1), (x2 - x0 - x1, x2 - x1 + x0).
ofs16_build eb_tmatvec_s8__armv6m_ofs16g3_build;
ofs16_walk eb_tmatvec_s8_ofs16_walk;

// clang-format off
OFS16_WALK(eb_tmatvec_s8_ofs16_walk, ldrh);

// r0 x, r1 table, r2 end, r12 bias in both halves. X2 = x2 * 0x10001.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_tmatvec_s8__armv6m_ofs16g3_build, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_tmatvec_s8__armv6m_ofs16g3_build\n"
        ".hidden eb_tmatvec_s8__armv6m_ofs16g3_build\n"
        ".type eb_tmatvec_s8__armv6m_ofs16g3_build, %function\n"
        ".thumb_func\n"
        "eb_tmatvec_s8__armv6m_ofs16g3_build:\n"
        "push {r4-r7, lr}\n"
        "movs r4, #1\n lsls r4, r4, #10\n lsls r5, r4, #16\n adds r4, r4, r5\n mov r12, r4\n"
        "1:\n"
        "ldrb r3, [r0]\n sxtb r3, r3\n ldrb r4, [r0, #1]\n sxtb r4, r4\n ldrb r5, [r0, #2]\n sxtb r5, r5\n"
        "adds r0, #3\n"
        "lsls r6, r4, #16\n adds r6, r6, r3\n add r6, r12\n"
        "subs r7, r4, r3\n lsls r7, r7, #16\n adds r7, r7, r4\n adds r3, r3, r7\n add r3, r12\n"
        "lsls r4, r5, #16\n adds r4, r4, r5\n"
        "adds r7, r4, r6\n add r5, r12\n"
        "stmia r1!, {r5, r6, r7}\n"
        "adds r5, r4, r3\n"
        "add r4, r12\n add r4, r12\n subs r6, r4, r6\n subs r7, r4, r3\n"
        "stmia r1!, {r3, r5, r6, r7}\n"
        "cmp r0, r2\n"
        "bne 1b\n"
        "pop {r4-r7, pc}\n"
        ".size eb_tmatvec_s8__armv6m_ofs16g3_build, . - eb_tmatvec_s8__armv6m_ofs16g3_build\n"
        ".popsection\n");
// clang-format on

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__armv6m_ofs16g3);

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__armv6m_ofs16g3) {
    (void)cols;
    ofs16_product(w, x, acc, rows, scratch, 3, 7, eb_tmatvec_s8__armv6m_ofs16g3_build,
                  eb_tmatvec_s8_ofs16_walk);
}

EB_KERNEL(tmatvec_s8, armv6m_ofs16g3, ofs16g3);
