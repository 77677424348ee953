// SPDX-License-Identifier: Apache-2.0
// Products of binary32 rows with a float vector for x86-64 with AVX-512: four rows at a time, one vector of
// sixteen lanes each.
#include "rowdots/rowdots.h"

__attribute__((target("avx512f,avx512bw"))) EB_ROWDOTS_DECL(eb_rowdots_f32__avx512vnni);

__attribute__((target("avx512f,avx512bw"))) EB_ROWDOTS_DECL(eb_rowdots_f32__avx512vnni){
    EB_ROWDOTS_BODY(float, EB_LOAD16_F32)}

EB_KERNEL(rowdots_f32, avx512vnni, none);
