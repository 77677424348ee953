// SPDX-License-Identifier: Apache-2.0
// Products of int8 rows with a float vector for AArch64: four rows at a time, four vectors of four lanes
// each.
#include "rowdots/rowdots.h"

EB_ROWDOTS_DECL(eb_rowdots_s8__neon);

EB_ROWDOTS_DECL(eb_rowdots_s8__neon){EB_ROWDOTS_BODY(int8_t, EB_LOAD16_S8)}

EB_KERNEL(rowdots_s8, neon, none);
