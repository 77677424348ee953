// SPDX-License-Identifier: Apache-2.0
// Ternary products with a scale for each group of inputs, int8, for x86-64 with AVX2.
//
// The integer sums and the layout ("e2r32") are those of tmatvec_s8__avx2, whose 16-bit lanes take 64 columns
// at most before they are widened. After each group 32 rows of sums are recovered, converted, scaled and
// added.
//
// Bounds: as there, and see the family's header.
// Cost: as without scales on a Xeon (Sapphire Rapids), 640 x 2560 with groups of 128.
// Scratch: the inputs' sum of each group.
#include <immintrin.h>

#include "tgroups_s8/tgroups_s8.h"

#define AVX2 __attribute__((target("avx2")))

AVX2 EB_TGROUPS_S8_DECL(eb_tgroups_s8__avx2);

enum { CHUNK = 64 };

EB_INLINE AVX2 __m256i e2r32_add(__m256i sum, __m256i codes, __m256i x) {
    return _mm256_add_epi16(sum, _mm256_maddubs_epi16(codes, x));
}

EB_INLINE AVX2 __m256i e2r32_widen(__m256i sum, __m256i pairs) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

EB_INLINE AVX2 void e2r32_term(float *acc, __m256i sum, const float *scale, __m256 unit, int first) {
    const __m256 scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_loadu_ps(scale));
    const __m256 term = _mm256_mul_ps(scaled, unit);
    _mm256_storeu_ps(acc, first ? term : _mm256_add_ps(_mm256_loadu_ps(acc), term));
}

// The sum of n inputs, n a multiple of 16; bytes past cols included: their trits are 0 too.
EB_INLINE AVX2 int32_t e2r32_total(const int8_t *x, int64_t n) {
    __m128i sum = _mm_setzero_si128();
    for (int64_t k = 0; k < n; k += 16) {
        const __m128i in = _mm_loadu_si128((const __m128i *)(const void *)(x + k));
        const __m128i pairs = _mm_maddubs_epi16(_mm_set1_epi8(1), in);
        sum = _mm_add_epi32(sum, _mm_madd_epi16(pairs, _mm_set1_epi16(1)));
    }
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4E));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xB1));
    return _mm_cvtsi128_si32(sum);
}

AVX2 EB_TGROUPS_S8_DECL(eb_tgroups_s8__avx2) {
    const __m256i mask0 = _mm256_set1_epi8(0x03);
    const __m256i mask1 = _mm256_set1_epi8(0x0C);
    const __m256i zero = _mm256_setzero_si256();
    const int64_t width = ((int64_t)cols + 15) & ~15;
    const int32_t row_step = (rows + 31) & ~31;
    int32_t *totals = scratch;
    int32_t groups = 0;
    for (int64_t first = 0; first < width; first += group) {
        totals[groups++] = e2r32_total(x + first, width - first < group ? width - first : group);
    }
    for (int32_t r = 0; r < rows; r += 32) {
        const int8_t *at = x;
        const float *scale = scales + r;
        for (int32_t g = 0; g < groups; g++) {
            const int8_t *end = x + (g + 1 < groups ? (g + 1) * (int64_t)group : width);
            __m256i s0 = zero, s1 = zero, s2 = zero, s3 = zero;
            while (at < end) {
                const int8_t *stop = end - at < CHUNK ? end : at + CHUNK;
                __m256i p0 = zero, p1 = zero, p2 = zero, p3 = zero;
                for (; at < stop; at += 4) {
                    int32_t quad;
                    memcpy(&quad, at, sizeof quad);
                    const __m256i in = _mm256_set1_epi32(quad);
                    const __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)w);
                    const __m256i u = _mm256_srli_epi16(v, 4);
                    _mm_prefetch((const char *)w + 2048, _MM_HINT_T0);
                    p0 = e2r32_add(p0, _mm256_and_si256(v, mask0), in);
                    p1 = e2r32_add(p1, _mm256_and_si256(v, mask1), in);
                    p2 = e2r32_add(p2, _mm256_and_si256(u, mask0), in);
                    p3 = e2r32_add(p3, _mm256_and_si256(u, mask1), in);
                    w += 32;
                }
                s0 = e2r32_widen(s0, p0);
                s1 = e2r32_widen(s1, p1);
                s2 = e2r32_widen(s2, p2);
                s3 = e2r32_widen(s3, p3);
            }
            const __m256i total = _mm256_set1_epi32(totals[g]);
            const __m256 unit = _mm256_set1_ps(units > 1 ? d[g] : d[0]);
            float *out = acc + r;
            e2r32_term(out, _mm256_sub_epi32(s0, total), scale, unit, g == 0);
            e2r32_term(out + 8, _mm256_sub_epi32(_mm256_srai_epi32(s1, 2), total), scale + 8, unit, g == 0);
            e2r32_term(out + 16, _mm256_sub_epi32(s2, total), scale + 16, unit, g == 0);
            e2r32_term(out + 24, _mm256_sub_epi32(_mm256_srai_epi32(s3, 2), total), scale + 24, unit, g == 0);
            scale += row_step;
        }
    }
}

EB_KERNEL(tgroups_s8, avx2, e2r32);
