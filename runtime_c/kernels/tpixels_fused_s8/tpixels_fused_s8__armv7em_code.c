// SPDX-License-Identifier: Apache-2.0
// Ternary products of packed pixels, requantised, for cores with the DSP extension where the weights are the
// program: layout "code7q" is a function,
//
//   void <name>_run(const uint32_t *x, int8_t *y, const int8_t *end)
//
// generated for one layer (edgebit/layouts/thumb_fused.py), that does what every kernel of this family does
// for that layer's weights and entries, for the pairs of pixels whose outputs lie from y up to `end`; x are
// the inputs of the first of them. A layer calls its own function by name. There is no code in this file but
// for the kernel tester, which has such functions in memory and not by name.
//
// Bounds: sums fit int16, see tpixels_s8.h.
// Cost (modelled cycles, Cortex-M4): the sums of tpixels_s8__armv7em_code, and 8 for each row and pair of
// pixels, up to 11 for rows with more than 127 nonzero trits. Stack: 56 bytes.
#include "tpixels_fused_s8/tpixels_fused_s8.h"

#ifdef EB_CHECK
EB_TPIXELS_FUSED_S8_DECL(eb_tpixels_fused_s8__armv7em_code);

EB_TPIXELS_FUSED_S8_DECL(eb_tpixels_fused_s8__armv7em_code) {
    (void)entries, (void)cols, (void)stride;
    ((void (*)(const uint32_t *, int8_t *, const int8_t *))((uintptr_t)w | 1))(x, y, y + 2 * pairs * rows);
}
#endif

EB_KERNEL(tpixels_fused_s8, armv7em_code, code7q);
