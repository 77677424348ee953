// SPDX-License-Identifier: Apache-2.0
// The law for attention over binary16 keys and values.
#define ATTEND_NAME  eb_attend_f16__ref
#define ATTEND_TYPE  uint16_t
#define ATTEND_VALUE eb_f32_of_f16
#define ATTEND_UNITS 0
#include "attend/ref_body.h"

EB_KERNEL(attend_f16, ref, none);
