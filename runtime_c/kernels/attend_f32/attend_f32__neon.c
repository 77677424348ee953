// SPDX-License-Identifier: Apache-2.0
// Attention over binary32 keys and values for AArch64; see attend/lanes_body.h.
#define ATTEND_NAME       eb_attend_f32__neon
#define ATTEND_TYPE       float
#define ATTEND_LOAD(p, v) ((v) = *(const eb_f32x8 *)(p))
#define ATTEND_UNITS      0
#define ATTEND_TARGET
#include "attend/lanes_body.h"

EB_KERNEL(attend_f32, neon, none);
