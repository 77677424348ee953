// SPDX-License-Identifier: Apache-2.0
// Driver of convolutions (groups 1, int8 inputs) whose kernel multiplies the windows of several output pixels
// by the same weights: up to EB_TMATMAT_TOKENS at a time, in the order of the output.
//
//   x        (n, h, w, c) int8
//   w        (outs, kh * kw * c) trits packed for `product`
//   y        (n, oh, ow, outs) int8 or binary32, as the epilogue says. The windows of all pixels of one
//            product are read whole before any of them is written, so y may overlap x as far as when pixels
//            are computed one by one (edgebit/ops/linear.py).
//   scratch  16-byte aligned: sums [pixels][acc_step] at 0, gathered windows `step` bytes apart at
//            conv.window_at (only when conv.gather), the kernel's own scratch at conv.kernel_at.
//            edgebit/ops/windows_c.py computes the size.
//
// Without conv.gather the kernel is 1x1 with strides 1 and no padding, and `step` is c, a multiple of 16: the
// pixels' inputs are used where they lie.
#ifndef EDGEBIT_CONV2D_WINDOWS_H
#define EDGEBIT_CONV2D_WINDOWS_H

#include "conv2d/conv2d.h"
#include "tmatmat_s8/tmatmat_s8.h"

typedef struct {
    eb_conv2d_params conv;
    int32_t step;     // bytes from one window to the next
    int32_t acc_step; // int32 from the sums of one window to those of the next
} eb_conv2d_windows_params;

typedef void eb_windows_product(const void *w, const int8_t *x, int32_t *acc, int32_t rows, int32_t cols,
                                int32_t tokens, int32_t x_step, int32_t acc_step, void *scratch);

EB_INLINE void eb_conv2d_windows_s8(const eb_conv2d_windows_params *p, const int8_t *x, const void *w,
                                    eb_windows_product *product, const eb_epilogue *e, void *y,
                                    void *scratch) {
    const eb_conv2d_params *g = &p->conv;
    const int32_t cols = g->kh * g->kw * g->c;
    int32_t *acc = scratch;
    int8_t *window = (int8_t *)scratch + g->window_at;
    int8_t *out = y;
    for (int32_t n = 0; n < g->n; n++, x += g->h * g->w * g->c) {
        const float d = e->kind == EB_EPILOGUE_DYNAMIC ? e->d[n] : 1.0f;
        const int8_t *in = x;
        int32_t iy = -g->pad_top;
        int32_t ix = -g->pad_left;
        int32_t row = g->ow; // pixels left in the row of outputs
        for (int32_t left = g->oh * g->ow; left > 0; left -= EB_TMATMAT_TOKENS) {
            const int32_t count = left < EB_TMATMAT_TOKENS ? left : EB_TMATMAT_TOKENS;
            if (g->gather) {
                int8_t *to = window;
                for (int32_t i = 0; i < count; i++, to += p->step) {
                    eb_conv2d_gather(g, x, iy, ix, 0, g->c, 1, to);
                    ix += g->stride_w;
                    if (--row == 0) {
                        row = g->ow;
                        ix = -g->pad_left;
                        iy += g->stride_h;
                    }
                }
                in = window;
            }
            product(w, in, acc, g->outs, cols, count, p->step, p->acc_step, (int8_t *)scratch + g->kernel_at);
            in += count * p->step;
            const int32_t *sums = acc;
            for (int32_t i = 0; i < count; i++, sums += p->acc_step) {
                eb_epilogue_s32(e, &g->epilogue, sums, d, out, g->outs);
                out += g->outs * eb_epilogue_bytes(e);
            }
        }
    }
}

#endif
