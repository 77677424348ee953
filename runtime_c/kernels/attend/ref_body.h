// SPDX-License-Identifier: Apache-2.0
// The law of the attend families, included once by each of their references, which define
//   ATTEND_NAME   the function
//   ATTEND_TYPE   what is stored
//   ATTEND_VALUE  a stored number as binary32
//   ATTEND_UNITS  1 where ku and vu count
#include "attend/attend.h"

EB_ATTEND_DECL(ATTEND_NAME);

EB_ATTEND_DECL(ATTEND_NAME) {
    (void)ku;
    (void)vu;
    for (int32_t a = 0; a < p->queries; a++) {
        const ATTEND_TYPE *key = k;
        float m = -EB_INFINITY;
        for (int32_t t = 0; t < p->count; t++) {
            eb_f32x8 lanes = {0.0f};
            for (int32_t i = 0; i < p->size; i++) {
                lanes[i & 7] += q[i] * ATTEND_VALUE(key[i]);
            }
            float s = eb_sum8(&lanes);
            if (ATTEND_UNITS) {
                s = s * ku[t];
            }
            s = s * p->scale;
            scores[t] = s;
            m = s > m ? s : m;
            key += p->size;
        }
        eb_f32x8 sum = {0.0f};
        for (int32_t t = 0; t < p->count; t++) {
            scores[t] = eb_exp_f32(scores[t] - m);
            sum[t & 7] += scores[t];
        }
        ml[0] = m;
        ml[1] = eb_sum8(&sum);
        for (int32_t i = 0; i < p->size; i++) {
            o[i] = 0.0f;
        }
        const ATTEND_TYPE *value = v;
        for (int32_t t = 0; t < p->count; t++) {
            const float c = ATTEND_UNITS ? scores[t] * vu[t] : scores[t];
            for (int32_t i = 0; i < p->size; i++) {
                o[i] += c * ATTEND_VALUE(value[i]);
            }
            value += p->size;
        }
        q += p->size;
        o += p->size;
        ml += 2;
    }
}
