// SPDX-License-Identifier: Apache-2.0
// Ternary x int8 products for x86-64 with AVX-512 VNNI, five rows a byte: 1.6 bits a weight.
//
// A byte (layout "e16r80") is a fraction u of five rows' digits d = trit + 1: 3 u = 256 d + u', where d is
// the first digit and u' = 3 u mod 256 the byte of the others. So with S0 = sum(u x), S1 = sum(u' x) ... S5,
// the row sums are exactly Ti = (3 Si - Si+1) / 256 - sum(x): 6 VPDPBUSDs and 10 byte additions for 320
// multiply-accumulates. It is for layers that do not stay in the cache: there bytes are what costs.
//
// Bounds: everything is exact modulo 2^32; sum(x) is taken off before the shift, and |256 Ti| <=
// 256 * 128 * cols < 2^31 for every cols the layout allows (65535).
// Cost: 88-110 multiply-accumulates a ns from the cache of a Xeon (Sapphire Rapids).
// Scratch: none.
#include <immintrin.h>

#include "tmatvec_s8/tmatvec_s8.h"

#define VNNI __attribute__((target("avx512f,avx512bw,avx512vnni")))

VNNI EB_TMATVEC_S8_DECL(eb_tmatvec_s8__avx512vnni_e16);

EB_INLINE VNNI __m512i e16r80_quad(const int8_t *x) {
    int32_t quad;
    memcpy(&quad, x, sizeof quad);
    return _mm512_set1_epi32(quad);
}

// 3 v modulo 256 by additions; the compiler has no byte multiplication and would widen.
EB_INLINE VNNI __m512i e16r80_triple(__m512i v) {
    __m512i twice = _mm512_add_epi8(v, v);
    __asm__("" : "+v"(twice));
    return _mm512_add_epi8(twice, v);
}

// 8 columns of the 80 rows at `bytes`, into twice six sums.
EB_INLINE VNNI void e16r80_step(__m512i a[6], __m512i b[6], const uint8_t *bytes, const int8_t *x) {
    const __m512i x0 = e16r80_quad(x);
    const __m512i x1 = e16r80_quad(x + 4);
    __m512i v = _mm512_loadu_si512(bytes);
    __m512i u = _mm512_loadu_si512(bytes + 64);
    _mm_prefetch((const char *)bytes + 4096, _MM_HINT_T0);
    _mm_prefetch((const char *)bytes + 4160, _MM_HINT_T0);
    a[0] = _mm512_dpbusd_epi32(a[0], v, x0);
    b[0] = _mm512_dpbusd_epi32(b[0], u, x1);
    v = e16r80_triple(v);
    u = e16r80_triple(u);
    a[1] = _mm512_dpbusd_epi32(a[1], v, x0);
    b[1] = _mm512_dpbusd_epi32(b[1], u, x1);
    v = e16r80_triple(v);
    u = e16r80_triple(u);
    a[2] = _mm512_dpbusd_epi32(a[2], v, x0);
    b[2] = _mm512_dpbusd_epi32(b[2], u, x1);
    v = e16r80_triple(v);
    u = e16r80_triple(u);
    a[3] = _mm512_dpbusd_epi32(a[3], v, x0);
    b[3] = _mm512_dpbusd_epi32(b[3], u, x1);
    v = e16r80_triple(v);
    u = e16r80_triple(u);
    a[4] = _mm512_dpbusd_epi32(a[4], v, x0);
    b[4] = _mm512_dpbusd_epi32(b[4], u, x1);
    v = e16r80_triple(v);
    u = e16r80_triple(u);
    a[5] = _mm512_dpbusd_epi32(a[5], v, x0);
    b[5] = _mm512_dpbusd_epi32(b[5], u, x1);
}

// 256 times the sum of all inputs, in every lane.
EB_INLINE VNNI __m512i e16r80_total(const int8_t *x, int64_t width) {
    __m512i sum = _mm512_setzero_si512();
    for (int64_t k = 0; k < width; k += 16) {
        const __m128i in = _mm_loadu_si128((const __m128i *)(const void *)(x + k));
        sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(1), _mm512_zextsi128_si512(in));
    }
    return _mm512_slli_epi32(_mm512_set1_epi32(_mm512_reduce_add_epi32(sum)), 8);
}

EB_INLINE VNNI void e16r80_store(int32_t *acc, __m512i s, __m512i next, __m512i total) {
    const __m512i thrice = _mm512_add_epi32(_mm512_add_epi32(s, s), s);
    _mm512_storeu_si512(acc, _mm512_srai_epi32(_mm512_sub_epi32(_mm512_sub_epi32(thrice, next), total), 8));
}

VNNI EB_TMATVEC_S8_DECL(eb_tmatvec_s8__avx512vnni_e16) {
    (void)scratch;
    const __m512i zero = _mm512_setzero_si512();
    const int64_t width = ((int64_t)cols + 15) & ~15;
    const __m512i total = e16r80_total(x, width); // bytes past cols included: their trits are 0 too
    for (int32_t r = 0; r < rows; r += 80) {
        __m512i a[6] = {zero, zero, zero, zero, zero, zero};
        __m512i b[6] = {zero, zero, zero, zero, zero, zero};
        for (int64_t k = 0; k < width; k += 16) {
            e16r80_step(a, b, w, x + k);
            e16r80_step(a, b, w + 128, x + k + 8);
            w += 256;
        }
        a[0] = _mm512_add_epi32(a[0], b[0]);
        a[1] = _mm512_add_epi32(a[1], b[1]);
        a[2] = _mm512_add_epi32(a[2], b[2]);
        a[3] = _mm512_add_epi32(a[3], b[3]);
        a[4] = _mm512_add_epi32(a[4], b[4]);
        a[5] = _mm512_add_epi32(a[5], b[5]);
        e16r80_store(acc + r + 0, a[0], a[1], total);
        e16r80_store(acc + r + 16, a[1], a[2], total);
        e16r80_store(acc + r + 32, a[2], a[3], total);
        e16r80_store(acc + r + 48, a[3], a[4], total);
        e16r80_store(acc + r + 64, a[4], a[5], total);
    }
}

EB_KERNEL(tmatvec_s8, avx512vnni_e16, e16r80);
