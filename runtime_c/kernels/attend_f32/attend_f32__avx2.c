// SPDX-License-Identifier: Apache-2.0
// Attention over binary32 keys and values for x86-64 with AVX2; see attend/lanes_body.h.
#define ATTEND_NAME       eb_attend_f32__avx2
#define ATTEND_TYPE       float
#define ATTEND_LOAD(p, v) ((v) = *(const eb_f32x8 *)(p))
#define ATTEND_UNITS      0
#define ATTEND_TARGET     __attribute__((target("avx2")))
#include "attend/lanes_body.h"

EB_KERNEL(attend_f32, avx2, none);
