// SPDX-License-Identifier: Apache-2.0
// Drivers of convolutions, channels last: for each output pixel, gather the input window of each group into
// scratch, multiply it by the group's weights, and run the epilogue over all output channels.
//
//   x        (n, h, w, c) activations
//   w        per group, (outs / groups, kh * kw * c / groups) weights packed for `product`, group_bytes apart
//   y        (n, oh, ow, outs) int8 or binary32, as the epilogue says. A pixel's window is read whole before
//            the pixel is written, so y may overlap x as far as Op.overlap of conv2d proves.
//   scratch  16-byte aligned: sums at 0, the gathered window at window_at (only when `gather`), the kernel's
//            own scratch at kernel_at. edgebit/ops/linear.py computes the size.
//
// Depthwise (groups == c > 1): the kernel gets a pointer to each tap's channels instead of a gathered window.
//   w        (kh * kw, outs) weights packed for `product`
//   scratch  sums at 0, pointers at window_at, one pixel of padding at kernel_at (only when there is padding)
#ifndef EDGEBIT_CONV2D_H
#define EDGEBIT_CONV2D_H

#include "epilogue/epilogue.h"

typedef struct {
    int32_t n, h, w, c;
    int32_t kh, kw;
    int32_t oh, ow, outs;
    int32_t stride_h, stride_w;
    int32_t dilation_h, dilation_w;
    int32_t pad_top, pad_left;
    int32_t groups;
    int32_t group_bytes; // from one group's packed weights to the next
    int32_t padding;     // int8 value of padding: the input's zero point; 0 for binary32
    int32_t gather;      // 0: a 1x1 kernel on aligned pixels reads its input in place
    int32_t window_at;
    int32_t kernel_at;
    eb_epilogue_params epilogue;
} eb_conv2d_params;

typedef void eb_window_s8(const void *w, const int8_t *x, int32_t *acc, int32_t rows, int32_t cols,
                          void *scratch);
typedef void eb_window_f32(const void *w, const float *x, float *acc, int32_t rows, int32_t cols,
                           void *scratch);
typedef void eb_taps_s8(const void *w, const int8_t *const *tap, int32_t *acc, int32_t taps, int32_t channels,
                        int32_t multiplier);
typedef void eb_taps_f32(const void *w, const float *const *tap, float *acc, int32_t taps, int32_t channels,
                         int32_t multiplier);

#ifdef __ARM_FEATURE_MVE
#include "conv2d/copy_mve.h"
#else
// memcpy and memset; few bytes without a call. The empty statements keep compilers from making them calls
// again.
EB_INLINE void eb_conv2d_copy(int8_t *to, const int8_t *from, int32_t n) {
    if (n > 12) {
        memcpy(to, from, (size_t)n);
        return;
    }
    for (const int8_t *end = from + n; from != end; from++) {
        *to++ = *from;
        __asm__("" : "+r"(to));
    }
}

EB_INLINE void eb_conv2d_fill(int8_t *to, int32_t value, int32_t n) {
    if (n > 12) {
        memset(to, (unsigned char)value, (size_t)n);
        return;
    }
    for (const int8_t *end = to + n; to != end; to++) {
        *to = (int8_t)value;
        __asm__("" : "+r"(to));
    }
}

#endif

// Copies whole kernel rows of a window, kw pixels that lie side by side in the input, clipped to it.
EB_INLINE void eb_conv2d_gather_rows(const eb_conv2d_params *p, const int8_t *image, int32_t iy, int32_t ix,
                                     int32_t pixel, int8_t *to) {
    const int32_t lead = eb_clamp_s32(-ix, 0, p->kw) * pixel;
    const int32_t inside = eb_clamp_s32(p->w - ix, 0, p->kw) * pixel - lead;
    const int32_t all = p->kw * pixel;
    const int32_t step = p->dilation_h * p->w * pixel;
    int32_t at = (iy * p->w + ix) * pixel + lead;
#ifdef __ARM_FEATURE_MVE
    int32_t rows = p->kh;
    if (inside != all || iy < 0 || iy + (rows - 1) * p->dilation_h >= p->h) {
        eb_conv2d_fill(to, p->padding, rows * all);
        for (; rows > 0 && iy < 0; rows--, iy += p->dilation_h, at += step, to += all) {
        }
        for (; rows > 0 && iy + (rows - 1) * p->dilation_h >= p->h; rows--) {
        }
    }
    if (rows > 0 && inside > 0) {
        eb_conv2d_runs(to + lead, image + at, rows, inside, all, step);
    }
#else
    for (int32_t ky = 0; ky < p->kh; ky++, iy += p->dilation_h, at += step, to += all) {
        if (iy < 0 || iy >= p->h || inside <= 0) {
            eb_conv2d_fill(to, p->padding, all);
        } else if (inside == all) {
            eb_conv2d_copy(to, image + at, all);
        } else {
            eb_conv2d_fill(to, p->padding, lead);
            eb_conv2d_copy(to + lead, image + at, inside);
            eb_conv2d_fill(to + lead + inside, p->padding, all - lead - inside);
        }
    }
#endif
}

