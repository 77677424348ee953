// SPDX-License-Identifier: Apache-2.0
// Sixteen columns of eight rows of layout "t2r8" on x86-64 with AVX2: what tmatvec_f32__avx2 and
// tgroups_f32__avx2 share.
//
// A word holds 16 columns of a row, two bits each. VPERMILPS takes an element of four by the two low bits of
// each lane, so with {0, x, 0, -x} in a table for every column, a shift, a permutation and an addition add
// one column to eight rows: 4 instructions with the load for 8 multiply-accumulates. A zero trit adds +0,
// which changes no lane.
#ifndef EDGEBIT_T2R8_AVX2_H
#define EDGEBIT_T2R8_AVX2_H

#include <immintrin.h>

#include "edgebit/eb_types.h"

#define AVX2 __attribute__((target("avx2")))

enum { T2R8_COLS = 16, T2R8_ROWS = 8 };

// Eight lanes of eight rows.
typedef struct {
    __m256 l0, l1, l2, l3, l4, l5, l6, l7;
} t2r8_lanes;

#define T2R8_ADD(s, lane, c)                                                                                 \
    (s)->lane =                                                                                              \
        _mm256_add_ps((s)->lane, _mm256_permutevar_ps(_mm256_broadcast_ps((const __m128 *)(at + 4 * (c))),   \
                                                      _mm256_srli_epi32(v, 2 * (c))))

// The table of x: 4 elements a column, zeros for columns past cols up to `width`.
EB_INLINE AVX2 void t2r8_table(float *table, const float *x, int32_t cols, int32_t width) {
    for (int32_t k = 0; k < width; k++) {
        const float in = k < cols ? x[k] : 0.0f; // past cols lies anything
        _mm_store_ps(table + 4 * (ptrdiff_t)k, _mm_setr_ps(0.0f, in, 0.0f, -in));
    }
}

// 16 columns: weights at w, table entries at `at`.
EB_INLINE AVX2 void t2r8_step(t2r8_lanes *s, const uint8_t *w, const float *at) {
    const __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)w);
    T2R8_ADD(s, l0, 0);
    T2R8_ADD(s, l1, 1);
    T2R8_ADD(s, l2, 2);
    T2R8_ADD(s, l3, 3);
    T2R8_ADD(s, l4, 4);
    T2R8_ADD(s, l5, 5);
    T2R8_ADD(s, l6, 6);
    T2R8_ADD(s, l7, 7);
    T2R8_ADD(s, l0, 8);
    T2R8_ADD(s, l1, 9);
    T2R8_ADD(s, l2, 10);
    T2R8_ADD(s, l3, 11);
    T2R8_ADD(s, l4, 12);
    T2R8_ADD(s, l5, 13);
    T2R8_ADD(s, l6, 14);
    T2R8_ADD(s, l7, 15);
}

EB_INLINE AVX2 t2r8_lanes t2r8_zero(void) {
    const __m256 z = _mm256_setzero_ps();
    const t2r8_lanes s = {z, z, z, z, z, z, z, z};
    return s;
}

// The fixed tree over the lanes.
EB_INLINE AVX2 __m256 t2r8_sums(const t2r8_lanes *s) {
    const __m256 s02 = _mm256_add_ps(_mm256_add_ps(s->l0, s->l4), _mm256_add_ps(s->l2, s->l6));
    const __m256 s13 = _mm256_add_ps(_mm256_add_ps(s->l1, s->l5), _mm256_add_ps(s->l3, s->l7));
    return _mm256_add_ps(s02, s13);
}

#endif
