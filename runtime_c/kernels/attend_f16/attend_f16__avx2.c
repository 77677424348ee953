// SPDX-License-Identifier: Apache-2.0
// Attention over binary16 keys and values for x86-64 with AVX2; see attend/lanes_body.h.
#include <immintrin.h>

#define ATTEND_NAME       eb_attend_f16__avx2
#define ATTEND_TYPE       uint16_t
#define ATTEND_LOAD(p, v) ((v) = (eb_f32x8)_mm256_cvtph_ps(_mm_loadu_si128((const void *)(p))))
#define ATTEND_UNITS      0
#define ATTEND_TARGET     __attribute__((target("avx2,f16c")))
#include "attend/lanes_body.h"

EB_KERNEL(attend_f16, avx2, none);
