// SPDX-License-Identifier: Apache-2.0
// Ternary products with a scale for each group of inputs, int8, for x86-64 with AVX-512 VNNI.
//
// The integer sums and the layout ("e2r64") are those of tmatvec_s8__avx512vnni: nested masks, 3 ANDs and 4
// VPDPBUSDs for 256 multiply-accumulates. After each group 64 rows of sums are recovered, converted, scaled
// and added.
//
// Bounds: as there, and see the family's header.
// Cost: as without scales on a Xeon (Sapphire Rapids), 640 x 2560 with groups of 128: 150
// multiply-accumulates a ns. Scratch: the inputs' sum of each group.
#include <immintrin.h>

#include "tgroups_s8/tgroups_s8.h"

#define VNNI __attribute__((target("avx512f,avx512bw,avx512vnni")))

VNNI EB_TGROUPS_S8_DECL(eb_tgroups_s8__avx512vnni);

// The four nested sums of 64 rows.
typedef struct {
    __m512i s0, s1, s2, s3;
} e2r64_sums;

// 4 columns of the 64 rows at `bytes`.
EB_INLINE VNNI void e2r64_step(e2r64_sums *s, const uint8_t *bytes, const int8_t *x) {
    int32_t quad;
    memcpy(&quad, x, sizeof quad);
    const __m512i in = _mm512_set1_epi32(quad);
    const __m512i v = _mm512_loadu_si512(bytes);
    s->s0 = _mm512_dpbusd_epi32(s->s0, _mm512_and_si512(v, _mm512_set1_epi8(0x03)), in);
    s->s1 = _mm512_dpbusd_epi32(s->s1, _mm512_and_si512(v, _mm512_set1_epi8(0x0F)), in);
    s->s2 = _mm512_dpbusd_epi32(s->s2, _mm512_and_si512(v, _mm512_set1_epi8(0x3F)), in);
    s->s3 = _mm512_dpbusd_epi32(s->s3, v, in);
    _mm_prefetch((const char *)bytes + 4096, _MM_HINT_T0);
}

EB_INLINE VNNI void e2r64_term(float *acc, __m512i sum, const float *scale, __m512 unit, int first) {
    const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_loadu_ps(scale));
    const __m512 term = _mm512_mul_ps(scaled, unit);
    _mm512_storeu_ps(acc, first ? term : _mm512_add_ps(_mm512_loadu_ps(acc), term));
}

// The sum of n inputs, n a multiple of 16; bytes past cols included: their trits are 0 too.
EB_INLINE VNNI int32_t e2r64_total(const int8_t *x, int64_t n) {
    __m512i sum = _mm512_setzero_si512();
    for (int64_t k = 0; k < n; k += 16) {
        const __m128i in = _mm_loadu_si128((const __m128i *)(const void *)(x + k));
        sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(1), _mm512_zextsi128_si512(in));
    }
    return _mm512_reduce_add_epi32(sum);
}

VNNI EB_TGROUPS_S8_DECL(eb_tgroups_s8__avx512vnni) {
    const int64_t width = ((int64_t)cols + 15) & ~15;
    const int32_t row_step = (rows + 63) & ~63;
    int32_t *totals = scratch;
    int32_t groups = 0;
    for (int64_t first = 0; first < width; first += group) {
        totals[groups++] = e2r64_total(x + first, width - first < group ? width - first : group);
    }
    for (int32_t r = 0; r < rows; r += 64) {
        const int8_t *at = x;
        const float *scale = scales + r;
        for (int32_t g = 0; g < groups; g++) {
            const int8_t *end = x + (g + 1 < groups ? (g + 1) * (int64_t)group : width);
            const __m512i zero = _mm512_setzero_si512();
            e2r64_sums a = {zero, zero, zero, zero}; // even and odd vectors apart: the sums' latency is long
            e2r64_sums b = a;
            for (; at < end; at += 16) {
                e2r64_step(&a, w, at);
                e2r64_step(&b, w + 64, at + 4);
                e2r64_step(&a, w + 128, at + 8);
                e2r64_step(&b, w + 192, at + 12);
                w += 256;
            }
            const __m512i s0 = _mm512_add_epi32(a.s0, b.s0);
            const __m512i s1 = _mm512_add_epi32(a.s1, b.s1);
            const __m512i s2 = _mm512_add_epi32(a.s2, b.s2);
            const __m512i s3 = _mm512_add_epi32(a.s3, b.s3);
            const __m512i total = _mm512_set1_epi32(totals[g]);
            const __m512 unit = _mm512_set1_ps(units > 1 ? d[g] : d[0]);
            const __m512i u1 = _mm512_srai_epi32(_mm512_sub_epi32(s1, s0), 2);
            const __m512i u2 = _mm512_srai_epi32(_mm512_sub_epi32(s2, s1), 4);
            const __m512i u3 = _mm512_srai_epi32(_mm512_sub_epi32(s3, s2), 6);
            float *out = acc + r;
            e2r64_term(out, _mm512_sub_epi32(s0, total), scale, unit, g == 0);
            e2r64_term(out + 16, _mm512_sub_epi32(u1, total), scale + 16, unit, g == 0);
            e2r64_term(out + 32, _mm512_sub_epi32(u2, total), scale + 32, unit, g == 0);
            e2r64_term(out + 48, _mm512_sub_epi32(u3, total), scale + 48, unit, g == 0);
            scale += row_step;
        }
    }
}

EB_KERNEL(tgroups_s8, avx512vnni, e2r64);
