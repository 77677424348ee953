// SPDX-License-Identifier: Apache-2.0
// Averages of eight channels at once for Advanced SIMD.
//
// SADDW adds a tap of eight channels in 16 bits, where windows of at most 256 taps fit: |sum| <= 256 * 128.
// The rest is done in 32 bits; VQMOVN saturates to 16 and then 8 bits, which changes nothing that the clamp
// to qmin..qmax would not. Eight channels' windows are read before they are written, which is the order of
// the family, and stricter. Channels left over, and larger windows, are summed one by one.
//
// Windows as wide as the image are one line.
//
// Cost (instructions, Cortex-A76): 0.42 a summed byte, 3.8 an output and 2 for each line of its window, 55 a
// pixel; plain C has 10 to 30 a byte.
#include <arm_neon.h>

#include "avg_pool2d_s8/words.h"

EB_AVG_POOL2D_S8_DECL(eb_avg_pool2d_s8__neon);

EB_INLINE int16x8_t eight_sums(const eb_avg_pool2d_window *w, int32_t c) {
    const int8_t *row = w->first + c;
    int16x8_t sum = vdupq_n_s16(0);
    for (int32_t r = w->rows; r > 0; r--, row += w->row_step) {
        const int8_t *at = row;
        for (int32_t k = w->cols; k > 0; k--, at += w->col_step) {
            sum = vaddw_s8(sum, vld1_s8(at));
        }
    }
    return sum;
}

// Four averages, not yet clamped. zero: what all sums are too large by; shift: to the left, so negative.
EB_INLINE int16x4_t four(int16x4_t sum, int32_t zero, int32_t scale, int32_t add, int32_t shift) {
    const int32x4_t exact = vmulq_n_s32(vsubq_s32(vmovl_s16(sum), vdupq_n_s32(zero)), scale);
    return vqmovn_s32(vshlq_s32(vaddq_s32(exact, vdupq_n_s32(add)), vdupq_n_s32(shift)));
}

EB_AVG_POOL2D_S8_DECL(eb_avg_pool2d_s8__neon) {
    const eb_avg_pool2d_s8_params q = *p; // y may not alias a copy
    const eb_pool2d_shape *g = &q.window;
    const int8x8_t low = vdup_n_s8((int8_t)q.qmin);
    const int8x8_t high = vdup_n_s8((int8_t)q.qmax);
    eb_avg_pool2d_window w = {NULL, 0, 0, g->in_w * g->channels, g->channels};
    for (int32_t n = 0; n < g->batch; n++) {
        for (int32_t oh = 0; oh < g->out_h; oh++) {
            const eb_pool_span h = eb_pool_taps(oh * g->stride_h - g->pad_top, g->in_h, g->kernel_h, 1);
            const int32_t lines = h.end - h.first;
            for (int32_t ow = 0; ow < g->out_w; ow++) {
                const eb_pool_span v = eb_pool_taps(ow * g->stride_w - g->pad_left, g->in_w, g->kernel_w, 1);
                w.cols = v.end - v.first;
                w.first = x + ((h.start + h.first) * g->in_w + v.start + v.first) * g->channels;
                const int32_t valid = lines * w.cols;
                const int32_t one = w.cols == g->in_w; // whole lines follow one another
                w.cols = one ? valid : w.cols;
                w.rows = one ? 1 : lines;
                const int32_t scale = mul[(q.fixed_count != 0 ? q.fixed_count : valid) - q.first_count];
                const int32_t zero = q.zp_in * valid;
                int32_t c = 0;
                for (; valid <= 256 && c + 8 <= g->channels; c += 8, y += 8) {
                    const int16x8_t sum = eight_sums(&w, c);
                    const int16x4_t first = four(vget_low_s16(sum), zero, scale, q.add, -q.shift);
                    const int16x4_t second = four(vget_high_s16(sum), zero, scale, q.add, -q.shift);
                    const int8x8_t made = vqmovn_s16(vcombine_s16(first, second));
                    vst1_s8(y, vmin_s8(vmax_s8(made, low), high));
                }
                for (; c < g->channels; c++) {
                    const int32_t sum = eb_avg_pool2d_s8_byte(&w, c) - zero;
                    *y++ = (int8_t)eb_clamp_s32((sum * scale + q.add) >> q.shift, q.qmin, q.qmax);
                }
            }
        }
        x += g->in_h * g->in_w * g->channels;
    }
}

EB_KERNEL(avg_pool2d_s8, neon, none);
