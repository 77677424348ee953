// SPDX-License-Identifier: Apache-2.0
// Products of binary32 rows with a float vector for x86-64 with AVX2: four rows at a time, two vectors of
// eight lanes each.
#include "rowdots/rowdots.h"

__attribute__((target("avx2"))) EB_ROWDOTS_DECL(eb_rowdots_f32__avx2);

__attribute__((target("avx2"))) EB_ROWDOTS_DECL(eb_rowdots_f32__avx2){EB_ROWDOTS_BODY(float, EB_LOAD16_F32)}

EB_KERNEL(rowdots_f32, avx2, none);
