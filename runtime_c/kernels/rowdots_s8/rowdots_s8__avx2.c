// SPDX-License-Identifier: Apache-2.0
// Products of int8 rows with a float vector for x86-64 with AVX2; see rowdots/avx2_body.h.
#include <immintrin.h>

#define ROWDOTS_NAME    eb_rowdots_s8__avx2
#define ROWDOTS_TYPE    int8_t
#define ROWDOTS_LOAD(p) _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)(p))))
#define ROWDOTS_TARGET  __attribute__((target("avx2")))
#include "rowdots/avx2_body.h"

EB_KERNEL(rowdots_s8, avx2, none);
