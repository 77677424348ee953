// SPDX-License-Identifier: Apache-2.0
// Ternary x int8 products for x86-64 with AVX-512 VNNI, four rows a byte, by nested masks.
//
// A byte (layout "e2r64") holds 4 rows at one column, two bits each: u = trit + 1. VPDPBUSD with the byte
// masked by 0x03, 0x0F, 0x3F and not at all gives
//   S0 = U0, S1 = U0 + 4 U1, S2 = S1 + 16 U2, S3 = S2 + 64 U3      with Ui = sum(u x) = Ti + sum(x)
// so differences and exact shifts recover the four rows: 3 ANDs and 4 VPDPBUSDs for 256 multiply-accumulates.
//
// Bounds: sums are exact modulo 2^32, and 64 U3 lies in -64 * 2 * 128 * cols .. 64 * 2 * 127 * cols, which
// 32 bits hold for every cols the layout allows (131072).
// Cost: 155-188 multiply-accumulates a ns from the cache of a Xeon (Sapphire Rapids): its two 512-bit pipes
//   are busy all the time.
// Scratch: none.
#include <immintrin.h>

#include "tmatvec_s8/tmatvec_s8.h"

#define VNNI __attribute__((target("avx512f,avx512bw,avx512vnni")))

VNNI EB_TMATVEC_S8_DECL(eb_tmatvec_s8__avx512vnni);

EB_INLINE VNNI __m512i e2r64_quad(const int8_t *x) {
    int32_t quad;
    memcpy(&quad, x, sizeof quad);
    return _mm512_set1_epi32(quad);
}

// 4 columns of the 64 rows at `bytes`, into four sums.
EB_INLINE VNNI void e2r64_step(__m512i s[4], const uint8_t *bytes, __m512i x) {
    const __m512i v = _mm512_loadu_si512(bytes);
    s[0] = _mm512_dpbusd_epi32(s[0], _mm512_and_si512(v, _mm512_set1_epi8(0x03)), x);
    s[1] = _mm512_dpbusd_epi32(s[1], _mm512_and_si512(v, _mm512_set1_epi8(0x0F)), x);
    s[2] = _mm512_dpbusd_epi32(s[2], _mm512_and_si512(v, _mm512_set1_epi8(0x3F)), x);
    s[3] = _mm512_dpbusd_epi32(s[3], v, x);
    _mm_prefetch((const char *)bytes + 4096, _MM_HINT_T0);
}

// The sum of all inputs, in every lane.
EB_INLINE VNNI __m512i e2r64_total(const int8_t *x, int64_t width) {
    __m512i sum = _mm512_setzero_si512();
    for (int64_t k = 0; k < width; k += 16) {
        const __m128i in = _mm_loadu_si128((const __m128i *)(const void *)(x + k));
        sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(1), _mm512_zextsi128_si512(in));
    }
    return _mm512_set1_epi32(_mm512_reduce_add_epi32(sum));
}

// 64 accumulators from the four sums of their block.
EB_INLINE VNNI void e2r64_store(int32_t *acc, const __m512i s[4], __m512i total) {
    const __m512i u1 = _mm512_srai_epi32(_mm512_sub_epi32(s[1], s[0]), 2);
    const __m512i u2 = _mm512_srai_epi32(_mm512_sub_epi32(s[2], s[1]), 4);
    const __m512i u3 = _mm512_srai_epi32(_mm512_sub_epi32(s[3], s[2]), 6);
    _mm512_storeu_si512(acc, _mm512_sub_epi32(s[0], total));
    _mm512_storeu_si512(acc + 16, _mm512_sub_epi32(u1, total));
    _mm512_storeu_si512(acc + 32, _mm512_sub_epi32(u2, total));
    _mm512_storeu_si512(acc + 48, _mm512_sub_epi32(u3, total));
}

VNNI EB_TMATVEC_S8_DECL(eb_tmatvec_s8__avx512vnni) {
    (void)scratch;
    const __m512i zero = _mm512_setzero_si512();
    const int64_t width = ((int64_t)cols + 15) & ~15;
    const __m512i total = e2r64_total(x, width); // bytes past cols included: their trits are 0 too
    for (int32_t r = 0; r < rows; r += 64) {
        __m512i a[4] = {zero, zero, zero, zero}; // even and odd vectors apart: the sums' latency is long
        __m512i b[4] = {zero, zero, zero, zero};
        for (int64_t k = 0; k < width; k += 16) {
            e2r64_step(a, w, e2r64_quad(x + k));
            e2r64_step(b, w + 64, e2r64_quad(x + k + 4));
            e2r64_step(a, w + 128, e2r64_quad(x + k + 8));
            e2r64_step(b, w + 192, e2r64_quad(x + k + 12));
            w += 256;
        }
        a[0] = _mm512_add_epi32(a[0], b[0]);
        a[1] = _mm512_add_epi32(a[1], b[1]);
        a[2] = _mm512_add_epi32(a[2], b[2]);
        a[3] = _mm512_add_epi32(a[3], b[3]);
        e2r64_store(acc + r, a, total);
    }
}

EB_KERNEL(tmatvec_s8, avx512vnni, e2r64);
