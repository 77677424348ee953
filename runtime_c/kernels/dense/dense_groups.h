// SPDX-License-Identifier: Apache-2.0
// Drivers of a dense layer whose ternary weights have a scale for each group of inputs: for each of `rows`
// input rows, one product (which applies the scales) and the epilogue's bias and clamps.
//
//   x        (rows, cols) activations, row-major; int8 ones with units d (rows, units), or (1) if units is 0
//   w        (outs, cols) weights, packed for `product`; scales as tgroups_s8.h says
//   y        (rows, outs) binary32; may overlap x when, for every row but the last, output row r ends before
//            input row r + 1 begins (a row is read whole before it is written)
//   scratch  16-byte aligned: sums [outs, rounded up to the layout's row multiple] at 0, a copy of one input
//            row at copy_at (only when `copy`), the kernel's own scratch at kernel_at.
//            edgebit/ops/dense_groups.py computes the size.
//
// A row is copied when rows would start unaligned: more than one row and cols not a multiple of 16.
#ifndef EDGEBIT_DENSE_GROUPS_H
#define EDGEBIT_DENSE_GROUPS_H

#include "epilogue/epilogue.h"

typedef struct {
    int32_t rows;
    int32_t cols;
    int32_t outs;
    int32_t group;
    int32_t units; // of one row: 1, or one a group; 0 when all rows share one
    int32_t copy;  // 0 or 1
    int32_t copy_at;
    int32_t kernel_at;
    eb_epilogue_params epilogue;
} eb_dense_groups_params;

typedef void eb_group_product_s8(const uint8_t *w, const float *scales, const int8_t *x, const float *d,
                                 float *acc, int32_t rows, int32_t cols, int32_t group, int32_t units,
                                 void *scratch);
typedef void eb_group_product_f32(const uint8_t *w, const float *scales, const float *x, float *acc,
                                  int32_t rows, int32_t cols, int32_t group, void *scratch);

EB_INLINE void eb_dense_groups_s8(const eb_dense_groups_params *p, const int8_t *x, const float *d,
                                  const uint8_t *w, const float *scales, eb_group_product_s8 *product,
                                  const eb_epilogue *e, float *y, void *scratch) {
    float *acc = scratch;
    int8_t *copy = (int8_t *)scratch + p->copy_at;
    for (int32_t r = 0; r < p->rows; r++) {
        const int8_t *row = x;
        if (p->copy) {
            memcpy(copy, x, (size_t)p->cols);
            row = copy;
        }
        product(w, scales, row, d, acc, p->outs, p->cols, p->group, p->units,
                (int8_t *)scratch + p->kernel_at);
        eb_epilogue_f32(e, &p->epilogue, acc, y, p->outs);
        x += p->cols;
        d += p->units;
        y += p->outs;
    }
}

EB_INLINE void eb_dense_groups_f32(const eb_dense_groups_params *p, const float *x, const uint8_t *w,
                                   const float *scales, eb_group_product_f32 *product, const eb_epilogue *e,
                                   float *y, void *scratch) {
    float *acc = scratch;
    float *copy = (void *)((int8_t *)scratch + p->copy_at);
    for (int32_t r = 0; r < p->rows; r++) {
        const float *row = x;
        if (p->copy) {
            memcpy(copy, x, (size_t)p->cols * sizeof(float));
            row = copy;
        }
        product(w, scales, row, acc, p->outs, p->cols, p->group, (int8_t *)scratch + p->kernel_at);
        eb_epilogue_f32(e, &p->epilogue, acc, y, p->outs);
        x += p->cols;
        y += p->outs;
    }
}

#endif
