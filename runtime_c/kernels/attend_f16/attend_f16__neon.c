// SPDX-License-Identifier: Apache-2.0
// Attention over binary16 keys and values for AArch64; see attend/lanes_body.h.
#include "edgebit/eb_types.h"

typedef _Float16 f16x8 __attribute__((vector_size(16), aligned(2), may_alias));

#define ATTEND_NAME       eb_attend_f16__neon
#define ATTEND_TYPE       uint16_t
#define ATTEND_LOAD(p, v) ((v) = EB_CONVERT(*(const f16x8 *)(p), eb_f32x8))
#define ATTEND_UNITS      0
#define ATTEND_TARGET
#include "attend/lanes_body.h"

EB_KERNEL(attend_f16, neon, none);
