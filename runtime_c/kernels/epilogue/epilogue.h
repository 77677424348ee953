// SPDX-License-Identifier: Apache-2.0
// What a linear layer does with the sums of one output pixel (one row of a matrix product).
//
// The drivers take an eb_epilogue filled with literals by the generated code; everything inlines, so that
// only the chosen steps remain in the program.
#ifndef EDGEBIT_EPILOGUE_H
#define EDGEBIT_EPILOGUE_H

#include "edgebit/eb_types.h"
#if defined(__thumb__) && defined(__ARM_ARCH_6M__)
#include "epilogue/requant_armv6m.h"
#elif defined(__ARM_FEATURE_MVE)
#include "epilogue/requant_mve.h"
#elif defined(__thumb2__) && __ARM_ARCH_PROFILE == 'M'
#include "epilogue/requant_armv7m.h"
#elif defined(__ARM_NEON)
#include "epilogue/requant_neon.h"
#endif

enum {
    EB_EPILOGUE_REQUANT, // int32 sums -> int8, see eb_requant
    EB_EPILOGUE_AFFINE,  // sums -> binary32: clamp(float(acc + corr) * scale + bias, lo, hi)
    EB_EPILOGUE_DYNAMIC  // int32 sums -> binary32: clamp((float(acc) * scale) * d + bias, lo, hi)
};

// Numbers shared by the channels of a layer; part of the layer's parameters.
typedef struct {
    eb_requant_params requant;
    float lo;
    float hi;
} eb_epilogue_params;

// Arrays are [outs], one entry an output channel; those that `kind` and `flags` do not name may be null.
typedef struct {
    int kind;
    int flags; // EB_AFFINE_...
    const eb_requant_entry *requant;
    const int32_t *corr;
    const float *scale;
    const float *bias;
    const float *d; // EB_EPILOGUE_DYNAMIC: one entry a row (dense) or an image (conv2d)
} eb_epilogue;

// Bytes of one output element.
EB_INLINE int32_t eb_epilogue_bytes(const eb_epilogue *e) {
    return e->kind == EB_EPILOGUE_REQUANT ? 1 : 4;
}

EB_INLINE float eb_affine_at(const eb_epilogue *e, const eb_epilogue_params *p, float y, int32_t i) {
    const float *scale = (e->flags & EB_AFFINE_SCALE) ? e->scale + i : NULL;
    const float *bias = (e->flags & EB_AFFINE_BIAS) ? e->bias + i : NULL;
    return eb_affine_tail(y, scale, bias, p->lo, p->hi, e->flags);
}

// y[i] = eb_requant(acc[i], p, &e[i]), i < n, n >= 1.
EB_INLINE void eb_requant_row(const int32_t *acc, const eb_requant_entry *e, int8_t *y,
                              const eb_requant_params *p, int32_t n) {
#if defined(__thumb__) && defined(__ARM_ARCH_6M__)
    eb_requant_row__armv6m(acc, e, y, p, n);
#elif defined(__ARM_FEATURE_MVE)
    eb_requant_row__mve(acc, e, y, p, n);
#elif defined(__ARM_NEON)
    eb_requant_row__neon(acc, e, y, p, n);
#else
#if defined(__thumb2__) && __ARM_ARCH_PROFILE == 'M'
    if (p->qmin == -128 && p->qmax == 127) {
        if (p->pre_shift == 0) {
            eb_requant_row__armv7m(acc, e, y, p, n);
        } else {
            eb_requant_row__armv7m_shift(acc, e, y, p, n);
        }
        return;
    }
#endif
    const eb_requant_params common = *p; // y may not alias a copy
    for (const int8_t *end = y + n; y != end; y++) {
        eb_requant_entry one;
        __builtin_memcpy(&one, e++, sizeof one);
        *y = eb_requant(*acc++, &common, &one);
    }
#endif
}

// int32 sums of one pixel to its outputs. d: the dynamic scale of this pixel, 1 otherwise.
EB_INLINE void eb_epilogue_s32(const eb_epilogue *e, const eb_epilogue_params *p, const int32_t *acc, float d,
                               void *out, int32_t outs) {
    if (e->kind == EB_EPILOGUE_REQUANT) {
        eb_requant_row(acc, e->requant, out, &p->requant, outs);
        return;
    }
    float *y = out;
    for (int32_t i = 0; i < outs; i++) {
        int32_t a = acc[i];
        if (e->flags & EB_AFFINE_CORR) {
            a += e->corr[i];
        }
        float v = (float)a;
        if (e->kind == EB_EPILOGUE_DYNAMIC) {
            if (e->flags & EB_AFFINE_SCALE) {
                v = v * e->scale[i];
            }
            v = v * d;
            const float *bias = (e->flags & EB_AFFINE_BIAS) ? e->bias + i : NULL;
            y[i] = eb_affine_tail(v, NULL, bias, p->lo, p->hi, e->flags & ~EB_AFFINE_SCALE);
        } else {
            y[i] = eb_affine_at(e, p, v, i);
        }
    }
}

// Binary32 sums of one pixel to its outputs (EB_EPILOGUE_AFFINE only).
EB_INLINE void eb_epilogue_f32(const eb_epilogue *e, const eb_epilogue_params *p, const float *acc, float *y,
                               int32_t outs) {
    for (int32_t i = 0; i < outs; i++) {
        y[i] = eb_affine_at(e, p, acc[i], i);
    }
}

#endif
