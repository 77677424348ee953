// SPDX-License-Identifier: Apache-2.0
// The law for products of binary32 rows with a float vector.
#include "rowdots/rowdots.h"

EB_ROWDOTS_DECL(eb_rowdots_f32__ref);

EB_ROWDOTS_DECL(eb_rowdots_f32__ref){EB_ROWDOTS_REF(float, (float))}

EB_KERNEL(rowdots_f32, ref, none);
