// SPDX-License-Identifier: Apache-2.0
// Sums of two int8 tensors for x86-64 with AVX2, eight elements at a time, widened to 32 bits.
#include <immintrin.h>

#include "add_s8/runs.h"

#define AVX2 __attribute__((target("avx2")))

AVX2 EB_ADD_S8_DECL(eb_add_s8__avx2);

EB_INLINE AVX2 void eb_add_s8_run__avx2(const int8_t *a, const int8_t *b, int8_t *y,
                                        const eb_add_s8_params *p, int32_t words) {
    const __m256i ma = _mm256_set1_epi32(p->ma);
    const __m256i mb = _mm256_set1_epi32(p->mb);
    const __m256i add = _mm256_set1_epi32(p->add);
    const __m128i shift = _mm_cvtsi32_si128(p->shift);
    const __m256i low = _mm256_set1_epi32(p->qmin);
    const __m256i high = _mm256_set1_epi32(p->qmax);
    for (; words > 0; words -= 2, a += 8, b += 8, y += 8) {
        const size_t bytes = words > 1 ? 8 : 4;
        int64_t in_a = 0;
        int64_t in_b = 0;
        memcpy(&in_a, a, bytes);
        memcpy(&in_b, b, bytes);
        const __m256i x = _mm256_mullo_epi32(_mm256_cvtepi8_epi32(_mm_cvtsi64_si128(in_a)), ma);
        const __m256i z = _mm256_mullo_epi32(_mm256_cvtepi8_epi32(_mm_cvtsi64_si128(in_b)), mb);
        __m256i q = _mm256_sra_epi32(_mm256_add_epi32(_mm256_add_epi32(x, z), add), shift);
        q = _mm256_max_epi32(_mm256_min_epi32(q, high), low);
        const __m128i half = _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
        const int64_t out = _mm_cvtsi128_si64(_mm_packs_epi16(half, half));
        memcpy(y, &out, bytes);
    }
}

AVX2 EB_ADD_S8_DECL(eb_add_s8__avx2) {
    eb_add_s8_runs(p, a, b, y, eb_add_s8_run__avx2);
}

EB_KERNEL(add_s8, avx2, none);
