// SPDX-License-Identifier: Apache-2.0
// Ternary x int8 products for Armv6-M (Thumb-1, 8 low registers), by lookup.
//
// For every 4 inputs a table holds all 81 sums t0*x0 + t1*x1 + t2*x2 + t3*x3, as uint16 biased by 512 so that
// two of them are made by one 32-bit addition. A weight byte (layout "lut4") is the byte offset of its
// sum in that table, so 4 multiply-accumulates cost LDRB, LDRH, ADD. Tables are built for at most 32 groups
// (128 inputs) at a time and used for all rows before the next tile replaces them.
//
// Bounds: a table entry is 512 + s with |s| <= 4 * 128, so 0..1024 and no carry passes between halves.
//   A row starts at -512 * groups and each group adds 0..1024: |acc| <= 512 * ceil(cols / 4) < 2^31 for every
//   cols the layout allows (65536).
// Scratch: 164 * min(ceil(cols / 4), 32) bytes, rounded up to a multiple of 8.
// Cost (modelled cycles, Cortex-M0+, no wait states): 1.28 per weight, 37 per column for the tables, 60 per 8
//   rows and tile. In all, per weight: 1.67 at 128 x 640, 1.42 at 1024 x 1024, 4.6 at 16 x 27. The reference
//   takes 22.
//
// Memory order of a table (t3 fastest where it is -1 or 0), by halfword, digits d = t + 1:
//   t3 < 1: 2 * (9 d0 + 3 d1 + d2) + d3      t3 = 1, t2 < 1: 54 + 2 * (3 d0 + d1) + d2
//   t3 = t2 = 1, t1 < 1: 72 + 2 * d0 + d1    t3 = t2 = t1 = 1: 78 + d0
#include "tmatvec_s8/tmatvec_s8.h"

enum { LUT4_BIAS = 512, LUT4_TILE = 32 };

// What the accumulating loop needs; offsets are known to the assembly below.
typedef struct {
    const uint8_t *index; // of the current block of 8 rows, first group of the tile
    int32_t *acc;         // of the current block
    const uint16_t *table;
    uint32_t bytes; // of indices in one block and tile: 8 * groups
    uint32_t enter; // bytes of code to jump over in the first pass of the unrolled loop
    uint32_t back;  // bytes of indices those steps would have read
    uint32_t stride;
    uint32_t blocks; // >= 1
} lut4_job;

_Static_assert(sizeof(lut4_job) == 32, "the assembly below addresses these fields by offset");

// Build `groups` >= 1 tables from 4 * groups inputs; x is 4-byte aligned.
void eb_tmatvec_s8__armv6m_build(const int8_t *x, uint16_t *table, uint32_t groups);
// Add one tile of groups to every row's accumulator.
void eb_tmatvec_s8__armv6m_add(lut4_job *job);

// clang-format off
// Pn below is xn * 0x10001: the same change in both halves of a word.
// r0 x, r1 table, r5 P1, r6 P2, r7 x3 then bias + P3, r8 P0 - 3 P1, r9 bias in both halves, r10 P0, r12
// groups left.
#define TRIPLE "adds r3, r2, r6\n adds r4, r3, r6\n stmia r1!, {r2, r3, r4}\n adds r2, r2, r5\n"

__asm__(".syntax unified\n"
        ".pushsection .text.eb_tmatvec_s8__armv6m_build, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_tmatvec_s8__armv6m_build\n"
        ".hidden eb_tmatvec_s8__armv6m_build\n"
        ".type eb_tmatvec_s8__armv6m_build, %function\n"
        ".thumb_func\n"
        "eb_tmatvec_s8__armv6m_build:\n"
        "push {r4-r7, lr}\n"
        "mov r4, r8\n mov r5, r9\n mov r6, r10\n"
        "push {r4-r6}\n"
        "mov r12, r2\n"
        "movs r2, #2\n lsls r2, r2, #8\n lsls r3, r2, #16\n adds r2, r2, r3\n mov r9, r2\n"
        "1:\n"
        "ldmia r0!, {r7}\n"
        "sxtb r4, r7\n"
        "lsls r5, r7, #16\n asrs r5, r5, #24\n"
        "lsls r6, r7, #8\n asrs r6, r6, #24\n"
        "asrs r7, r7, #24\n"
        "lsls r2, r4, #16\n adds r4, r4, r2\n mov r10, r4\n"
        "lsls r2, r5, #16\n adds r5, r5, r2\n"
        "lsls r2, r6, #16\n adds r6, r6, r2\n"
        "lsls r2, r5, #1\n adds r2, r2, r5\n subs r2, r4, r2\n mov r8, r2\n"
        // 27 words (t3 = -1, t3 = 0)
        "mov r2, r9\n subs r2, r2, r4\n subs r2, r2, r5\n subs r2, r2, r6\n subs r2, r2, r7\n"
        TRIPLE TRIPLE TRIPLE "add r2, r8\n"
        TRIPLE TRIPLE TRIPLE "add r2, r8\n"
        TRIPLE TRIPLE TRIPLE
        // t3 = 1 from here on: 9 words (t2 = -1, t2 = 0)
        "lsls r2, r7, #16\n adds r7, r7, r2\n add r7, r9\n"
        "mov r3, r10\n subs r2, r7, r3\n subs r2, r2, r5\n sxth r3, r6\n subs r2, r2, r3\n"
        "adds r3, r2, r5\n adds r4, r3, r5\n stmia r1!, {r2, r3, r4}\n add r2, r10\n"
        "adds r3, r2, r5\n adds r4, r3, r5\n stmia r1!, {r2, r3, r4}\n add r2, r10\n"
        "adds r3, r2, r5\n adds r4, r3, r5\n stmia r1!, {r2, r3, r4}\n"
        // 3 words (t1 = -1, t1 = 0)
        "adds r2, r7, r6\n mov r4, r10\n subs r2, r2, r4\n sxth r3, r5\n subs r2, r2, r3\n"
        "adds r3, r2, r4\n adds r4, r3, r4\n stmia r1!, {r2, r3, r4}\n"
        // (t0 = -1, t0 = 0) and (t0 = 1, not used)
        "adds r2, r7, r5\n adds r2, r2, r6\n mov r3, r10\n sxth r4, r3\n"
        "adds r3, r3, r2\n subs r2, r2, r4\n stmia r1!, {r2, r3}\n"
        "mov r2, r12\n subs r2, #1\n mov r12, r2\n"
        "beq 2f\n b 1b\n"
        "2:\n"
        "pop {r4-r6}\n"
        "mov r8, r4\n mov r9, r5\n mov r10, r6\n"
        "pop {r4-r7, pc}\n"
        ".size eb_tmatvec_s8__armv6m_build, . - eb_tmatvec_s8__armv6m_build\n"
        ".popsection\n");

