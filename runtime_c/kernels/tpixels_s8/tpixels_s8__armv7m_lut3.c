// SPDX-License-Identifier: Apache-2.0
// Ternary products of packed pixels by lookup, for Armv7-M without the DSP extension (Cortex-M3): as
// tpixels_s8__armv7em_lut3, whose formula, bounds, scratch and cost it shares; pixels are packed and
// requantised by other instructions.
#include "tpixels_s8/bytes_armv7m.h"

EB_TPIXELS_S8_DECL(eb_tpixels_s8__armv7m_lut3);

EB_TPIXELS_S8_DECL(eb_tpixels_s8__armv7m_lut3) {
    (void)cols;
    bytes_product(w, x, acc, rows, stride, 1, scratch);
}

EB_KERNEL(tpixels_s8, armv7m_lut3, lut3b);
