// SPDX-License-Identifier: Apache-2.0
// The rowdots families for x86-64 with AVX2, included once by each variant, which defines
//   ROWDOTS_NAME    the function
//   ROWDOTS_TYPE    what is stored
//   ROWDOTS_LOAD    (pointer): eight stored numbers as binary32, an __m256
//   ROWDOTS_TARGET  attributes of the functions
//
// Four rows at a time, two vectors of eight lanes each (0..7 and 8..15): each load of x serves four rows, and
// additions do not wait for each other. The last add of a row's lanes is the fixed tree.
#include "rowdots/rowdots.h"

ROWDOTS_TARGET EB_ROWDOTS_DECL(ROWDOTS_NAME);

// The sixteen lanes of one row.
typedef struct {
    __m256 low, high;
} rowdots_lanes;

EB_INLINE ROWDOTS_TARGET float rowdots_sum(const rowdots_lanes *s) {
    float lanes[8];
    _mm256_storeu_ps(lanes, _mm256_add_ps(s->low, s->high));
    return eb_sum8((const eb_f32x8 *)(const void *)lanes);
}

// Sixteen products and additions, each rounded.
EB_INLINE ROWDOTS_TARGET void rowdots_step(rowdots_lanes *s, const ROWDOTS_TYPE *row, __m256 low,
                                           __m256 high) {
    s->low = _mm256_add_ps(s->low, _mm256_mul_ps(ROWDOTS_LOAD(row), low));
    s->high = _mm256_add_ps(s->high, _mm256_mul_ps(ROWDOTS_LOAD(row + 8), high));
}

ROWDOTS_TARGET EB_ROWDOTS_DECL(ROWDOTS_NAME) {
    const rowdots_lanes zero = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    const ROWDOTS_TYPE *row = w;
    int32_t r = 0;
    for (; r + 4 <= rows; r += 4) {
        const ROWDOTS_TYPE *row1 = row + cols;
        const ROWDOTS_TYPE *row2 = row1 + cols;
        const ROWDOTS_TYPE *row3 = row2 + cols;
        rowdots_lanes s0 = zero;
        rowdots_lanes s1 = zero;
        rowdots_lanes s2 = zero;
        rowdots_lanes s3 = zero;
        for (int32_t k = 0; k < cols; k += 16) {
            _mm_prefetch((const char *)(row3 + cols + k), _MM_HINT_T0); // what the next four rows hold here
            _mm_prefetch((const char *)(row3 + 2 * cols + k), _MM_HINT_T0);
            _mm_prefetch((const char *)(row3 + 3 * cols + k), _MM_HINT_T0);
            _mm_prefetch((const char *)(row3 + 4 * cols + k), _MM_HINT_T0);
            const __m256 low = _mm256_loadu_ps(x + k);
            const __m256 high = _mm256_loadu_ps(x + k + 8);
            rowdots_step(&s0, row + k, low, high);
            rowdots_step(&s1, row1 + k, low, high);
            rowdots_step(&s2, row2 + k, low, high);
            rowdots_step(&s3, row3 + k, low, high);
        }
        y[r] = rowdots_sum(&s0);
        y[r + 1] = rowdots_sum(&s1);
        y[r + 2] = rowdots_sum(&s2);
        y[r + 3] = rowdots_sum(&s3);
        row = row3 + cols;
    }
    for (; r < rows; r++) {
        rowdots_lanes s0 = zero;
        for (int32_t k = 0; k < cols; k += 16) {
            rowdots_step(&s0, row + k, _mm256_loadu_ps(x + k), _mm256_loadu_ps(x + k + 8));
        }
        y[r] = rowdots_sum(&s0);
        row += cols;
    }
}
