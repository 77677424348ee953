// SPDX-License-Identifier: Apache-2.0
// The law for bands of a 3 x 3 depthwise convolution from a copy of its inputs. Layout "t2": rows of 2-bit
// codes trit + 1, a row a tap.
#include "dwconvband_t_s8/dwconvband_t_s8.h"

EB_DWCONVBAND_T_S8_DECL(eb_dwconvband_t_s8__ref);

EB_DWCONVBAND_T_S8_DECL(eb_dwconvband_t_s8__ref) {
    const eb_requant_params all = {.half = 0, .pre_shift = 0, .qmin = -128, .qmax = 127};
    const uint8_t *codes = w;
    for (int32_t i = 0, u = 0; i < job->rows; u = u + 1 < job->outs ? u + 1 : 0, i += u == 0) {
        for (int32_t c = 0; c < job->channels; c++) {
            int32_t sum = 0;
            for (int32_t tap = 0; tap < 9; tap++) {
                const int32_t ky = tap < 3 ? 0 : tap < 6 ? 1 : 2;
                const int32_t row = job->stride * i + ky;
                const int32_t column = job->stride * u + tap - 3 * ky - job->lead;
                const uint8_t *code = codes + tap * ((job->channels + 3) >> 2) + (c >> 2);
                const int32_t in =
                    column < 0 ? job->padding : job->x[row * job->x_row + column * job->x_col + c];
                sum += (((*code >> ((c & 3) * 2)) & 3) - 1) * in;
            }
            job->y[i * job->y_row + u * job->y_col + c] = eb_requant(sum, &all, &entries[c]);
        }
    }
}

EB_KERNEL(dwconvband_t_s8, ref, t2);
