// SPDX-License-Identifier: Apache-2.0
// Sums of two int8 tensors for Advanced SIMD, eight elements at a time.
//
// Each input is widened to 32 bits and multiplied there; VQMOVN saturates to 16 and then 8 bits, which
// changes nothing that the clamp to qmin..qmax would not. Cost (instructions an element, Cortex-A76): 3.5;
// plain C has 17.
#include <arm_neon.h>

#include "add_s8/runs.h"

EB_ADD_S8_DECL(eb_add_s8__neon);

typedef struct {
    int32x4_t add, shift; // shift: to the left, so negative
    int8x8_t low, high;
    int32_t ma, mb;
} eb_add_s8_lanes;

// Four elements, not yet clamped.
EB_INLINE int32x4_t eb_add_s8_four(const eb_add_s8_lanes *k, int16x4_t a, int16x4_t b) {
    const int32x4_t sum = vmlaq_n_s32(k->add, vmovl_s16(a), k->ma);
    return vshlq_s32(vmlaq_n_s32(sum, vmovl_s16(b), k->mb), k->shift);
}

EB_INLINE int8x8_t eb_add_s8_eight(const eb_add_s8_lanes *k, int8x8_t a, int8x8_t b) {
    const int16x8_t wide_a = vmovl_s8(a);
    const int16x8_t wide_b = vmovl_s8(b);
    const int32x4_t first = eb_add_s8_four(k, vget_low_s16(wide_a), vget_low_s16(wide_b));
    const int32x4_t second = eb_add_s8_four(k, vget_high_s16(wide_a), vget_high_s16(wide_b));
    const int8x8_t q = vqmovn_s16(vcombine_s16(vqmovn_s32(first), vqmovn_s32(second)));
    return vmin_s8(vmax_s8(q, k->low), k->high);
}

EB_INLINE void eb_add_s8_run__neon(const int8_t *a, const int8_t *b, int8_t *y, const eb_add_s8_params *p,
                                   int32_t words) {
    const eb_add_s8_lanes k = {vdupq_n_s32(p->add),
                               vdupq_n_s32(-p->shift),
                               vdup_n_s8((int8_t)p->qmin),
                               vdup_n_s8((int8_t)p->qmax),
                               p->ma,
                               p->mb};
    for (; words >= 2; words -= 2, a += 8, b += 8, y += 8) {
        vst1_s8(y, eb_add_s8_eight(&k, vld1_s8(a), vld1_s8(b)));
    }
    if (words > 0) {
        int32_t last_a;
        int32_t last_b;
        __builtin_memcpy(&last_a, a, sizeof last_a);
        __builtin_memcpy(&last_b, b, sizeof last_b);
        const int8x8_t lanes_a = vreinterpret_s8_s32(vdup_n_s32(last_a));
        const int8x8_t lanes_b = vreinterpret_s8_s32(vdup_n_s32(last_b));
        const int32x2_t q = vreinterpret_s32_s8(eb_add_s8_eight(&k, lanes_a, lanes_b));
        const int32_t last = vget_lane_s32(q, 0);
        __builtin_memcpy(y, &last, sizeof last);
    }
}

EB_ADD_S8_DECL(eb_add_s8__neon) {
    eb_add_s8_runs(p, a, b, y, eb_add_s8_run__neon);
}

EB_KERNEL(add_s8, neon, none);
