// SPDX-License-Identifier: Apache-2.0
// Products of binary16 rows with a float vector for x86-64 with AVX2: four rows at a time, two vectors of
// eight lanes each.
#include <immintrin.h>

#include "rowdots/rowdots.h"

#define EB_LOAD16_F16(row, k, v)                                                                             \
    do {                                                                                                     \
        const eb_f32x8 low = (eb_f32x8)_mm256_cvtph_ps(_mm_loadu_si128((const void *)((row) + (k))));        \
        const eb_f32x8 high = (eb_f32x8)_mm256_cvtph_ps(_mm_loadu_si128((const void *)((row) + (k) + 8)));   \
        (v) = __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);      \
    } while (0)

__attribute__((target("avx2,f16c"))) EB_ROWDOTS_DECL(eb_rowdots_f16__avx2);

__attribute__((target("avx2,f16c"))) EB_ROWDOTS_DECL(eb_rowdots_f16__avx2){
    EB_ROWDOTS_BODY(uint16_t, EB_LOAD16_F16)}

EB_KERNEL(rowdots_f16, avx2, none);
