// SPDX-License-Identifier: Apache-2.0
// Products of binary16 rows with a float vector for AArch64: four rows at a time, four vectors of four lanes
// each.
#include "rowdots/rowdots.h"

typedef _Float16 f16x16 __attribute__((vector_size(32), aligned(2), may_alias));

#define EB_LOAD16_F16(row, k, v) ((v) = EB_CONVERT(*(const f16x16 *)((row) + (k)), eb_f32x16))

EB_ROWDOTS_DECL(eb_rowdots_f16__neon);

EB_ROWDOTS_DECL(eb_rowdots_f16__neon){EB_ROWDOTS_BODY(uint16_t, EB_LOAD16_F16)}

EB_KERNEL(rowdots_f16, neon, none);
