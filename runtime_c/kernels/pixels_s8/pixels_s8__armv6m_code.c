// SPDX-License-Identifier: Apache-2.0
// int8 products of packed pixels for Armv6-M where the weights are the program: the function of layout
// "mul6s" that strips_s8__armv6m_code calls, for a strip of one kernel row whose windows lie side by side,
// `stride` words apart.
//
// There is no code in this file but for the kernel tester, which has such functions in memory and not by
// name.
//
// Bounds: a lane of 16 bits is emptied before the magnitudes of its weights exceed 255, see
// thumb_products.py. Stack: 52 bytes.
#include "pixels_s8/pixels_s8.h"

#ifdef EB_CHECK
EB_PIXELS_S8_DECL(eb_pixels_s8__armv6m_code);

EB_PIXELS_S8_DECL(eb_pixels_s8__armv6m_code) {
    (void)rows, (void)cols, (void)stride;
    ((void (*)(const uint32_t *const *, int32_t *, uint32_t, uint32_t))((uintptr_t)w | 1))(&x, acc, 0, 0);
}
#endif

EB_KERNEL(pixels_s8, armv6m_code, mul6s);
