// SPDX-License-Identifier: Apache-2.0
// Attention over int8 keys and values for Armv6-M, which has no floating point: attend.h states the formulas.
// A lane's sum stays in registers from its first product to its last, and so does each output, which adds up
// over all positions before the next one starts. Queries or weights that rowdots/soft_s8.h does not take
// (neither 0 nor of a magnitude in 2^-63 .. 2^63) go the reference's way. size <= 2^19. No scratch but the
// scores.
#include "attend/attend.h"
#include "rowdots/soft_s8.h"

EB_ATTEND_DECL(eb_attend_s8__armv6m);

static int all_fine(const float *x, int32_t n) {
    int fine = 1;
    for (int32_t i = 0; i < n; i++) {
        fine &= eb_soft_fine(eb_bits_of_f32(x[i]));
    }
    return fine;
}

static float score(const float *q, const int8_t *key, int32_t size, int fine) {
    eb_f32x8 lanes = {0.0f};
    if (fine) {
        for (int32_t j = 0; j < 8; j++) {
            lanes[j] = eb_soft_dot(q + j, key + j, size / 8, 8, 8);
        }
    } else {
        for (int32_t i = 0; i < size; i++) {
            lanes[i & 7] += q[i] * (float)key[i];
        }
    }
    return eb_sum8(&lanes);
}

EB_ATTEND_DECL(eb_attend_s8__armv6m) {
    for (int32_t a = 0; a < p->queries; a++) {
        const int8_t *key = k;
        const int8_t *value = v;
        const int fine = all_fine(q, p->size);
        float m = -EB_INFINITY;
        for (int32_t t = 0; t < p->count; t++) {
            const float s = score(q, key, p->size, fine) * ku[t] * p->scale;
            scores[t] = s;
            m = s > m ? s : m;
            key += p->size;
        }
        eb_f32x8 sum = {0.0f};
        for (int32_t t = 0; t < p->count; t++) {
            const float e = eb_exp_f32(scores[t] - m);
            sum[t & 7] += e;
            scores[t] = e * vu[t];
        }
        ml[0] = m;
        ml[1] = eb_sum8(&sum);
        if (all_fine(scores, p->count)) {
            for (int32_t i = 0; i < p->size; i++) {
                o[i] = eb_soft_dot(scores, value + i, p->count, 1, p->size);
            }
        } else {
            for (int32_t i = 0; i < p->size; i++) {
                o[i] = 0.0f;
            }
            for (int32_t t = 0; t < p->count; t++) {
                for (int32_t i = 0; i < p->size; i++) {
                    o[i] += scores[t] * (float)value[i];
                }
                value += p->size;
            }
        }
        q += p->size;
        o += p->size;
        ml += 2;
    }
}

EB_KERNEL(attend_s8, armv6m, none);
