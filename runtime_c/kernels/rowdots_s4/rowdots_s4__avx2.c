// SPDX-License-Identifier: Apache-2.0
// Four-bit rows times a vector for x86-64 with AVX2: a group a vector, two rows at a time.
//
// VPMADDUBSW adds two products u x of bytes (at most 2 * 15 * 128, far from where it saturates), VPMADDWD by
// ones makes them sums of four: eight lanes for each byte of x.
#include <immintrin.h>

#include "rowdots_s4/rowdots_s4.h"

#define AVX2 __attribute__((target("avx2")))

AVX2 EB_ROWDOTS_S4_DECL(eb_rowdots_s4__avx2);

// 32 columns of x.
typedef struct {
    __m256i high, low, less;
} s4_input;

EB_INLINE AVX2 s4_input s4_load(const eb_s4_vector *x, int32_t group) {
    const s4_input in = {_mm256_loadu_si256((const void *)(x->high + 32 * group)),
                         _mm256_loadu_si256((const void *)(x->low + 32 * group)),
                         _mm256_loadu_si256((const void *)(x->less + 8 * group))};
    return in;
}

// One group of one row into its eight lanes.
EB_INLINE AVX2 __m256 s4_step(__m256 sum, __m256i u, const s4_input *in, uint8_t code) {
    const __m256i ones = _mm256_set1_epi16(1);
    const __m256i high = _mm256_madd_epi16(_mm256_maddubs_epi16(u, in->high), ones);
    const __m256i low = _mm256_madd_epi16(_mm256_maddubs_epi16(u, in->low), ones);
    const __m256i all = _mm256_add_epi32(_mm256_add_epi32(low, in->less), _mm256_slli_epi32(high, 8));
    return _mm256_add_ps(sum, _mm256_mul_ps(_mm256_cvtepi32_ps(all), _mm256_set1_ps((float)code)));
}

// n rows, 1 or 2, a literal.
EB_INLINE AVX2 void s4_rows(const uint8_t *w, const eb_s4_vector *x, float *y, int32_t cols, int n) {
    const size_t step = (size_t)EB_S4_ROW_BYTES(cols);
    const __m256i mask = _mm256_set1_epi8(15);
    __m256 even[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    __m256 odd[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    for (int32_t p = 0; p < cols / (2 * EB_S4_GROUP); p++) {
        const s4_input in0 = s4_load(x, 2 * p);
        const s4_input in1 = s4_load(x, 2 * p + 1);
        for (int i = 0; i < n; i++) {
            const uint8_t *row = w + (size_t)i * step;
            const __m256i v = _mm256_loadu_si256((const void *)(row + 32 * p));
            _mm_prefetch((const char *)(row + 4 * step + 32 * p), _MM_HINT_T0);
            const uint8_t *code = row + cols / 2 + 2 * p;
            even[i] = s4_step(even[i], _mm256_and_si256(v, mask), &in0, code[0]);
            odd[i] = s4_step(odd[i], _mm256_and_si256(_mm256_srli_epi16(v, 4), mask), &in1, code[1]);
        }
    }
    for (int i = 0; i < n; i++) {
        float lanes[8];
        _mm256_storeu_ps(lanes, _mm256_add_ps(even[i], odd[i]));
        y[i] = eb_sum8((const eb_f32x8 *)(const void *)lanes);
    }
}

AVX2 EB_ROWDOTS_S4_DECL(eb_rowdots_s4__avx2) {
    const size_t step = (size_t)EB_S4_ROW_BYTES(cols);
    int32_t r = 0;
    for (; r + 2 <= rows; r += 2) {
        s4_rows(w, x, y + r, cols, 2);
        w += 2 * step;
    }
    if (r < rows) {
        s4_rows(w, x, y + r, cols, 1);
    }
}

EB_KERNEL(rowdots_s4, avx2, none);
