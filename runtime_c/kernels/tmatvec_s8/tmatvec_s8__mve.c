// SPDX-License-Identifier: Apache-2.0
// Ternary x int8 products for cores with Helium (Cortex-M55, M85), four rows at once: layout "mask4", whose
// blocks and bounds mask4_mve.h explains. Cost (Cortex-M55, llvm-mca model, no wait states): 9 cycles for 64
// weights, 17 per 4 rows. Scratch: none.
#include "tmatvec_s8/mask4_mve.h"
#include "tmatvec_s8/sum_mve.h"
#include "tmatvec_s8/tmatvec_s8.h"

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__mve);

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__mve) {
    (void)scratch;
    const eb_mask4 m = eb_mask4_make();
    const int32_t steps = (cols + 15) >> 4;
    const int32_t sum = eb_sum__mve(x, steps);
    const uint8_t *codes = w;
    int32_t *to = acc;
    for (const int32_t *end = acc + rows; to < end;) {
        eb_mask4_rows(&codes, x, &to, steps, sum, &m);
    }
}

EB_KERNEL(tmatvec_s8, mve, mask4);
