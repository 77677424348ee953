// SPDX-License-Identifier: Apache-2.0
// Ternary x int8 products for Armv6-M by plain lists of columns: for few rows, or few nonzero trits.
//
// A row (layout "list16") lists the columns to subtract and those to add, 16 bits each; nothing else is
// read, and no tables are built. See tmatvec_s8/ofs16.h.
//
// Bounds: |acc| <= 128 * nonzero trits < 2^31.
// Scratch: none.
// Cost (modelled cycles, Cortex-M0+, no wait states): 4.75 a nonzero trit, 21 a row and tile; a tile is as
//   many columns as hold at most 196 trits of one sign in every row.
#include "tmatvec_s8/ofs16.h"

ofs16_walk eb_tmatvec_s8_list16_walk;

// clang-format off
OFS16_WALK(eb_tmatvec_s8_list16_walk, ldrsb);
// clang-format on

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__armv6m_list16);

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__armv6m_list16) {
    (void)cols;
    (void)scratch;
    const uint32_t *stream = (const void *)w;
    eb_tmatvec_s8_ofs16_clear(acc, ((uint32_t)rows + 3) >> 2);
    uint32_t header;
    do {
        header = *stream++;
        stream = eb_tmatvec_s8_list16_walk(stream, x, acc, acc + rows);
        x += header & 0xFFFF;
    } while (header >> 31 == 0);
}

EB_KERNEL(tmatvec_s8, armv6m_list16, list16);
