// SPDX-License-Identifier: Apache-2.0
// What depthwise kernels for x86-64 with AVX2 share: bytes widened as they are loaded.
#ifndef EDGEBIT_DWCONV_WIDE_AVX2_H
#define EDGEBIT_DWCONV_WIDE_AVX2_H

#include <immintrin.h>

#include "edgebit/eb_types.h"

#define EB_DWCONV_TARGET __attribute__((target("avx2")))

// Eight or sixteen bytes as 16-bit lanes.
EB_INLINE EB_DWCONV_TARGET __m128i eb_wide_8(const int8_t *p) {
    return _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)p));
}

EB_INLINE EB_DWCONV_TARGET __m256i eb_wide_16(const int8_t *p) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
}

EB_INLINE EB_DWCONV_TARGET void eb_store_8(int32_t *acc, __m256i sums) {
    _mm256_storeu_si256((__m256i *)(void *)acc, sums);
}

#endif
