// SPDX-License-Identifier: Apache-2.0
// Rotary position embedding of one head: pairs (i, i + HEAD_DIM / 2) turned by a position's angles.
#include "decoder.h"

// table: HEAD_DIM / 2 cosines, then as many sines; made at export.
void EB_D(rotate)(const float *table, float *x) {
    enum { HALF = EB_D_HEAD_DIM / 2 };
    for (int32_t i = 0; i < HALF; i++) {
        const float a = x[i];
        const float b = x[i + HALF];
        x[i] = a * table[i] - b * table[i + HALF];
        x[i + HALF] = b * table[i] + a * table[i + HALF];
    }
}