// Copies the window whose top left corner is (iy, ix), channels first..first + count, to `to` in the order
// kernel row, kernel column, channel. `bytes` is the size of an element, a literal.
EB_INLINE void eb_conv2d_gather(const eb_conv2d_params *p, const int8_t *image, int32_t iy, int32_t ix,
                                int32_t first, int32_t count, int32_t bytes, int8_t *to) {
    int32_t run = count * bytes;
    int32_t pixel = p->c * bytes;
    if (run == pixel && p->dilation_w == 1) {
        eb_conv2d_gather_rows(p, image, iy, ix, pixel, to);
        return;
    }
    for (int32_t ky = 0; ky < p->kh; ky++, iy += p->dilation_h) {
        if (iy < 0 || iy >= p->h) {
            memset(to, (unsigned char)p->padding, (size_t)(p->kw * run));
            to += p->kw * run;
            continue;
        }
        const int8_t *row = image + iy * p->w * pixel;
        int32_t x = ix;
        for (int32_t kx = 0; kx < p->kw; kx++, x += p->dilation_w) {
            if (x >= 0 && x < p->w) {
                memcpy(to, row + x * pixel + first * bytes, (size_t)run);
            } else {
                memset(to, (unsigned char)p->padding, (size_t)run);
            }
            to += run;
        }
    }
}

EB_INLINE void eb_conv2d_s8(const eb_conv2d_params *p, const int8_t *x, const void *w, eb_window_s8 *product,
                            const eb_epilogue *e, void *y, void *scratch) {
    int32_t *acc = scratch;
    int8_t *window = (int8_t *)scratch + p->window_at;
    int8_t *own = (int8_t *)scratch + p->kernel_at;
    int32_t ins = p->c / p->groups;
    int32_t outs = p->outs / p->groups;
    int32_t cols = p->kh * p->kw * ins;
    int8_t *out = y;
    for (int32_t n = 0; n < p->n; n++, x += p->h * p->w * p->c) {
        float d = e->kind == EB_EPILOGUE_DYNAMIC ? e->d[n] : 1.0f;
        for (int32_t oy = 0; oy < p->oh; oy++) {
            int32_t iy = oy * p->stride_h - p->pad_top;
            for (int32_t ox = 0; ox < p->ow; ox++) {
                int32_t ix = ox * p->stride_w - p->pad_left;
                const int8_t *weights = w;
                for (int32_t g = 0; g < p->groups; g++, weights += p->group_bytes) {
                    const int8_t *in = window;
                    if (p->gather) {
                        eb_conv2d_gather(p, x, iy, ix, g * ins, ins, 1, window);
                    } else {
                        in = x + (iy * p->w + ix) * p->c + g * ins;
                    }
                    product(weights, in, acc + g * outs, outs, cols, own);
                }
                eb_epilogue_s32(e, &p->epilogue, acc, d, out, p->outs);
                out += p->outs * eb_epilogue_bytes(e);
            }
        }
    }
}

