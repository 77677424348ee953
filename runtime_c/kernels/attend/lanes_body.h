// SPDX-License-Identifier: Apache-2.0
// The attend families for vector units, included once by each variant, which defines
//   ATTEND_NAME    the function
//   ATTEND_TYPE    what is stored
//   ATTEND_LOAD    (pointer, v): eight stored numbers as an eb_f32x8
//   ATTEND_UNITS   1 where ku and vu count
//   ATTEND_TARGET  attributes of the functions
//
// Keys: four positions and up to two queries at a time, so that eight sums are under way and each loaded key
// serves two queries; the four sums of a query are then added across lanes together. Values: 32 elements of
// up to two queries are kept in registers over all positions.
#include "attend/attend.h"

#if ATTEND_UNITS
#define ATTEND_UNIT(x, unit) ((x) * (unit))
#else
#define ATTEND_UNIT(x, unit) (x)
#endif

ATTEND_TARGET EB_ATTEND_DECL(ATTEND_NAME);

// Sums of four vectors over their lanes, by the fixed tree.
EB_INLINE ATTEND_TARGET void attend_sum4(const eb_f32x8 *s, eb_f32x4 *y) {
    eb_f32x4 b[4];
    for (int i = 0; i < 4; i++) {
        b[i] =
            __builtin_shufflevector(s[i], s[i], 0, 1, 2, 3) + __builtin_shufflevector(s[i], s[i], 4, 5, 6, 7);
    }
    // b[i] has lanes 0..3 of sum i; first lanes 0 + 2 and 1 + 3, then those two.
    const eb_f32x4 low =
        __builtin_shufflevector(b[0], b[1], 0, 1, 4, 5) + __builtin_shufflevector(b[0], b[1], 2, 3, 6, 7);
    const eb_f32x4 high =
        __builtin_shufflevector(b[2], b[3], 0, 1, 4, 5) + __builtin_shufflevector(b[2], b[3], 2, 3, 6, 7);
    *y = __builtin_shufflevector(low, high, 0, 2, 4, 6) + __builtin_shufflevector(low, high, 1, 3, 5, 7);
}

// Dots of `two` + 1 queries with four positions, from row `key` on; into scores, a query's
// EB_ATTEND_POSITIONS apart.
EB_INLINE ATTEND_TARGET void attend_dots4(const float *q, const ATTEND_TYPE *key, int32_t size, int two,
                                          float *scores) {
    eb_f32x8 a[4] = {{0.0f}, {0.0f}, {0.0f}, {0.0f}};
    eb_f32x8 b[4] = {{0.0f}, {0.0f}, {0.0f}, {0.0f}};
    const ATTEND_TYPE *key1 = key + size;
    const ATTEND_TYPE *key2 = key1 + size;
    const ATTEND_TYPE *key3 = key2 + size;
    for (int32_t i = 0; i < size; i += 8) {
        eb_f32x8 k0, k1, k2, k3;
        ATTEND_LOAD(key + i, k0);
        ATTEND_LOAD(key1 + i, k1);
        ATTEND_LOAD(key2 + i, k2);
        ATTEND_LOAD(key3 + i, k3);
        const eb_f32x8 x = *(const eb_f32x8 *)(q + i);
        a[0] = a[0] + x * k0;
        a[1] = a[1] + x * k1;
        a[2] = a[2] + x * k2;
        a[3] = a[3] + x * k3;
        if (two) {
            const eb_f32x8 z = *(const eb_f32x8 *)(q + size + i);
            b[0] = b[0] + z * k0;
            b[1] = b[1] + z * k1;
            b[2] = b[2] + z * k2;
            b[3] = b[3] + z * k3;
        }
    }
    attend_sum4(a, (eb_f32x4 *)scores);
    if (two) {
        attend_sum4(b, (eb_f32x4 *)(scores + EB_ATTEND_POSITIONS));
    }
}

EB_INLINE ATTEND_TARGET float attend_dot(const float *q, const ATTEND_TYPE *key, int32_t size) {
    eb_f32x8 a = {0.0f};
    for (int32_t i = 0; i < size; i += 8) {
        eb_f32x8 k0;
        ATTEND_LOAD(key + i, k0);
        a = a + *(const eb_f32x8 *)(q + i) * k0;
    }
    return eb_sum8(&a);
}

