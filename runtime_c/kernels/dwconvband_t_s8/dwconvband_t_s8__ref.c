// SPDX-License-Identifier: Apache-2.0
// The law for bands of a 3 x 3 depthwise convolution from a copy of its inputs. Layout "t2": rows of 2-bit
// codes trit + 1, a row a tap.
#include "dwconvband_t_s8/dwconvband_t_s8.h"

EB_DWCONVBAND_T_S8_DECL(eb_dwconvband_t_s8__ref);

EB_DWCONVBAND_T_S8_DECL(eb_dwconvband_t_s8__ref) {
    const eb_requant_params all = {.half = 0, .pre_shift = 0, .qmin = -128, .qmax = 127};
    const uint8_t *codes = w;
    for (int32_t at = 0; at < job->rows * job->outs; at++) {
        const int32_t i = at / job->outs;
        const int32_t u = at % job->outs;
        for (int32_t c = 0; c < job->channels; c++) {
            int32_t sum = 0;
            for (int32_t tap = 0; tap < 9; tap++) {
                const int32_t row = job->stride * i + tap / 3;
                const int32_t column = job->stride * u + tap % 3 - job->lead;
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
