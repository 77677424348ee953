// SPDX-License-Identifier: Apache-2.0
// The law for attention over int8 keys and values.
#define ATTEND_NAME  eb_attend_s8__ref
#define ATTEND_TYPE  int8_t
#define ATTEND_VALUE (float)
#define ATTEND_UNITS 1
#include "attend/ref_body.h"

EB_KERNEL(attend_s8, ref, none);
