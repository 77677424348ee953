// SPDX-License-Identifier: Apache-2.0
// The law for layers of int8 weights by lanes of pixels, in plain C: see dots_s8.h.
//
// Layout s16p2 (edgebit/layouts/s16p2.py): for rows r, r + 1 with r = 0, 2, 4... but at most rows - 2, blocks
// of max(17, words) * 2 words. The first word of both rows comes first, the others last.
#include "dots_s8/dots_s8.h"

EB_DOTS_S8_DECL(eb_dots_s8__ref);

EB_DOTS_S8_DECL(eb_dots_s8__ref) {
    const int32_t block = job->words > 17 ? job->words : 17;
    for (int32_t pair = 0; 2 * pair < job->rows; pair++, w += 2 * block) {
        const int32_t row = 2 * pair < job->rows - 2 ? 2 * pair : job->rows - 2;
        for (int32_t r = 0; r < 2; r++) {
            for (int32_t at = 0; at < EB_DOTS_LANES * job->pixels; at++) {
                const int32_t q = at % EB_DOTS_LANES;
                const int32_t u = at / EB_DOTS_LANES;
                int32_t sum = 0;
                for (int32_t k = 0; k < job->words; k++) {
                    const uint32_t weights = w[2 * (k == 0 ? 0 : block - job->words + k) + r];
                    const uint32_t inputs = job->x[u * job->step + EB_DOTS_LANES * k + q];
                    sum += (int16_t)(weights & 0xFFFF) * (int16_t)(inputs & 0xFFFF);
                    sum += (int16_t)(weights >> 16) * (int16_t)(inputs >> 16);
                }
                job->y[q * job->y_lane + u * job->y_pixel + row + r] =
                    eb_requant(sum, &job->requant, &entries[row + r]);
            }
        }
    }
}

EB_KERNEL(dots_s8, ref, s16p2);
