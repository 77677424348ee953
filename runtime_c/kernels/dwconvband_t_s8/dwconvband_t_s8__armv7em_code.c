// SPDX-License-Identifier: Apache-2.0
// Bands of a 3 x 3 depthwise convolution for cores with the DSP extension where the weights are the program:
// layout "code7d" is a function,
//
//   void <name>_run(const int8_t *x, int8_t *y)
//
// generated for one layer (edgebit/layouts/thumb_depthwise.py), that does what every kernel of this family
// does for that layer's weights, entries and distances. A layer calls its own function by name. There is no
// code in this file but for the kernel tester, which has such functions in memory and not by name.
//
// Fast because a weight of 0 costs nothing and others half an instruction an output, every input is loaded
// once, and sums are requantised in the registers they were made in.
//
// Bounds: |sum| <= 9 * 128 < 2^15, two in a register.
// Cost (modelled cycles, Cortex-M4): about 9 an output at stride 1, 13 at stride 2. Stack: 36 bytes.
#include "dwconvband_t_s8/dwconvband_t_s8.h"

#ifdef EB_CHECK
EB_DWCONVBAND_T_S8_DECL(eb_dwconvband_t_s8__armv7em_code);

EB_DWCONVBAND_T_S8_DECL(eb_dwconvband_t_s8__armv7em_code) {
    (void)entries;
    ((void (*)(const int8_t *, int8_t *))((uintptr_t)w | 1))(job->x, job->y);
}
#endif

EB_KERNEL(dwconvband_t_s8, armv7em_code, code7d);
