// SPDX-License-Identifier: Apache-2.0
// What the Armv6-M kernels that walk lists of offsets share: the walk over one tile of columns for all rows,
// and the driver that goes from tile to tile. The layouts are in edgebit/layouts/ofs16.py.
//
// A tile is a header word: bits 0..15 the units of columns in it (groups, or columns for plain lists), bits
// 16..19 the columns in its last group when that is not whole, bit 31 set in the last tile. Then per row, in
// words (2 offsets each, the first in the low half; n entries of a list fill ceil(n / 4) chunks of 2 words
// from the back, the unused places come first):
//   jumps    low half: where to enter the code of the negative list, high half: the positive one
//   c0       first word of the first chunk
//   start    what the accumulator starts at
//   c1       second word of the first chunk
//   the other chunks of the negative list, then those of the positive list (always at least one chunk)
// A row's sum is minus (start + all loads of the negative list) plus all loads of the positive list.
#ifndef EDGEBIT_TMATVEC_S8_OFS16_H
#define EDGEBIT_TMATVEC_S8_OFS16_H

#include "tmatvec_s8/tmatvec_s8.h"

// clang-format off
// r0 free, r1 acc, r2 jumps, r3 r5 chunk, r4 sum, r6 stream, r7 table, r8 end of acc. 26 bytes of code and 19
// cycles for the 4 entries of a chunk; a list is entered at one of its entries.
#define OFS16_PAIR(load, word)                                                                               \
    "uxth r0, " #word "\n " #load " r0, [r7, r0]\n adds r4, r4, r0\n"                                        \
    "lsrs " #word ", " #word ", #16\n " #load " " #word ", [r7, " #word "]\n adds r4, r4, " #word "\n"
#define OFS16_WALK(name, load)                                                                               \
    __asm__(".syntax unified\n"                                                                              \
            ".pushsection .text." #name ", \"axG\", %progbits, " #name ", comdat\n"                          \
            ".p2align 2\n"                                                                                   \
            ".thumb\n"                                                                                       \
            ".weak " #name "\n"                                                                              \
            ".hidden " #name "\n"                                                                            \
            ".type " #name ", %function\n"                                                                   \
            ".thumb_func\n"                                                                                  \
            #name ":\n"                                                                                      \
            "push {r4-r7, lr}\n"                                                                             \
            "mov r4, r8\n"                                                                                   \
            "push {r4}\n"                                                                                    \
            "movs r6, r0\n movs r7, r1\n movs r1, r2\n mov r8, r3\n"                                         \
            "ldr r0, 1f\n"                                                                                   \
            "add pc, r0\n"                                                                                   \
            "nop\n"                                                                                          \
            "1: .word 5f - 1b\n"                                                                             \
            "2:\n"                                                                                           \
            ".rept 49\n"                                                                                     \
            OFS16_PAIR(load, r3) OFS16_PAIR(load, r5) "ldmia r6!, {r3, r5}\n"                                \
            ".endr\n"                                                                                        \
            "negs r4, r4\n"                                                                                  \
            "add pc, r2\n"                                                                                   \
            "nop\n"                                                                                          \
            "3:\n"                                                                                           \
            ".rept 48\n"                                                                                     \
            OFS16_PAIR(load, r3) OFS16_PAIR(load, r5) "ldmia r6!, {r3, r5}\n"                                \
            ".endr\n"                                                                                        \
            OFS16_PAIR(load, r3) OFS16_PAIR(load, r5)                                                        \
            "ldr r0, [r1]\n adds r4, r4, r0\n stmia r1!, {r4}\n"                                             \
            "cmp r1, r8\n"                                                                                   \
            "beq 6f\n"                                                                                       \
            "5:\n"                                                                                           \
            "ldmia r6!, {r2, r3, r4, r5}\n"                                                                  \
            "sxth r0, r2\n asrs r2, r2, #16\n"                                                               \
            "add pc, r0\n"                                                                                   \
            "nop\n"                                                                                          \
            "6:\n"                                                                                           \
            "movs r0, r6\n"                                                                                  \
            "pop {r4}\n"                                                                                     \
            "mov r8, r4\n"                                                                                   \
            "pop {r4-r7, pc}\n"                                                                              \
            ".size " #name ", . - " #name "\n"                                                               \
            ".popsection\n")

// Set 4 * quads accumulators to 0, quads >= 1.
#define OFS16_CLEAR(name)                                                                                    \
    __asm__(".syntax unified\n"                                                                              \
            ".pushsection .text." #name ", \"axG\", %progbits, " #name ", comdat\n"                          \
            ".p2align 2\n"                                                                                   \
            ".thumb\n"                                                                                       \
            ".weak " #name "\n"                                                                              \
            ".hidden " #name "\n"                                                                            \
            ".type " #name ", %function\n"                                                                   \
            ".thumb_func\n"                                                                                  \
            #name ":\n"                                                                                      \
            "push {r4, r5}\n"                                                                                \
            "movs r2, #0\n movs r3, #0\n movs r4, #0\n movs r5, #0\n"                                        \
            "1:\n"                                                                                           \
            "stmia r0!, {r2, r3, r4, r5}\n"                                                                  \
            "subs r1, #1\n"                                                                                  \
            "bne 1b\n"                                                                                       \
            "pop {r4, r5}\n"                                                                                 \
            "bx lr\n"                                                                                        \
            ".size " #name ", . - " #name "\n"                                                               \
            ".popsection\n")
// clang-format on

OFS16_CLEAR(eb_tmatvec_s8_ofs16_clear);
void eb_tmatvec_s8_ofs16_clear(int32_t *acc, uint32_t quads);

// Walks the rows of a tile; returns where the next tile begins.
typedef const uint32_t *ofs16_walk(const uint32_t *stream, const void *table, int32_t *acc, int32_t *end);
// Builds the tables of `groups` >= 1 groups of inputs.
typedef void ofs16_build(const int8_t *x, uint32_t *table, const int8_t *end);

// g: columns a group; table_words: words of one group's table. Both are literals.
EB_INLINE void ofs16_product(const void *w, const int8_t *x, int32_t *acc, int32_t rows, uint32_t *table,
                             uint32_t g, uint32_t table_words, ofs16_build *build, ofs16_walk *walk) {
    const uint32_t *stream = w;
    eb_tmatvec_s8_ofs16_clear(acc, ((uint32_t)rows + 3) >> 2);
    uint32_t header;
    do {
        header = *stream++;
        uint32_t groups = header & 0xFFFF;
        uint32_t tail = header >> 16 & 15;
        uint32_t whole = groups - (tail != 0);
        const int8_t *end = x + whole * g;
        if (whole != 0) {
            build(x, table, end);
        }
        if (tail != 0) { // columns past the end may not be readable, and count nothing
            int8_t last[8] = {0};
            for (uint32_t k = 0; k < tail; k++) {
                last[k] = end[k];
            }
            build(last, table + whole * table_words, last + g);
        }
        stream = walk(stream, table, acc, acc + rows);
        x = end;
    } while (header >> 31 == 0);
}

#endif
