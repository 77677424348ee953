// SPDX-License-Identifier: Apache-2.0
// What variants of add_s8 share: stretches in which a and b both go on element by element, in whole words.
#ifndef EDGEBIT_ADD_S8_RUNS_H
#define EDGEBIT_ADD_S8_RUNS_H

#include "add_s8/add_s8.h"

// y[i] of `words` >= 1 words of four elements; a, b and y at multiples of 4 bytes. y may be a or b.
typedef void eb_add_s8_run(const int8_t *a, const int8_t *b, int8_t *y, const eb_add_s8_params *p,
                           int32_t words);

// One stretch of n >= 1 elements.
EB_INLINE void eb_add_s8_stretch(const eb_add_s8_params *p, const int8_t *a, const int8_t *b, int8_t *y,
                                 int32_t n, eb_add_s8_run *run) {
    int32_t words = (((uintptr_t)a | (uintptr_t)b | (uintptr_t)y) & 3) == 0 ? n >> 2 : 0;
    if (words > 0) {
        run(a, b, y, p, words);
    }
    for (int32_t i = 4 * words; i < n; i++) {
        int32_t q = (p->ma * a[i] + p->mb * b[i] + p->add) >> p->shift;
        y[i] = (int8_t)eb_clamp_s32(q, p->qmin, p->qmax);
    }
}

EB_INLINE void eb_add_s8_runs(const eb_add_s8_params *p, const int8_t *a, const int8_t *b, int8_t *y,
                              eb_add_s8_run *run) {
    const int whole = p->rows == 1; // then b goes on like a, from image to image
    const int32_t n = whole ? p->outer * p->cols : p->cols;
    for (int32_t o = whole ? 1 : p->outer; o > 0; o--, b += n) {
        for (int32_t r = p->rows; r > 0; r--, a += n, y += n) {
            eb_add_s8_stretch(p, a, b, y, n, run);
        }
    }
}

#endif
