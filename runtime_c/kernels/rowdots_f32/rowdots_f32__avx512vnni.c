// SPDX-License-Identifier: Apache-2.0
// Products of binary32 rows with a float vector for x86-64 with AVX-512; see rowdots/avx512_body.h.
#include <immintrin.h>

#define ROWDOTS_NAME    eb_rowdots_f32__avx512vnni
#define ROWDOTS_TYPE    float
#define ROWDOTS_LOAD(p) _mm512_loadu_ps(p)
#include "rowdots/avx512_body.h"

EB_KERNEL(rowdots_f32, avx512vnni, none);
