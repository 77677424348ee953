// SPDX-License-Identifier: Apache-2.0
// Ternary products of packed pixels for Armv7-M without the DSP extension (Cortex-M3), where the weights are
// the program: layout "code7m" is a function,
//
//   void <name>_run(const uint32_t *x, uint32_t *acc, uint32_t skip)
//
// generated for one layer (edgebit/layouts/thumb.py), that does what every kernel of this family does for
// that layer's rows, columns and stride. A layer calls its own function by name. There is no code in this
// file but for the kernel tester, which has such functions in memory and not by name.
//
// Bounds: blocks of columns are cut so that sums fit int16, see tpixels_s8.h.
// Scratch: none. Stack: 52 bytes.
#include "tpixels_s8/tpixels_s8.h"

#ifdef EB_CHECK
EB_TPIXELS_S8_DECL(eb_tpixels_s8__armv7m_code);

EB_TPIXELS_S8_DECL(eb_tpixels_s8__armv7m_code) {
    (void)rows, (void)cols, (void)stride, (void)scratch;
    ((void (*)(const uint32_t *, uint32_t *, uint32_t))((uintptr_t)w | 1))(x, acc, 0);
}
#endif

EB_KERNEL(tpixels_s8, armv7m_code, code7m);
