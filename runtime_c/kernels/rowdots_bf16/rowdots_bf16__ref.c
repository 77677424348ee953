// SPDX-License-Identifier: Apache-2.0
// The law for products of bfloat16 rows with a float vector.
#include "rowdots/rowdots.h"

EB_ROWDOTS_DECL(eb_rowdots_bf16__ref);

EB_INLINE float eb_f32_of_bf16(uint16_t bits) {
    return eb_f32_of_bits((uint32_t)bits << 16);
}

EB_ROWDOTS_DECL(eb_rowdots_bf16__ref){EB_ROWDOTS_REF(uint16_t, eb_f32_of_bf16)}

EB_KERNEL(rowdots_bf16, ref, none);
