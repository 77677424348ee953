// SPDX-License-Identifier: Apache-2.0
// The rowdots families for x86-64 with AVX-512, included once by each variant, which defines
//   ROWDOTS_NAME    the function
//   ROWDOTS_TYPE    what is stored
//   ROWDOTS_LOAD    (pointer): sixteen stored numbers as binary32, an __m512
//
// Four rows at a time, one vector of sixteen lanes each: each load of x serves four rows, and additions do
// not wait for each other. The last add of a row's lanes is the fixed tree.
#include "rowdots/rowdots.h"

#define ROWDOTS_TARGET __attribute__((target("avx512f,avx512bw")))

ROWDOTS_TARGET EB_ROWDOTS_DECL(ROWDOTS_NAME);

EB_INLINE ROWDOTS_TARGET float rowdots_sum(__m512 v) {
    float lanes[16];
    _mm512_storeu_ps(lanes, v);
    return eb_sum16((const eb_f32x16 *)(const void *)lanes);
}

// One product and one addition, each rounded.
EB_INLINE ROWDOTS_TARGET __m512 rowdots_step(__m512 sum, __m512 v, __m512 x) {
    return _mm512_add_ps(sum, _mm512_mul_ps(v, x));
}

ROWDOTS_TARGET EB_ROWDOTS_DECL(ROWDOTS_NAME) {
    const ROWDOTS_TYPE *row = w;
    int32_t r = 0;
    for (; r + 4 <= rows; r += 4) {
        const ROWDOTS_TYPE *row1 = row + cols;
        const ROWDOTS_TYPE *row2 = row1 + cols;
        const ROWDOTS_TYPE *row3 = row2 + cols;
        __m512 s0 = _mm512_setzero_ps();
        __m512 s1 = s0;
        __m512 s2 = s0;
        __m512 s3 = s0;
        for (int32_t k = 0; k < cols; k += 16) {
            _mm_prefetch((const char *)(row3 + cols + k), _MM_HINT_T0); // what the next four rows hold here
            _mm_prefetch((const char *)(row3 + 2 * cols + k), _MM_HINT_T0);
            _mm_prefetch((const char *)(row3 + 3 * cols + k), _MM_HINT_T0);
            _mm_prefetch((const char *)(row3 + 4 * cols + k), _MM_HINT_T0);
            const __m512 in = _mm512_loadu_ps(x + k);
            s0 = rowdots_step(s0, ROWDOTS_LOAD(row + k), in);
            s1 = rowdots_step(s1, ROWDOTS_LOAD(row1 + k), in);
            s2 = rowdots_step(s2, ROWDOTS_LOAD(row2 + k), in);
            s3 = rowdots_step(s3, ROWDOTS_LOAD(row3 + k), in);
        }
        y[r] = rowdots_sum(s0);
        y[r + 1] = rowdots_sum(s1);
        y[r + 2] = rowdots_sum(s2);
        y[r + 3] = rowdots_sum(s3);
        row = row3 + cols;
    }
    for (; r < rows; r++) {
        __m512 s0 = _mm512_setzero_ps();
        for (int32_t k = 0; k < cols; k += 16) {
            s0 = rowdots_step(s0, ROWDOTS_LOAD(row + k), _mm512_loadu_ps(x + k));
        }
        y[r] = rowdots_sum(s0);
        row += cols;
    }
}
