// SPDX-License-Identifier: Apache-2.0
// Products of binary32 rows with a float vector for x86-64 with AVX2; see rowdots/avx2_body.h.
#include <immintrin.h>

#define ROWDOTS_NAME    eb_rowdots_f32__avx2
#define ROWDOTS_TYPE    float
#define ROWDOTS_LOAD(p) _mm256_loadu_ps(p)
#define ROWDOTS_TARGET  __attribute__((target("avx2")))
#include "rowdots/avx2_body.h"

EB_KERNEL(rowdots_f32, avx2, none);
