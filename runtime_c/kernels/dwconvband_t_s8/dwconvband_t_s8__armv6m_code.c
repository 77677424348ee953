// SPDX-License-Identifier: Apache-2.0
// Bands of a 3 x 3 depthwise convolution for Armv6-M where the weights are the program: layout "code6d" is a
// function,
//
//   void <name>_run(const int8_t *x, int8_t *y, const int8_t *clamp)
//
// generated for one layer (edgebit/layouts/thumb_narrow_depthwise.py), that does what every kernel of this
// family does for that layer's weights, entries and distances, in bands of up to three rows of which x holds
// column after column. clamp[v] is v clamped to int8, -4096 <= v < 4096 (epilogue/clamp.h). A layer calls
// its own function by name. There is no code in this file but for the kernel tester, which has such functions
// in memory and not by name.
//
// Fast because a weight of 0 costs nothing and others an instruction an output, every input is loaded once,
// and sums are requantised in the registers they were made in.
//
// Bounds: 32-bit sums.
// Cost (modelled cycles, Cortex-M0+): about 23 an output of full bands at stride 1, 33 at stride 2. Stack: 56
// bytes.
#include "dwconvband_t_s8/dwconvband_t_s8.h"
#include "epilogue/clamp.h"

#ifdef EB_CHECK
EB_DWCONVBAND_T_S8_DECL(eb_dwconvband_t_s8__armv6m_code);

EB_DWCONVBAND_T_S8_DECL(eb_dwconvband_t_s8__armv6m_code) {
    (void)entries;
    ((void (*)(const int8_t *, int8_t *, const int8_t *))((uintptr_t)w | 1))(job->x, job->y, eb_clamp());
}
#endif

EB_KERNEL(dwconvband_t_s8, armv6m_code, code6d);
