// SPDX-License-Identifier: Apache-2.0
// Stored numbers times a float vector, row by row:  y[r] = sum over k of value(w[r * cols + k]) * x[k].
//
//   w          (rows, cols) int8, binary32, binary16 or bfloat16 (both as uint16), row-major
//   x          [cols] binary32
//   y          [rows] binary32, apart from x and w
//   rows >= 1; cols >= 16, a multiple of 16
//
// Sums run in 16 lanes: element k goes to lane k mod 16, lanes start at +0 and add in order of k; then lanes
// j and j + 8 are added, j and j + 4, j and j + 2, and the last two. Values are widened exactly. Four
// families, rowdots_s8, _f32, _f16 and _bf16; a variant is declared where it is used, as
// EB_ROWDOTS_DECL(eb_rowdots_s8__<isa>).
#ifndef EDGEBIT_ROWDOTS_H
#define EDGEBIT_ROWDOTS_H

#include "edgebit/eb_lanes.h"

#define EB_ROWDOTS_DECL(name)                                                                                \
    void name(const void *EB_RESTRICT w, const float *EB_RESTRICT x, float *EB_RESTRICT y, int32_t rows,     \
              int32_t cols)

// The body of a variant for a vector unit: four rows at a time, so that additions do not wait for each other.
// load(row, k, v): 16 values of a row from element k on, as an eb_f32x16.
#define EB_ROWDOTS_BODY(type, load)                                                                          \
    const type *row = w;                                                                                     \
    int32_t r = 0;                                                                                           \
    for (; r + 4 <= rows; r += 4) {                                                                          \
        const type *row1 = row + cols;                                                                       \
        const type *row2 = row1 + cols;                                                                      \
        const type *row3 = row2 + cols;                                                                      \
        eb_f32x16 s0 = {0.0f}, s1 = {0.0f}, s2 = {0.0f}, s3 = {0.0f};                                        \
        for (int32_t k = 0; k < cols; k += 16) {                                                             \
            const eb_f32x16 in = *(const eb_f32x16 *)(x + k);                                                \
            eb_f32x16 v0, v1, v2, v3;                                                                        \
            __builtin_prefetch(row3 + cols + k);                                                             \
            __builtin_prefetch(row3 + 2 * cols + k);                                                         \
            __builtin_prefetch(row3 + 3 * cols + k);                                                         \
            __builtin_prefetch(row3 + 4 * cols + k);                                                         \
            load(row, k, v0);                                                                                \
            load(row1, k, v1);                                                                               \
            load(row2, k, v2);                                                                               \
            load(row3, k, v3);                                                                               \
            s0 = s0 + v0 * in;                                                                               \
            s1 = s1 + v1 * in;                                                                               \
            s2 = s2 + v2 * in;                                                                               \
            s3 = s3 + v3 * in;                                                                               \
        }                                                                                                    \
        y[r] = eb_sum16(&s0);                                                                                \
        y[r + 1] = eb_sum16(&s1);                                                                            \
        y[r + 2] = eb_sum16(&s2);                                                                            \
        y[r + 3] = eb_sum16(&s3);                                                                            \
        row = row3 + cols;                                                                                   \
    }                                                                                                        \
    for (; r < rows; r++) {                                                                                  \
        eb_f32x16 s0 = {0.0f};                                                                               \
        for (int32_t k = 0; k < cols; k += 16) {                                                             \
            eb_f32x16 v0;                                                                                    \
            load(row, k, v0);                                                                                \
            s0 = s0 + v0 * *(const eb_f32x16 *)(x + k);                                                      \
        }                                                                                                    \
        y[r] = eb_sum16(&s0);                                                                                \
        row += cols;                                                                                         \
    }

// The body of a reference variant.
#define EB_ROWDOTS_REF(type, value)                                                                          \
    const type *row = w;                                                                                     \
    for (int32_t r = 0; r < rows; r++) {                                                                     \
        float lane[16] = {0.0f};                                                                             \
        for (int32_t k = 0; k < cols; k++) {                                                                 \
            lane[k & 15] += value(row[k]) * x[k];                                                            \
        }                                                                                                    \
        for (int32_t half = 8; half > 0; half >>= 1) {                                                       \
            for (int32_t j = 0; j < half; j++) {                                                             \
                lane[j] += lane[j + half];                                                                   \
            }                                                                                                \
        }                                                                                                    \
        y[r] = lane[0];                                                                                      \
        row += cols;                                                                                         \
    }

#define EB_LOAD16_S8(row, k, v)  ((v) = EB_CONVERT(*(const eb_s8x16 *)((row) + (k)), eb_f32x16))
#define EB_LOAD16_F32(row, k, v) ((v) = *(const eb_f32x16 *)((row) + (k)))
#define EB_LOAD16_BF16(row, k, v)                                                                            \
    ((v) = (eb_f32x16)(EB_CONVERT(*(const eb_u16x16 *)((row) + (k)), eb_u32x16) << 16))

#endif
