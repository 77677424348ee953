// SPDX-License-Identifier: Apache-2.0
// Sums of two int8 tensors for cores with Helium (Cortex-M55, M85), four elements at a time.
//
// Elements are widened to 32 bits as they are loaded; VMLAS multiplies by ma and adds `add`, VMLA adds mb
// times the other input. Cost (Cortex-M55, llvm-mca model, no wait states): 2.3 cycles an element.
#include <arm_mve.h>

#include "add_s8/runs.h"

EB_ADD_S8_DECL(eb_add_s8__mve);

EB_INLINE void eb_add_s8_run__mve(const int8_t *a, const int8_t *b, int8_t *y, const eb_add_s8_params *p,
                                  int32_t words) {
    const int32x4_t ma = vdupq_n_s32(p->ma);
    const int32x4_t low = vdupq_n_s32(p->qmin);
    const int32x4_t high = vdupq_n_s32(p->qmax);
    const int32_t add = p->add;
    const int32_t mb = p->mb;
    const int32_t left = -p->shift;
    for (; words > 0; words--, a += 4, b += 4, y += 4) {
        int32x4_t q = vmlasq_n_s32(vldrbq_s32(a), ma, add);
        q = vshlq_r_s32(vmlaq_n_s32(q, vldrbq_s32(b), mb), left);
        vstrbq_s32(y, vmaxq_s32(vminq_s32(q, high), low));
    }
}

EB_ADD_S8_DECL(eb_add_s8__mve) {
    eb_add_s8_runs(p, a, b, y, eb_add_s8_run__mve);
}

EB_KERNEL(add_s8, mve, none);
