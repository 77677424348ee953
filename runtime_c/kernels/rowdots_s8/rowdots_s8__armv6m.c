// SPDX-License-Identifier: Apache-2.0
// Products of int8 rows with a float vector for Armv6-M, which has no floating point: y[r] = sum over k of
// w[r * cols + k] * x[k] in 16 lanes (rowdots.h), each lane's sum in registers from its first element to its
// last. A vector with an entry that is neither 0 nor of a magnitude in 2^-63 .. 2^63 goes the reference's
// way. cols <= 2^20, so that a lane has at most 2^16 products. No scratch.
#include "rowdots/rowdots.h"
#include "rowdots/soft_s8.h"

EB_ROWDOTS_DECL(eb_rowdots_s8__armv6m);

static void any_vector(const int8_t *w, const float *x, float *y, int32_t rows,
                       int32_t cols){EB_ROWDOTS_REF(int8_t, (float))}

EB_ROWDOTS_DECL(eb_rowdots_s8__armv6m) {
    int fine = 1;
    for (int32_t k = 0; k < cols; k++) {
        fine &= eb_soft_fine(eb_bits_of_f32(x[k]));
    }
    if (!fine) {
        any_vector(w, x, y, rows, cols);
        return;
    }
    const int8_t *row = w;
    for (int32_t r = 0; r < rows; r++) {
        float lane[16];
        for (int32_t j = 0; j < 16; j++) {
            lane[j] = eb_soft_dot(x + j, row + j, cols >> 4, 16, 16);
        }
        for (int32_t half = 8; half > 0; half >>= 1) {
            for (int32_t j = 0; j < half; j++) {
                lane[j] += lane[j + half];
            }
        }
        y[r] = lane[0];
        row += cols;
    }
}

EB_KERNEL(rowdots_s8, armv6m, none);
