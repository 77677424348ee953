// SPDX-License-Identifier: Apache-2.0
// Ternary products with four int8 vectors for x86-64 with AVX-512 VNNI, five rows a byte: 1.6 bits a weight.
//
// The arithmetic and the layout are those of tmatvec_s8__avx512vnni_e16. Here each of a byte's six forms is
// used four times: 24 VPDPBUSDs and 10 byte additions for 1280 multiply-accumulates, with all 24 sums of 80
// rows in registers. Missing vectors of a last group repeat the one before, and their sums are dropped.
//
// Bounds: as there; everything is exact modulo 2^32, and |256 Ti| <= 256 * 128 * cols < 2^31 for every cols
// the layout allows (65535).
// Scratch: none.
#include <immintrin.h>

#include "tmatmat_s8/tmatmat_s8.h"

#define VNNI __attribute__((target("avx512f,avx512bw,avx512vnni")))

VNNI EB_TMATMAT_S8_DECL(eb_tmatmat_s8__avx512vnni_e16);

// The six sums of 80 rows with one vector.
typedef struct {
    __m512i s0, s1, s2, s3, s4, s5;
} e16r80_sums;

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

// 256 times the sum of a vector, in every lane; bytes past cols included: their trits are 0 too.
EB_INLINE VNNI __m512i e16r80_total(const int8_t *x, int64_t width) {
    __m512i sum = _mm512_setzero_si512();
    for (int64_t k = 0; k < width; k += 16) {
        const __m128i in = _mm_loadu_si128((const __m128i *)(const void *)(x + k));
        sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(1), _mm512_zextsi128_si512(in));
    }
    return _mm512_slli_epi32(_mm512_set1_epi32(_mm512_reduce_add_epi32(sum)), 8);
}

EB_INLINE VNNI __m512i e16r80_digit(__m512i s, __m512i next, __m512i total) {
    const __m512i thrice = _mm512_add_epi32(_mm512_add_epi32(s, s), s);
    return _mm512_srai_epi32(_mm512_sub_epi32(_mm512_sub_epi32(thrice, next), total), 8);
}

// 80 accumulators of one vector.
EB_INLINE VNNI void e16r80_store(int32_t *acc, const e16r80_sums *s, __m512i total) {
    _mm512_storeu_si512(acc, e16r80_digit(s->s0, s->s1, total));
    _mm512_storeu_si512(acc + 16, e16r80_digit(s->s1, s->s2, total));
    _mm512_storeu_si512(acc + 32, e16r80_digit(s->s2, s->s3, total));
    _mm512_storeu_si512(acc + 48, e16r80_digit(s->s3, s->s4, total));
    _mm512_storeu_si512(acc + 64, e16r80_digit(s->s4, s->s5, total));
}

// One form of the bytes, with all four vectors.
#define E16_FORM(field)                                                                                      \
    do {                                                                                                     \
        a.field = _mm512_dpbusd_epi32(a.field, v, in0);                                                      \
        b.field = _mm512_dpbusd_epi32(b.field, v, in1);                                                      \
        c.field = _mm512_dpbusd_epi32(c.field, v, in2);                                                      \
        d.field = _mm512_dpbusd_epi32(d.field, v, in3);                                                      \
    } while (0)

VNNI EB_TMATMAT_S8_DECL(eb_tmatmat_s8__avx512vnni_e16) {
    (void)scratch;
    const int64_t width = ((int64_t)cols + 15) & ~15;
    const int8_t *x1 = tokens > 1 ? x + x_step : x;
    const int8_t *x2 = tokens > 2 ? x1 + x_step : x1;
    const int8_t *x3 = tokens > 3 ? x2 + x_step : x2;
    const __m512i total0 = e16r80_total(x, width);
    const __m512i total1 = e16r80_total(x1, width);
    const __m512i total2 = e16r80_total(x2, width);
    const __m512i total3 = e16r80_total(x3, width);
    const __m512i zero = _mm512_setzero_si512();
    for (int32_t r = 0; r < rows; r += 80) {
        e16r80_sums a = {zero, zero, zero, zero, zero, zero};
        e16r80_sums b = a;
        e16r80_sums c = a;
        e16r80_sums d = a;
        for (int64_t k = 0; k < width; k += 4) {
            const __m512i in0 = e16r80_quad(x + k);
            const __m512i in1 = e16r80_quad(x1 + k);
            const __m512i in2 = e16r80_quad(x2 + k);
            const __m512i in3 = e16r80_quad(x3 + k);
            __m512i v = _mm512_loadu_si512(w);
            _mm_prefetch((const char *)w + 2048, _MM_HINT_T0);
            E16_FORM(s0);
            v = e16r80_triple(v);
            E16_FORM(s1);
            v = e16r80_triple(v);
            E16_FORM(s2);
            v = e16r80_triple(v);
            E16_FORM(s3);
            v = e16r80_triple(v);
            E16_FORM(s4);
            v = e16r80_triple(v);
            E16_FORM(s5);
            w += 64;
        }
        int32_t *out = acc + r;
        e16r80_store(out, &a, total0);
        if (tokens > 1) {
            out += acc_step;
            e16r80_store(out, &b, total1);
        }
        if (tokens > 2) {
            out += acc_step;
            e16r80_store(out, &c, total2);
        }
        if (tokens > 3) {
            e16r80_store(out + acc_step, &d, total3);
        }
    }
}

EB_KERNEL(tmatmat_s8, avx512vnni_e16, e16r80);
