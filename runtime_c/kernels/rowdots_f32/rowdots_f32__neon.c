// SPDX-License-Identifier: Apache-2.0
// Products of binary32 rows with a float vector for AArch64: four rows at a time, four vectors of four lanes
// each.
#include "rowdots/rowdots.h"

EB_ROWDOTS_DECL(eb_rowdots_f32__neon);

EB_ROWDOTS_DECL(eb_rowdots_f32__neon){EB_ROWDOTS_BODY(float, EB_LOAD16_F32)}

EB_KERNEL(rowdots_f32, neon, none);