// Scores to weights; m and l of one query.
EB_INLINE ATTEND_TARGET void attend_softmax(const eb_attend_params *p, const float *ku, float *scores,
                                            float *ml) {
    (void)ku;
    float m = -EB_INFINITY;
    for (int32_t t = 0; t < p->count; t++) {
        const float s = ATTEND_UNIT(scores[t], ku[t]) * p->scale;
        scores[t] = s;
        m = s > m ? s : m;
    }
    eb_f32x8 sum = {0.0f};
    int32_t t = 0;
    for (; t + 8 <= p->count; t += 8) {
        eb_f32x8 e = *(const eb_f32x8 *)(scores + t) - m;
        eb_exp8(&e);
        *(eb_f32x8 *)(scores + t) = e;
        sum = sum + e;
    }
    for (; t < p->count; t++) {
        scores[t] = eb_exp_f32(scores[t] - m);
        sum[t & 7] += scores[t];
    }
    ml[0] = m;
    ml[1] = eb_sum8(&sum);
}

// 8 * n elements of one or two queries, n 1 or 4; both are literals.
EB_INLINE ATTEND_TARGET void attend_mix(const eb_attend_params *p, const ATTEND_TYPE *value, const float *vu,
                                        const float *scores, float *o, int n, int two) {
    (void)vu;
    eb_f32x8 a[4] = {{0.0f}, {0.0f}, {0.0f}, {0.0f}};
    eb_f32x8 b[4] = {{0.0f}, {0.0f}, {0.0f}, {0.0f}};
    for (int32_t t = 0; t < p->count; t++) {
        const float c = ATTEND_UNIT(scores[t], vu[t]);
        const float d = two ? ATTEND_UNIT(scores[EB_ATTEND_POSITIONS + t], vu[t]) : 0.0f;
        for (int j = 0; j < n; j++) {
            eb_f32x8 x;
            ATTEND_LOAD(value + 8 * j, x);
            a[j] = a[j] + x * c;
            if (two) {
                b[j] = b[j] + x * d;
            }
        }
        value += p->size;
    }
    for (int j = 0; j < n; j++) {
        *(eb_f32x8 *)(o + 8 * j) = a[j];
        if (two) {
            *(eb_f32x8 *)(o + p->size + 8 * j) = b[j];
        }
    }
}

// One query, or two.
EB_INLINE ATTEND_TARGET void attend_queries(const eb_attend_params *p, const float *q, const ATTEND_TYPE *k,
                                            const ATTEND_TYPE *v, const float *ku, const float *vu, float *ml,
                                            float *o, float *scores, int two) {
    int32_t t = 0;
    for (; t + 4 <= p->count; t += 4) {
        attend_dots4(q, k + (ptrdiff_t)t * p->size, p->size, two, scores + t);
    }
    for (; t < p->count; t++) {
        scores[t] = attend_dot(q, k + (ptrdiff_t)t * p->size, p->size);
        if (two) {
            scores[EB_ATTEND_POSITIONS + t] = attend_dot(q + p->size, k + (ptrdiff_t)t * p->size, p->size);
        }
    }
    attend_softmax(p, ku, scores, ml);
    if (two) {
        attend_softmax(p, ku, scores + EB_ATTEND_POSITIONS, ml + 2);
    }
    int32_t i = 0;
    for (; i + 32 <= p->size; i += 32) {
        attend_mix(p, v + i, vu, scores, o + i, 4, two);
    }
    for (; i < p->size; i += 8) {
        attend_mix(p, v + i, vu, scores, o + i, 1, two);
    }
}

ATTEND_TARGET EB_ATTEND_DECL(ATTEND_NAME) {
    int32_t a = 0;
    for (; a + 2 <= p->queries; a += 2) {
        attend_queries(p, q, k, v, ku, vu, ml, o, scores, 1);
        q += 2 * p->size;
        o += 2 * p->size;
        ml += 4;
    }
    if (a < p->queries) {
        attend_queries(p, q, k, v, ku, vu, ml, o, scores, 0);
    }
}
