// SPDX-License-Identifier: Apache-2.0
// Drivers of a dense layer: for each of `rows` input rows, one matrix-vector product and its epilogue.
//
//   x        (rows, cols) activations, row-major
//   w        (outs, cols) weights, packed for `product`
//   y        (rows, outs) int8 or binary32, as the epilogue says; may overlap x when, for every row but the
//            last, output row r ends before input row r + 1 begins (a row is read whole before it is written)
//   scratch  16-byte aligned: sums [outs, rounded up to the layout's row multiple] at 0, a copy of one input
//            row at copy_at (only when `copy`), the kernel's own scratch at kernel_at. edgebit/ops/dense.py
//            computes the size. eb_dense_tokens_s8 has sums and copies of EB_DENSE_TOKENS rows.
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
    int32_t acc_step; // eb_dense_tokens_s8: sums of one row to those of the next
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

// How many rows eb_dense_tokens_s8 gives to one product: what tmatmat_s8 kernels take.
#define EB_DENSE_TOKENS 4

// One product of several rows: x and acc hold `tokens` rows each, x_step and acc_step elements apart.
typedef struct {
    int32_t rows; // of the weights
    int32_t cols;
    int32_t tokens;
    int32_t x_step;
    int32_t acc_step;
} eb_tokens;

typedef void eb_products_s8(const void *w, const int8_t *x, int32_t *acc, const eb_tokens *n, void *scratch);

// Like eb_dense_s8, some rows at a time; they are all read before any of them is written.
EB_INLINE void eb_dense_tokens_s8(const eb_dense_params *p, const int8_t *x, const void *w,
                                  eb_products_s8 *products, const eb_epilogue *e, void *y, void *scratch) {
    int32_t *acc = scratch;
    int8_t *copy = (int8_t *)scratch + p->copy_at;
    int8_t *out = y;
    const int32_t width = (p->cols + EB_ALIGN - 1) & -EB_ALIGN;
    for (int32_t r = 0; r < p->rows; r += EB_DENSE_TOKENS) {
        const int32_t left = p->rows - r;
        const eb_tokens n = {p->outs, p->cols, left < EB_DENSE_TOKENS ? left : EB_DENSE_TOKENS, width,
                             p->acc_step};
        const int8_t *row = x;
        if (p->copy) {
            for (int32_t t = 0; t < n.tokens; t++) {
                memcpy(copy + t * (ptrdiff_t)width, x + t * (ptrdiff_t)p->cols, (size_t)p->cols);
            }
            row = copy;
        }
        products(w, row, acc, &n, (int8_t *)scratch + p->kernel_at);
        for (int32_t t = 0; t < n.tokens; t++) {
            float d = e->kind == EB_EPILOGUE_DYNAMIC ? e->d[r + t] : 1.0f;
            eb_epilogue_s32(e, &p->epilogue, acc + t * (ptrdiff_t)p->acc_step, d, out, p->outs);
            out += p->outs * eb_epilogue_bytes(e);
        }
        x += n.tokens * (ptrdiff_t)p->cols;
    }
}

#endif
