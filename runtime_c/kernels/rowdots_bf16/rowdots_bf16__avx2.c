// SPDX-License-Identifier: Apache-2.0
// Products of bfloat16 rows with a float vector for x86-64 with AVX2; see rowdots/avx2_body.h.
#include <immintrin.h>

#define ROWDOTS_NAME eb_rowdots_bf16__avx2
#define ROWDOTS_TYPE uint16_t
#define ROWDOTS_LOAD(p)                                                                                      \
    _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)(p))), 16))
#define ROWDOTS_TARGET __attribute__((target("avx2")))
#include "rowdots/avx2_body.h"

EB_KERNEL(rowdots_bf16, avx2, none);
