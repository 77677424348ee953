// SPDX-License-Identifier: Apache-2.0
// Products of binary16 rows with a float vector for x86-64 with AVX2; see rowdots/avx2_body.h.
#include <immintrin.h>

#define ROWDOTS_NAME    eb_rowdots_f16__avx2
#define ROWDOTS_TYPE    uint16_t
#define ROWDOTS_LOAD(p) _mm256_cvtph_ps(_mm_loadu_si128((const void *)(p)))
#define ROWDOTS_TARGET  __attribute__((target("avx2,f16c")))
#include "rowdots/avx2_body.h"

EB_KERNEL(rowdots_f16, avx2, none);
