// SPDX-License-Identifier: Apache-2.0
// Four-bit rows times a vector for x86-64 with AVX-512 VNNI: two groups a vector, four rows at a time.
//
// 32 bytes are loaded into both halves and masked, below by 0x0F and above by 0xF0: 64 numbers u in the order
// of x, those above times 16. Two VPDPBUSDs give the sums of four with the high and the low bytes of x, 16
// lanes of them.
#include <immintrin.h>

#include "rowdots_s4/rowdots_s4.h"

#define VNNI __attribute__((target("avx512f,avx512bw,avx512vnni")))

VNNI EB_ROWDOTS_S4_DECL(eb_rowdots_s4__avx512vnni);

// 64 columns of x.
typedef struct {
    __m512i high, low, less;
} s4_input;

// v in the upper eight lanes, `rest` below.
EB_INLINE VNNI __m512i s4_upper(__m512i rest, int32_t v) {
    return _mm512_inserti64x4(rest, _mm256_set1_epi32(v), 1);
}

// The sums of four products of 64 columns: u high, then 256 of those and u low + less. The upper eight lanes
// are 16 times what they stand for (at most 2^24 still): their u stays where it is in the byte.
EB_INLINE VNNI __m512 s4_sums(const uint8_t *bytes, const s4_input *in) {
    const __m512i both = _mm512_broadcast_i64x4(_mm256_loadu_si256((const void *)bytes));
    const __m512i u = _mm512_and_si512(both, s4_upper(_mm512_set1_epi8(15), -0x0f0f0f10));
    const __m512i high = _mm512_dpbusd_epi32(_mm512_setzero_si512(), u, in->high);
    const __m512i low = _mm512_dpbusd_epi32(in->less, u, in->low);
    return _mm512_cvtepi32_ps(_mm512_add_epi32(low, _mm512_slli_epi32(high, 8)));
}

// 16 codes as binary32, those of odd groups divided by the 16 above, which is exact; those past a row's
// groups are zeros or are not used.
EB_INLINE VNNI __m512 s4_codes(const uint8_t *code) {
    const __m512 share = _mm512_castsi512_ps(_mm512_set1_epi64(0x3d8000003f800000)); // 1, 1/16, 1, 1/16 ...
    const __m512i wide = _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)code));
    return _mm512_mul_ps(_mm512_cvtepi32_ps(wide), share);
}

EB_INLINE VNNI __m512 s4_step(__m512 sum, const uint8_t *bytes, const s4_input *in, __m512 codes,
                              __m512i which) {
    const __m512 scale = _mm512_permutexvar_ps(which, codes);
    return _mm512_add_ps(sum, _mm512_mul_ps(s4_sums(bytes, in), scale));
}

EB_INLINE VNNI float s4_total(__m512 v) {
    float lanes[16];
    _mm512_storeu_ps(lanes, v);
    return eb_sum16((const eb_f32x16 *)(const void *)lanes);
}

// n rows, 1 or 4, a literal.
EB_INLINE VNNI void s4_rows(const uint8_t *w, const eb_s4_vector *x, float *y, int32_t cols, int n) {
    const size_t step = (size_t)EB_S4_ROW_BYTES(cols);
    const int32_t pairs = cols / (2 * EB_S4_GROUP);
    const __m512i times = s4_upper(_mm512_setzero_si512(), 4);
    __m512 sum[4], codes[4];
    for (int i = 0; i < n; i++) {
        sum[i] = _mm512_setzero_ps();
    }
    for (int32_t start = 0; start < pairs; start += 8) {
        const int32_t end = pairs - start < 8 ? pairs : start + 8;
        __m512i which = s4_upper(_mm512_setzero_si512(), 1);
        for (int i = 0; i < n; i++) {
            codes[i] = s4_codes(w + (size_t)i * step + cols / 2 + 2 * start);
        }
        for (int32_t p = start; p < end; p++) {
            const s4_input in = {_mm512_loadu_si512(x->high + 64 * p), _mm512_loadu_si512(x->low + 64 * p),
                                 _mm512_sllv_epi32(_mm512_loadu_si512(x->less + 16 * p), times)};
            for (int i = 0; i < n; i++) {
                _mm_prefetch((const char *)(w + (size_t)(i + 4) * step + 32 * p), _MM_HINT_T0);
                sum[i] = s4_step(sum[i], w + (size_t)i * step + 32 * p, &in, codes[i], which);
            }
            which = _mm512_add_epi32(which, _mm512_set1_epi32(2));
        }
    }
    for (int i = 0; i < n; i++) {
        y[i] = s4_total(sum[i]);
    }
}

VNNI EB_ROWDOTS_S4_DECL(eb_rowdots_s4__avx512vnni) {
    const size_t step = (size_t)EB_S4_ROW_BYTES(cols);
    int32_t r = 0;
    for (; r + 4 <= rows; r += 4) {
        s4_rows(w, x, y + r, cols, 4);
        w += 4 * step;
    }
    for (; r < rows; r++) {
        s4_rows(w, x, y + r, cols, 1);
        w += step;
    }
}

EB_KERNEL(rowdots_s4, avx512vnni, none);
