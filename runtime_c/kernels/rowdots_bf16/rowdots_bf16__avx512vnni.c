// SPDX-License-Identifier: Apache-2.0
// Products of bfloat16 rows with a float vector for x86-64 with AVX-512; see rowdots/avx512_body.h.
#include <immintrin.h>

#define ROWDOTS_NAME eb_rowdots_bf16__avx512vnni
#define ROWDOTS_TYPE uint16_t
#define ROWDOTS_LOAD(p)                                                                                      \
    _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)(p))), 16))
#include "rowdots/avx512_body.h"

EB_KERNEL(rowdots_bf16, avx512vnni, none);
