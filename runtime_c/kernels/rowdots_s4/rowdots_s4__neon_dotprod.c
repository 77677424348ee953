// SPDX-License-Identifier: Apache-2.0
// Four-bit rows times a vector for AArch64 with FEAT_DotProd (Cortex-A76): a lane of SDOT is a sum of four;
// see rowdots_s4/neon_body.h.
#define S4_NAME             eb_rowdots_s4__neon_dotprod
#define S4_QUADS(sum, u, x) vdotq_s32(sum, u, x)
#include "rowdots_s4/neon_body.h"

EB_KERNEL(rowdots_s4, neon_dotprod, none);
