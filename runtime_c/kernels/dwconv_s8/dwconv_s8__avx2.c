// SPDX-License-Identifier: Apache-2.0
// Depthwise products with int8 weights for x86-64 with AVX2, sixteen channels at once.
//
// Products have 16 bits, |-128 * -128| = 2^14, sums 32. Scratch: none.
#include "dwconv_s8/dwconv_s8.h"
#include "dwconv_s8/wide_avx2.h"

EB_INLINE EB_DWCONV_TARGET void eb_dwconv_8(const int8_t *w, const int8_t *const *tap, int32_t *acc,
                                            int32_t taps, int32_t channels, int32_t c) {
    __m256i sum = _mm256_setzero_si256();
    const int8_t *weight = w + c;
    for (int32_t t = 0; t < taps; t++, weight += channels) {
        const __m128i product = _mm_mullo_epi16(eb_wide_8(weight), eb_wide_8(tap[t] + c));
        sum = _mm256_add_epi32(sum, _mm256_cvtepi16_epi32(product));
    }
    eb_store_8(acc + c, sum);
}

EB_INLINE EB_DWCONV_TARGET void eb_dwconv_16(const int8_t *w, const int8_t *const *tap, int32_t *acc,
                                             int32_t taps, int32_t channels, int32_t c) {
    __m256i low = _mm256_setzero_si256();
    __m256i high = low;
    const int8_t *weight = w + c;
    for (int32_t t = 0; t < taps; t++, weight += channels) {
        const __m256i product = _mm256_mullo_epi16(eb_wide_16(weight), eb_wide_16(tap[t] + c));
        low = _mm256_add_epi32(low, _mm256_cvtepi16_epi32(_mm256_castsi256_si128(product)));
        high = _mm256_add_epi32(high, _mm256_cvtepi16_epi32(_mm256_extracti128_si256(product, 1)));
    }
    eb_store_8(acc + c, low);
    eb_store_8(acc + c + 8, high);
}

#include "dwconv_s8/blocks.h"

EB_DWCONV_TARGET EB_DWCONV_S8_DECL(eb_dwconv_s8__avx2);

EB_DWCONV_TARGET EB_DWCONV_S8_DECL(eb_dwconv_s8__avx2) {
    eb_dwconv_blocks(w, tap, acc, taps, channels, multiplier);
}

EB_KERNEL(dwconv_s8, avx2, s8);
