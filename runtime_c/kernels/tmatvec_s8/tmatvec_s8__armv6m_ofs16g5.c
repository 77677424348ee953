// SPDX-License-Identifier: Apache-2.0
// Ternary x int8 products for Armv6-M by lists of table offsets, 5 columns a group: for 130 rows and more.
//
// Like tmatvec_s8__armv6m_ofs16g3.c with larger tables: half of the 243 signed sums of 5 inputs.
//
// Bounds: entries are 1024 + s, |s| <= 5 * 128, so no carry passes between halves. The packer starts each row
//   at the bias of all its entries: |acc| <= 128 * nonzero trits. Sums on the way are below 392 * 1664.
// Scratch: 252 bytes for each group of the largest tile (at most 65 groups), rounded up to 8.
// Cost (modelled cycles, Cortex-M0+, no wait states): 4.75 an entry, 43 a column for the tables, 21 a row and
//   tile. In all, per weight, half of them 0: TODO
#include "tmatvec_s8/ofs16.h"

// Words of a table: for p as in the table of 4 columns, for q in p, x3 + p, x3 - p the words q, x4 + q, x4 -
// q.
ofs16_build eb_tmatvec_s8__armv6m_ofs16g5_build;
ofs16_walk eb_tmatvec_s8_ofs16_walk;

// clang-format off
OFS16_WALK(eb_tmatvec_s8_ofs16_walk, ldrh);

// r0 x, r1 table, r2 X4, r3 2 * bias + X4, r7 p; r8 X3, r9 bias in both halves, r10 2 * bias + 2 * X3, r11 X2,
// r12 end of x, lr 2 * bias + 2 * X2; on the stack (x0 + x1, x1 - x0). Xn = xn * 0x10001.
#define LEAF "adds r5, r4, r2\n subs r6, r3, r4\n stmia r1!, {r4, r5, r6}\n"
#define NODE "mov r4, r7\n" LEAF "add r4, r8\n" LEAF "mov r5, r10\n subs r4, r5, r4\n" LEAF
__asm__(".syntax unified\n"
        ".pushsection .text.eb_tmatvec_s8__armv6m_ofs16g5_build, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_tmatvec_s8__armv6m_ofs16g5_build\n"
        ".hidden eb_tmatvec_s8__armv6m_ofs16g5_build\n"
        ".type eb_tmatvec_s8__armv6m_ofs16g5_build, %function\n"
        ".thumb_func\n"
        "eb_tmatvec_s8__armv6m_ofs16g5_build:\n"
        "push {r4-r7, lr}\n"
        "mov r4, r8\n mov r5, r9\n mov r6, r10\n mov r7, r11\n"
        "push {r3-r7}\n"
        "mov r12, r2\n"
        "movs r2, #1\n lsls r2, r2, #10\n lsls r3, r2, #16\n adds r2, r2, r3\n mov r9, r2\n"
        "1:\n"
        "mov r3, r9\n adds r3, r3, r3\n"
        "ldrb r4, [r0, #3]\n sxtb r4, r4\n lsls r5, r4, #16\n adds r4, r4, r5\n mov r8, r4\n"
        "adds r4, r4, r4\n adds r4, r4, r3\n mov r10, r4\n"
        "ldrb r4, [r0, #2]\n sxtb r4, r4\n lsls r5, r4, #16\n adds r4, r4, r5\n mov r11, r4\n"
        "adds r4, r4, r4\n adds r4, r4, r3\n mov lr, r4\n"
        "ldrb r4, [r0, #4]\n sxtb r4, r4\n lsls r2, r4, #16\n adds r2, r2, r4\n adds r3, r3, r2\n"
        "ldrb r4, [r0]\n sxtb r4, r4\n ldrb r5, [r0, #1]\n sxtb r5, r5\n"
        "subs r6, r5, r4\n lsls r6, r6, #16\n adds r6, r6, r5\n adds r6, r6, r4\n add r6, r9\n str r6, [sp]\n"
        "lsls r7, r5, #16\n adds r7, r7, r4\n add r7, r9\n"
        NODE "add r7, r11\n" NODE "mov r5, lr\n subs r7, r5, r7\n" NODE
        "ldr r7, [sp]\n"
        NODE "add r7, r11\n" NODE "mov r5, lr\n subs r7, r5, r7\n" NODE
        "mov r7, r11\n sxth r7, r7\n add r7, r9\n" NODE
        "adds r0, #5\n"
        "cmp r0, r12\n"
        "beq 2f\n"
        "b 1b\n"
        "2:\n"
        "pop {r3-r7}\n"
        "mov r8, r4\n mov r9, r5\n mov r10, r6\n mov r11, r7\n"
        "pop {r4-r7, pc}\n"
        ".size eb_tmatvec_s8__armv6m_ofs16g5_build, . - eb_tmatvec_s8__armv6m_ofs16g5_build\n"
        ".popsection\n");
// clang-format on

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__armv6m_ofs16g5);

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__armv6m_ofs16g5) {
    (void)cols;
    ofs16_product(w, x, acc, rows, scratch, 5, 63, eb_tmatvec_s8__armv6m_ofs16g5_build,
                  eb_tmatvec_s8_ofs16_walk);
}

EB_KERNEL(tmatvec_s8, armv6m_ofs16g5, ofs16g5);
