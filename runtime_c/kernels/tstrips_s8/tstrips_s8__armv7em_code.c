// SPDX-License-Identifier: Apache-2.0
// Ternary products of strips for Armv7-M where the weights are the program: layout "code7s" is a function,
//
//   void <name>_run(const uint32_t *const *x, uint32_t *acc, uint32_t at, uint32_t skip)
//
// generated for one layer (edgebit/layouts/thumb_strips.py), that does what every kernel of this family does
// for that layer's weights and strip. A layer calls its own function by name. There is no code in this file
// but for the kernel tester, which has such functions in memory and not by name.
//
// Bounds: blocks of columns are cut so that sums fit int16, see tpixels_s8.h.
// Cost: that of tpixels_s8__armv7em_code, and 5 cycles for each pair of pixels, kernel row and 11 outputs.
// Stack: 48 bytes and 4 a kernel row.
#include "tstrips_s8/tstrips_s8.h"

#ifdef EB_CHECK
EB_TSTRIPS_S8_DECL(eb_tstrips_s8__armv7em_code);

EB_TSTRIPS_S8_DECL(eb_tstrips_s8__armv7em_code) {
    (void)strip;
    ((void (*)(const uint32_t *const *, uint32_t *, uint32_t, uint32_t))((uintptr_t)w | 1))(x, acc, at, skip);
}
#endif

EB_KERNEL(tstrips_s8, armv7em_code, code7s);
