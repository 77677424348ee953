// SPDX-License-Identifier: Apache-2.0
// Products of bfloat16 rows with a float vector for x86-64 with AVX2: four rows at a time, two vectors of
// eight lanes each.
#include "rowdots/rowdots.h"

__attribute__((target("avx2"))) EB_ROWDOTS_DECL(eb_rowdots_bf16__avx2);

__attribute__((target("avx2"))) EB_ROWDOTS_DECL(eb_rowdots_bf16__avx2){
    EB_ROWDOTS_BODY(uint16_t, EB_LOAD16_BF16)}

EB_KERNEL(rowdots_bf16, avx2, none);
