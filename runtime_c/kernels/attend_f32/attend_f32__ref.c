// SPDX-License-Identifier: Apache-2.0
// The law for attention over binary32 keys and values.
#define ATTEND_NAME  eb_attend_f32__ref
#define ATTEND_TYPE  float
#define ATTEND_VALUE (float)
#define ATTEND_UNITS 0
#include "attend/ref_body.h"

EB_KERNEL(attend_f32, ref, none);
