// SPDX-License-Identifier: Apache-2.0
// Drivers of a dense layer whose ternary weights have a scale for each group of inputs, on products of
// tmatvec_s8 and tmatvec_f32: for each of `rows` input rows a product of each group's weights, which is
// scaled and added to those before, then the epilogue's bias and clamps. Every bit is as the kernels of
// tgroups_s8 and tgroups_f32 have it.
//
//   x, y     as dense_groups.h says; so is the copy of a row
//   d        (rows, units) binary32: what a unit of an int8 row counts, in all of it or in each group; (1) if
//            units is 0
//   w        one block of `block` bytes a group, a multiple of 16: (outs, its inputs) weights, packed for
//   `product` scales   [groups][outs] binary32, groups = cols / group rounded up scratch  16-byte aligned:
//   the layer's sums [outs] at 0, a group's sums [outs, rounded up to the layout's row
//            multiple] at part_at, a copy of one input row at copy_at (only when `copy`), the kernel's own
//            scratch at kernel_at. edgebit/ops/dense_groups.py computes the size.
#ifndef EDGEBIT_DENSE_PARTS_H
#define EDGEBIT_DENSE_PARTS_H

#include "dense/dense.h"

typedef struct {
    int32_t rows;
    int32_t cols;
    int32_t outs;
    int32_t group; // a multiple of 16
    int32_t units; // of one row: 1, or one a group; 0 when all rows share one
    int32_t copy;  // 0 or 1
    int32_t part_at;
    int32_t copy_at;
    int32_t kernel_at;
    int32_t block;
    eb_epilogue_params epilogue;
} eb_dense_parts_params;

EB_INLINE void eb_dense_parts_s8(const eb_dense_parts_params *p, const int8_t *x, const float *d,
                                 const uint8_t *w, const float *scales, eb_product_s8 *product,
                                 const eb_epilogue *e, float *y, void *scratch) {
    float *acc = scratch;
    int32_t *part = (void *)((int8_t *)scratch + p->part_at);
    int8_t *copy = (int8_t *)scratch + p->copy_at;
    for (int32_t r = 0; r < p->rows; r++) {
        const int8_t *row = x;
        if (p->copy) {
            memcpy(copy, x, (size_t)p->cols);
            row = copy;
        }
        const uint8_t *block = w;
        const float *scale = scales;
        const float *unit = d;
        for (int32_t first = 0; first < p->cols; first += p->group) {
            const int32_t left = p->cols - first;
            product(block, row + first, part, p->outs, left < p->group ? left : p->group,
                    (int8_t *)scratch + p->kernel_at);
            for (int32_t n = 0; n < p->outs; n++) {
                const float term = ((float)part[n] * scale[n]) * *unit;
                acc[n] = first == 0 ? term : acc[n] + term;
            }
            block += p->block;
            scale += p->outs;
            unit += p->units > 1;
        }
        eb_epilogue_f32(e, &p->epilogue, acc, y, p->outs);
        x += p->cols;
        d += p->units;
        y += p->outs;
    }
}

EB_INLINE void eb_dense_parts_f32(const eb_dense_parts_params *p, const float *x, const uint8_t *w,
                                  const float *scales, eb_product_f32 *product, const eb_epilogue *e,
                                  float *y, void *scratch) {
    float *acc = scratch;
    float *part = (void *)((int8_t *)scratch + p->part_at);
    float *copy = (void *)((int8_t *)scratch + p->copy_at);
    for (int32_t r = 0; r < p->rows; r++) {
        const float *row = x;
        if (p->copy) {
            memcpy(copy, x, (size_t)p->cols * sizeof(float));
            row = copy;
        }
        const uint8_t *block = w;
        const float *scale = scales;
        for (int32_t first = 0; first < p->cols; first += p->group) {
            const int32_t left = p->cols - first;
            product(block, row + first, part, p->outs, left < p->group ? left : p->group,
                    (int8_t *)scratch + p->kernel_at);
            for (int32_t n = 0; n < p->outs; n++) {
                const float term = part[n] * scale[n];
                acc[n] = first == 0 ? term : acc[n] + term;
            }
            block += p->block;
            scale += p->outs;
        }
        eb_epilogue_f32(e, &p->epilogue, acc, y, p->outs);
        x += p->cols;
        y += p->outs;
    }
}

#endif