EB_INLINE void eb_conv2d_f32(const eb_conv2d_params *p, const float *x, const void *w, eb_window_f32 *product,
                             const eb_epilogue *e, float *y, void *scratch) {
    float *acc = scratch;
    void *window = (int8_t *)scratch + p->window_at;
    int8_t *own = (int8_t *)scratch + p->kernel_at;
    int32_t ins = p->c / p->groups;
    int32_t outs = p->outs / p->groups;
    int32_t cols = p->kh * p->kw * ins;
    for (int32_t n = 0; n < p->n; n++, x += p->h * p->w * p->c) {
        for (int32_t oy = 0; oy < p->oh; oy++) {
            int32_t iy = oy * p->stride_h - p->pad_top;
            for (int32_t ox = 0; ox < p->ow; ox++, y += p->outs) {
                int32_t ix = ox * p->stride_w - p->pad_left;
                const int8_t *weights = w;
                for (int32_t g = 0; g < p->groups; g++, weights += p->group_bytes) {
                    const float *in = window;
                    if (p->gather) {
                        eb_conv2d_gather(p, (const int8_t *)x, iy, ix, g * ins, ins, 4, window);
                    } else {
                        in = x + (iy * p->w + ix) * p->c + g * ins;
                    }
                    product(weights, in, acc + g * outs, outs, cols, own);
                }
                eb_epilogue_f32(e, &p->epilogue, acc, y, p->outs);
            }
        }
    }
}

// The tap pointers of the window whose top left corner is (iy, ix).
#define EB_CONV2D_TAPS(tap, image, pad_row)                                                                  \
    for (int32_t ky = 0, t = 0, v = iy; ky < p->kh; ky++, v += p->dilation_h) {                              \
        int32_t u = v >= 0 && v < p->h ? ix : p->w; /* a row outside is padding throughout */                \
        int32_t at = (v * p->w + ix) * p->c;                                                                 \
        for (int32_t kx = 0; kx < p->kw; kx++, u += p->dilation_w, at += step) {                             \
            (tap)[t++] = u >= 0 && u < p->w ? (image) + at : (pad_row);                                      \
        }                                                                                                    \
    }

EB_INLINE void eb_depthwise_s8(const eb_conv2d_params *p, const int8_t *x, const void *w, eb_taps_s8 *product,
                               const eb_epilogue *e, void *y, void *scratch) {
    int32_t *acc = scratch;
    const int8_t **tap = (void *)((int8_t *)scratch + p->window_at);
    int8_t *pad_row = (int8_t *)scratch + p->kernel_at;
    const int32_t taps = p->kh * p->kw;
    const int32_t multiplier = p->outs / p->c;
    const int32_t step = p->dilation_w * p->c;
    int8_t *out = y;
    if (p->gather) {
        memset(pad_row, (unsigned char)p->padding, (size_t)p->c);
    }
    for (int32_t n = 0; n < p->n; n++, x += p->h * p->w * p->c) {
        float d = e->kind == EB_EPILOGUE_DYNAMIC ? e->d[n] : 1.0f;
        for (int32_t oy = 0; oy < p->oh; oy++) {
            int32_t iy = oy * p->stride_h - p->pad_top;
            for (int32_t ox = 0; ox < p->ow; ox++) {
                int32_t ix = ox * p->stride_w - p->pad_left;
                EB_CONV2D_TAPS(tap, x, pad_row)
                product(w, tap, acc, taps, p->c, multiplier);
                eb_epilogue_s32(e, &p->epilogue, acc, d, out, p->outs);
                out += p->outs * eb_epilogue_bytes(e);
            }
        }
    }
}

EB_INLINE void eb_depthwise_f32(const eb_conv2d_params *p, const float *x, const void *w,
                                eb_taps_f32 *product, const eb_epilogue *e, float *y, void *scratch) {
    float *acc = scratch;
    const float **tap = (void *)((int8_t *)scratch + p->window_at);
    float *pad_row = (void *)((int8_t *)scratch + p->kernel_at);
    const int32_t taps = p->kh * p->kw;
    const int32_t multiplier = p->outs / p->c;
    const int32_t step = p->dilation_w * p->c;
    if (p->gather) {
        memset(pad_row, 0, (size_t)p->c * sizeof(float));
    }
    for (int32_t n = 0; n < p->n; n++, x += p->h * p->w * p->c) {
        for (int32_t oy = 0; oy < p->oh; oy++) {
            int32_t iy = oy * p->stride_h - p->pad_top;
            for (int32_t ox = 0; ox < p->ow; ox++, y += p->outs) {
                int32_t ix = ox * p->stride_w - p->pad_left;
                EB_CONV2D_TAPS(tap, x, pad_row)
                product(w, tap, acc, taps, p->c, multiplier);
                eb_epilogue_f32(e, &p->epilogue, acc, y, p->outs);
            }
        }
    }
}

#endif
