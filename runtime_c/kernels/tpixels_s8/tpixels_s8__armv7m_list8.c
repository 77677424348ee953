// SPDX-License-Identifier: Apache-2.0
// Ternary products of packed pixels by plain lists of columns, for Armv7-M without the DSP extension
// (Cortex-M3): as tpixels_s8__armv7em_list8, whose formula, bounds and cost it shares; pixels are packed and
// requantised by other instructions.
#include "tpixels_s8/bytes_armv7m.h"

EB_TPIXELS_S8_DECL(eb_tpixels_s8__armv7m_list8);

EB_TPIXELS_S8_DECL(eb_tpixels_s8__armv7m_list8) {
    (void)cols, (void)scratch;
    bytes_product(w, x, acc, rows, stride, 0, NULL);
}

EB_KERNEL(tpixels_s8, armv7m_list8, list8p);