// r0 table, r1 index, r2 r3 free, r4-r11 accumulators, r12 end of the indices, lr job.
#define STEP(at, acc)                                                                                        \
    "ldrb r2, [r1, #(" #at ")]\n ldrh r3, [r0, r2]\n add " #acc ", r3\n"
#define GROUP(n)                                                                                             \
    STEP(8 * n + 0, r4) STEP(8 * n + 1, r5) STEP(8 * n + 2, r6) STEP(8 * n + 3, r7) STEP(8 * n + 4, r8)      \
    STEP(8 * n + 5, r9) STEP(8 * n + 6, r10) STEP(8 * n + 7, r11) "adds r0, #164\n"
enum { LUT4_GROUP_CODE = 50 }; // bytes of code of one GROUP

__asm__(".syntax unified\n"
        ".pushsection .text.eb_tmatvec_s8__armv6m_add, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_tmatvec_s8__armv6m_add\n"
        ".hidden eb_tmatvec_s8__armv6m_add\n"
        ".type eb_tmatvec_s8__armv6m_add, %function\n"
        ".thumb_func\n"
        "eb_tmatvec_s8__armv6m_add:\n"
        "push {r4-r7, lr}\n"
        "mov r4, r8\n mov r5, r9\n mov r6, r10\n mov r7, r11\n"
        "push {r4-r7}\n"
        "mov lr, r0\n"
        "1:\n"
        "mov r3, lr\n"
        "ldr r2, [r3, #4]\n adds r2, #16\n ldmia r2!, {r4-r7}\n"
        "mov r8, r4\n mov r9, r5\n mov r10, r6\n mov r11, r7\n"
        "subs r2, #32\n ldmia r2!, {r4-r7}\n"
        "ldr r1, [r3, #0]\n ldr r2, [r3, #12]\n adds r2, r2, r1\n mov r12, r2\n"
        "ldr r2, [r3, #20]\n subs r1, r1, r2\n"
        "ldr r0, [r3, #8]\n ldr r2, [r3, #16]\n"
        "add pc, r2\n"
        "nop\n"
        "2:\n"
        GROUP(0) GROUP(1) GROUP(2) GROUP(3)
        "adds r1, #32\n cmp r1, r12\n bne 2b\n"
        "mov r3, lr\n"
        "ldr r2, [r3, #4]\n stmia r2!, {r4-r7}\n"
        "mov r4, r8\n mov r5, r9\n mov r6, r10\n mov r7, r11\n"
        "stmia r2!, {r4-r7}\n str r2, [r3, #4]\n"
        "ldr r1, [r3, #0]\n ldr r2, [r3, #24]\n adds r1, r1, r2\n str r1, [r3, #0]\n"
        "ldr r2, [r3, #28]\n subs r2, #1\n str r2, [r3, #28]\n"
        "beq 3f\n b 1b\n"
        "3:\n"
        "pop {r4-r7}\n"
        "mov r8, r4\n mov r9, r5\n mov r10, r6\n mov r11, r7\n"
        "pop {r4-r7, pc}\n"
        ".size eb_tmatvec_s8__armv6m_add, . - eb_tmatvec_s8__armv6m_add\n"
        ".popsection\n");
// clang-format on

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__armv6m);

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__armv6m) {
    uint32_t groups = ((uint32_t)cols + 3) >> 2;
    uint32_t blocks = ((uint32_t)rows + 7) >> 3;
    uint16_t *table = (uint16_t *)scratch;
    for (uint32_t r = 0; r < blocks * 8; r++) {
        acc[r] = -(int32_t)(LUT4_BIAS * groups);
    }
    for (uint32_t g = 0; g < groups; g += LUT4_TILE) {
        uint32_t n = groups - g < LUT4_TILE ? groups - g : LUT4_TILE;
        uint32_t skip = (0u - n) & 3;
        lut4_job job = {.index = w + 8 * g,
                        .acc = acc,
                        .table = table,
                        .bytes = 8 * n,
                        .enter = LUT4_GROUP_CODE * skip,
                        .back = 8 * skip,
                        .stride = 8 * groups,
                        .blocks = blocks};
        eb_tmatvec_s8__armv6m_build(x + 4 * g, table, n);
        eb_tmatvec_s8__armv6m_add(&job);
    }
}

EB_KERNEL(tmatvec_s8, armv6m, lut4);
