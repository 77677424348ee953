// SPDX-License-Identifier: Apache-2.0
// The law for products of binary16 rows with a float vector.
#include "rowdots/rowdots.h"

EB_ROWDOTS_DECL(eb_rowdots_f16__ref);

EB_ROWDOTS_DECL(eb_rowdots_f16__ref){EB_ROWDOTS_REF(uint16_t, eb_f32_of_f16)}

EB_KERNEL(rowdots_f16, ref, none);
