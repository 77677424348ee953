// SPDX-License-Identifier: Apache-2.0
// Drivers of a dense layer: for each of `rows` input rows, one matrix-vector product and its epilogue.
//
//   x        (rows, cols) activations, row-major
//   w        (outs, cols) weights, packed for `product`
//   y        (rows, outs) int8 or binary32, as the epilogue says; may overlap x when, for every row but the
//            last, output row r ends before input row r + 1 begins (a row is read whole before it is written)
//   scratch  16-byte aligned: sums [outs, rounded up to the layout's row multiple] at 0, a copy of one input
//            row at copy_at (only when `copy`), the kernel's own scratch at kernel_at. edgebit/ops/linear.py
//            computes the size.
//
// A row is copied when rows would start unaligned: more than one row and cols not a multiple of 16.
#ifndef EDGEBIT_DENSE_H
#define EDGEBIT_DENSE_H

#include "epilogue/epilogue.h"

typedef struct {
    int32_t rows;
    int32_t cols;
    int32_t outs;
    int32_t copy; // 0 or 1
    int32_t copy_at;
    int32_t kernel_at;
    eb_epilogue_params epilogue;
} eb_dense_params;

typedef void eb_product_s8(const void *w, const int8_t *x, int32_t *acc, int32_t rows, int32_t cols,
                           void *scratch);
typedef void eb_product_f32(const void *w, const float *x, float *acc, int32_t rows, int32_t cols,
                            void *scratch);

EB_INLINE void eb_dense_s8(const eb_dense_params *p, const int8_t *x, const void *w, eb_product_s8 *product,
                           const eb_epilogue *e, void *y, void *scratch) {
    int32_t *acc = scratch;
    int8_t *copy = (int8_t *)scratch + p->copy_at;
    int8_t *out = y;
    for (int32_t r = 0; r < p->rows; r++) {
        const int8_t *row = x;
        if (p->copy) {
            memcpy(copy, x, (size_t)p->cols);
            row = copy;
        }
        product(w, row, acc, p->outs, p->cols, (int8_t *)scratch + p->kernel_at);
        float d = e->kind == EB_EPILOGUE_DYNAMIC ? e->d[r] : 1.0f;
        eb_epilogue_s32(e, &p->epilogue, acc, d, out, p->outs);
        x += p->cols;
        out += p->outs * eb_epilogue_bytes(e);
    }
}

EB_INLINE void eb_dense_f32(const eb_dense_params *p, const float *x, const void *w, eb_product_f32 *product,
                            const eb_epilogue *e, float *y, void *scratch) {
    float *acc = scratch;
    float *copy = (void *)((int8_t *)scratch + p->copy_at);
    for (int32_t r = 0; r < p->rows; r++) {
        const float *row = x;
        if (p->copy) {
            memcpy(copy, x, (size_t)p->cols * sizeof(float));
            row = copy;
        }
        product(w, row, acc, p->outs, p->cols, (int8_t *)scratch + p->kernel_at);
        eb_epilogue_f32(e, &p->epilogue, acc, y, p->outs);
        x += p->cols;
        y += p->outs;
    }
}

#endif
