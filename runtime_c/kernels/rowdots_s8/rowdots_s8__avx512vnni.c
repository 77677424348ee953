// SPDX-License-Identifier: Apache-2.0
// Products of int8 rows with a float vector for x86-64 with AVX-512; see rowdots/avx512_body.h.
#include <immintrin.h>

#define ROWDOTS_NAME    eb_rowdots_s8__avx512vnni
#define ROWDOTS_TYPE    int8_t
#define ROWDOTS_LOAD(p) _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)(p))))
#include "rowdots/avx512_body.h"

EB_KERNEL(rowdots_s8, avx512vnni, none);
