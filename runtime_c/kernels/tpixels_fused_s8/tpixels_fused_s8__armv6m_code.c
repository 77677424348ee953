// SPDX-License-Identifier: Apache-2.0
// Ternary products of packed pixels, requantised, for Armv6-M where the weights are the program: layout
// "code6q" is a function,
//
//   void <name>_run(const uint32_t *x, int8_t *y, const int8_t *end, const int8_t *clamp)
//
// generated for one layer (edgebit/layouts/thumb_narrow.py), that does what every kernel of this family does
// for that layer's weights and entries, for the pairs of pixels whose outputs lie from y up to `end`; x are
// the inputs of the first of them. clamp[v] is v clamped to int8, -4096 <= v < 4096 (epilogue/clamp.h). A
// layer calls its own function by name. There is no code in this file but for the kernel tester, which has
// such functions in memory and not by name.
//
// Fast because sums are requantised in the registers they were made in, and clamped by a load where it is
// proven that they reach no further than the table.
//
// Bounds: sums fit int16, see tpixels_s8.h.
// Cost (modelled cycles, Cortex-M0+): the sums of tpixels_s8__armv6m_code, and 21 to 24 for each row and pair
// of pixels, 5 more where a row's outputs may lie outside the table. Stack: 60 bytes.
#include "tpixels_fused_s8/tpixels_fused_s8.h"
#include "epilogue/clamp.h"

#ifdef EB_CHECK
EB_TPIXELS_FUSED_S8_DECL(eb_tpixels_fused_s8__armv6m_code);

EB_TPIXELS_FUSED_S8_DECL(eb_tpixels_fused_s8__armv6m_code) {
    (void)entries, (void)cols, (void)stride;
    ((void (*)(const uint32_t *, int8_t *, const int8_t *, const int8_t *))((uintptr_t)w | 1))(
        x, y, y + 2 * pairs * rows, eb_clamp());
}
#endif

EB_KERNEL(tpixels_fused_s8, armv6m_code, code6q);
