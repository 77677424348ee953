// SPDX-License-Identifier: Apache-2.0
// Attention over int8 keys and values for AArch64; see attend/lanes_body.h.
#define ATTEND_NAME       eb_attend_s8__neon
#define ATTEND_TYPE       int8_t
#define ATTEND_LOAD(p, v) ((v) = EB_CONVERT(*(const eb_s8x8 *)(p), eb_f32x8))
#define ATTEND_UNITS      1
#define ATTEND_TARGET
#include "attend/lanes_body.h"

EB_KERNEL(attend_s8, neon, none);
