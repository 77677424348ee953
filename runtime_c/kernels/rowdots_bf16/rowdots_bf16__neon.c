// SPDX-License-Identifier: Apache-2.0
// Products of bfloat16 rows with a float vector for AArch64: four rows at a time, four vectors of four lanes
// each.
#include "rowdots/rowdots.h"

EB_ROWDOTS_DECL(eb_rowdots_bf16__neon);

EB_ROWDOTS_DECL(eb_rowdots_bf16__neon){EB_ROWDOTS_BODY(uint16_t, EB_LOAD16_BF16)}

EB_KERNEL(rowdots_bf16, neon, none);
