// SPDX-License-Identifier: Apache-2.0
// Products of binary16 rows with a float vector for x86-64 with AVX-512: four rows at a time, one vector of
// sixteen lanes each.
#include <immintrin.h>

#include "rowdots/rowdots.h"

#define EB_LOAD16_F16(row, k, v)                                                                             \
    ((v) = (eb_f32x16)_mm512_cvtph_ps(_mm256_loadu_si256((const void *)((row) + (k)))))

__attribute__((target("avx512f,avx512bw"))) EB_ROWDOTS_DECL(eb_rowdots_f16__avx512vnni);

__attribute__((target("avx512f,avx512bw"))) EB_ROWDOTS_DECL(eb_rowdots_f16__avx512vnni){
    EB_ROWDOTS_BODY(uint16_t, EB_LOAD16_F16)}

EB_KERNEL(rowdots_f16, avx512vnni, none);
