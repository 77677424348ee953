// SPDX-License-Identifier: Apache-2.0
// Products of binary16 rows with a float vector for x86-64 with AVX-512; see rowdots/avx512_body.h.
#include <immintrin.h>

#define ROWDOTS_NAME    eb_rowdots_f16__avx512vnni
#define ROWDOTS_TYPE    uint16_t
#define ROWDOTS_LOAD(p) _mm512_cvtph_ps(_mm256_loadu_si256((const void *)(p)))
#include "rowdots/avx512_body.h"

EB_KERNEL(rowdots_f16, avx512vnni, none);
