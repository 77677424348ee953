// SPDX-License-Identifier: Apache-2.0
// The law for products of int8 rows with a float vector.
#include "rowdots/rowdots.h"

EB_ROWDOTS_DECL(eb_rowdots_s8__ref);

EB_ROWDOTS_DECL(eb_rowdots_s8__ref){EB_ROWDOTS_REF(int8_t, (float))}

EB_KERNEL(rowdots_s8, ref, none);
