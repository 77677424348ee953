// SPDX-License-Identifier: Apache-2.0
// Depthwise products with ternary weights for x86-64 with AVX2, sixteen channels at once.
//
// Layout "dwbytes": a byte a trit. Products and sums have 16 bits. Bounds: |sum| <= 128 * 255 < 2^15, the
// layout's limit. Scratch: none.
#include "dwconv_s8/wide_avx2.h"
#include "dwconv_t_s8/dwconv_t_s8.h"

EB_INLINE EB_DWCONV_TARGET void eb_dwconv_8(const int8_t *w, const int8_t *const *tap, int32_t *acc,
                                            int32_t taps, int32_t channels, int32_t c) {
    __m128i sum = _mm_setzero_si128();
    const int8_t *weight = w + c;
    for (int32_t t = 0; t < taps; t++, weight += channels) {
        sum = _mm_add_epi16(sum, _mm_mullo_epi16(eb_wide_8(weight), eb_wide_8(tap[t] + c)));
    }
    eb_store_8(acc + c, _mm256_cvtepi16_epi32(sum));
}

EB_INLINE EB_DWCONV_TARGET void eb_dwconv_16(const int8_t *w, const int8_t *const *tap, int32_t *acc,
                                             int32_t taps, int32_t channels, int32_t c) {
    __m256i sum = _mm256_setzero_si256();
    const int8_t *weight = w + c;
    for (int32_t t = 0; t < taps; t++, weight += channels) {
        sum = _mm256_add_epi16(sum, _mm256_mullo_epi16(eb_wide_16(weight), eb_wide_16(tap[t] + c)));
    }
    eb_store_8(acc + c, _mm256_cvtepi16_epi32(_mm256_castsi256_si128(sum)));
    eb_store_8(acc + c + 8, _mm256_cvtepi16_epi32(_mm256_extracti128_si256(sum, 1)));
}

#include "dwconv_s8/blocks.h"

EB_DWCONV_TARGET EB_DWCONV_T_S8_DECL(eb_dwconv_t_s8__avx2);

EB_DWCONV_TARGET EB_DWCONV_T_S8_DECL(eb_dwconv_t_s8__avx2) {
    eb_dwconv_blocks((const int8_t *)w, tap, acc, taps, channels, multiplier);
}

EB_KERNEL(dwconv_t_s8, avx2, dwbytes);
