// SPDX-License-Identifier: Apache-2.0
// Ternary products with a scale for each group of inputs, binary32, for x86-64 with AVX2: the steps of
// t2r8_avx2.h, and after each group the tree, a multiplication and an addition for eight rows.
//
// Bounds: any cols. Eight sums a row and group, as the family's header orders them, all in registers.
// Cost: 14 multiply-accumulates a ns on a Xeon (Sapphire Rapids), 640 x 2560 with groups of 128.
// Scratch: the family's 4 bytes a group are not used; then 16 bytes for each of cols rounded up to 16.
#include "tgroups_f32/tgroups_f32.h"
#include "tmatvec_f32/t2r8_avx2.h"

AVX2 EB_TGROUPS_F32_DECL(eb_tgroups_f32__avx2);

AVX2 EB_TGROUPS_F32_DECL(eb_tgroups_f32__avx2) {
    const int32_t width = (cols + T2R8_COLS - 1) & -T2R8_COLS;
    const int32_t groups = (cols + group - 1) / group;
    const int32_t row_step = (rows + T2R8_ROWS - 1) & -T2R8_ROWS;
    float *table = (float *)scratch + ((groups + 3) & ~3);
    t2r8_table(table, x, cols, width);
    for (int32_t r = 0; r < rows; r += T2R8_ROWS) {
        const float *at = table;
        const float *scale = scales + r;
        for (int32_t first = 0; first < width; first += group) {
            t2r8_lanes s = t2r8_zero();
            for (int32_t n = width - first < group ? width - first : group; n > 0; n -= T2R8_COLS) {
                t2r8_step(&s, w, at);
                w += 2 * T2R8_COLS;
                at += 4 * T2R8_COLS;
            }
            const __m256 term = _mm256_mul_ps(t2r8_sums(&s), _mm256_loadu_ps(scale));
            _mm256_storeu_ps(acc + r, first == 0 ? term : _mm256_add_ps(_mm256_loadu_ps(acc + r), term));
            scale += row_step;
        }
    }
}

EB_KERNEL(tgroups_f32, avx2, t2r8);
