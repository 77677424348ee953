// SPDX-License-Identifier: Apache-2.0
// Ternary x int8 products for Armv6-M by lists of table offsets, 4 columns a group: for 40 to 130 rows.
//
// Like tmatvec_s8__armv6m_ofs16g3.c with larger tables: half of the 81 signed sums of 4 inputs.
//
// Bounds: entries are 1024 + s, |s| <= 4 * 128, so no carry passes between halves. The packer starts each row
//   at the bias of all its entries: |acc| <= 128 * nonzero trits. Sums on the way are below 392 * 1536.
// Scratch: 84 bytes for each group of the largest tile (at most 195 groups), rounded up to 8.
// Cost (modelled cycles, Cortex-M0+, no wait states): 4.75 an entry, 20 a column for the tables, 21 a row and
//   tile. In all, per weight, half of them 0: TODO
#include "tmatvec_s8/ofs16.h"

// Words of a table: for p in (x0, x1), (x2 + x0, x2 + x1), (x2 - x0, x2 - x1), (x0 + x1, x1 - x0),
// (x2 + x0 + x1, x2 + x1 - x0), (x2 - x0 - x1, x2 - x1 + x0), (x2, 0) the words p, x3 + p, x3 - p.
ofs16_build eb_tmatvec_s8__armv6m_ofs16g4_build;
ofs16_walk eb_tmatvec_s8_ofs16_walk;

// clang-format off
OFS16_WALK(eb_tmatvec_s8_ofs16_walk, ldrh);

// r0 x, r1 table, r2 X3, r3 2 * bias + X3, r7 X2; r8 p0, r9 bias in both halves, r10 p1, r11 2 * bias + 2 * X2, r12
// end of x. Xn = xn * 0x10001.
#define LEAF "adds r5, r4, r2\n subs r6, r3, r4\n stmia r1!, {r4, r5, r6}\n"
__asm__(".syntax unified\n"
        ".pushsection .text.eb_tmatvec_s8__armv6m_ofs16g4_build, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_tmatvec_s8__armv6m_ofs16g4_build\n"
        ".hidden eb_tmatvec_s8__armv6m_ofs16g4_build\n"
        ".type eb_tmatvec_s8__armv6m_ofs16g4_build, %function\n"
        ".thumb_func\n"
        "eb_tmatvec_s8__armv6m_ofs16g4_build:\n"
        "push {r4-r7, lr}\n"
        "mov r4, r8\n mov r5, r9\n mov r6, r10\n mov r7, r11\n"
        "push {r4-r7}\n"
        "mov r12, r2\n"
        "movs r2, #1\n lsls r2, r2, #10\n lsls r3, r2, #16\n adds r2, r2, r3\n mov r9, r2\n"
        "1:\n"
        "ldmia r0!, {r7}\n"
        "sxtb r4, r7\n"
        "lsls r5, r7, #16\n asrs r5, r5, #24\n"
        "lsls r6, r7, #8\n asrs r6, r6, #24\n"
        "asrs r7, r7, #24\n"
        "lsls r2, r7, #16\n adds r2, r2, r7\n"
        "lsls r7, r6, #16\n adds r7, r7, r6\n"
        "mov r6, r9\n adds r6, r6, r6\n adds r3, r6, r2\n adds r6, r6, r7\n adds r6, r6, r7\n mov r11, r6\n"
        "subs r6, r5, r4\n lsls r6, r6, #16\n adds r6, r6, r5\n adds r6, r6, r4\n add r6, r9\n mov r10, r6\n"
        "lsls r5, r5, #16\n adds r4, r4, r5\n add r4, r9\n"
        LEAF "adds r4, r4, r7\n" LEAF "mov r5, r11\n subs r4, r5, r4\n" LEAF
        "mov r4, r10\n" LEAF "adds r4, r4, r7\n" LEAF "mov r5, r11\n subs r4, r5, r4\n" LEAF
        "sxth r4, r7\n add r4, r9\n" LEAF
        "cmp r0, r12\n"
        "bne 1b\n"
        "pop {r4-r7}\n"
        "mov r8, r4\n mov r9, r5\n mov r10, r6\n mov r11, r7\n"
        "pop {r4-r7, pc}\n"
        ".size eb_tmatvec_s8__armv6m_ofs16g4_build, . - eb_tmatvec_s8__armv6m_ofs16g4_build\n"
        ".popsection\n");
// clang-format on

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__armv6m_ofs16g4);

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__armv6m_ofs16g4) {
    (void)cols;
    ofs16_product(w, x, acc, rows, scratch, 4, 21, eb_tmatvec_s8__armv6m_ofs16g4_build,
                  eb_tmatvec_s8_ofs16_walk);
}

EB_KERNEL(tmatvec_s8, armv6m_ofs16g4, ofs16g4);
