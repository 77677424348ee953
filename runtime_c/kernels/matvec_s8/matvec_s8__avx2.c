// SPDX-License-Identifier: Apache-2.0
// int8 x int8 products for x86-64 with AVX2, four rows at once (layout "s8b4").
//
// VPMADDWD multiplies sixteen weights and inputs, widened to 16 bits, and adds pairs of products in 32.
//
// Bounds: a pair is at most 2^15; sums are those of the family, |acc| < 2^31. Scratch: none.
#include <immintrin.h>

#include "matvec_s8/matvec_s8.h"

#define AVX2 __attribute__((target("avx2")))

EB_INLINE AVX2 __m256i s8b4_wide(const int8_t *p) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
}

EB_INLINE AVX2 __m256i s8b4_join(__m256i sum, const int8_t *w, __m256i x) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(s8b4_wide(w), x));
}

AVX2 EB_MATVEC_S8_DECL(eb_matvec_s8__avx2);

AVX2 EB_MATVEC_S8_DECL(eb_matvec_s8__avx2) {
    (void)scratch;
    const __m256i zero = _mm256_setzero_si256();
    for (int32_t r = 0; r < rows; r += 4) {
        __m256i s0 = zero, s1 = zero, s2 = zero, s3 = zero;
        for (int32_t k = 0; k < cols; k += 16, w += 64) {
            const __m256i in = s8b4_wide(x + k);
            s0 = s8b4_join(s0, w, in);
            s1 = s8b4_join(s1, w + 16, in);
            s2 = s8b4_join(s2, w + 32, in);
            s3 = s8b4_join(s3, w + 48, in);
        }
        const __m256i sums = _mm256_hadd_epi32(_mm256_hadd_epi32(s0, s1), _mm256_hadd_epi32(s2, s3));
        const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
        _mm_storeu_si128((__m128i *)(void *)(acc + r), four);
    }
}

EB_KERNEL(matvec_s8, avx2, s8b4);
