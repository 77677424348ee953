// SPDX-License-Identifier: Apache-2.0
// Products of int8 rows with a float vector for x86-64 with AVX-512: four rows at a time, one vector of
// sixteen lanes each.
#include "rowdots/rowdots.h"

__attribute__((target("avx512f,avx512bw"))) EB_ROWDOTS_DECL(eb_rowdots_s8__avx512vnni);

__attribute__((target("avx512f,avx512bw"))) EB_ROWDOTS_DECL(eb_rowdots_s8__avx512vnni){
    EB_ROWDOTS_BODY(int8_t, EB_LOAD16_S8)}

EB_KERNEL(rowdots_s8, avx512vnni, none);
