// SPDX-License-Identifier: Apache-2.0
// Copies for conv2d.h on cores with Helium: 16 bytes at a time, the last of them by tail predication.
#ifndef EDGEBIT_CONV2D_COPY_MVE_H
#define EDGEBIT_CONV2D_COPY_MVE_H

#include "edgebit/eb_types.h"

EB_INLINE void eb_conv2d_copy(int8_t *to, const int8_t *from, int32_t n) {
    __asm__ volatile("wlstp.8 lr, %[n], 2f\n"
                     "1:\n"
                     "vldrb.u8 q0, [%[from]], #16\n"
                     "vstrb.8 q0, [%[to]], #16\n"
                     "letp lr, 1b\n"
                     "2:\n"
                     : [to] "+r"(to), [from] "+r"(from)
                     : [n] "r"(n)
                     : "q0", "lr", "cc", "memory");
}

EB_INLINE void eb_conv2d_fill(int8_t *to, int32_t value, int32_t n) {
    __asm__ volatile("vdup.8 q0, %[value]\n"
                     "wlstp.8 lr, %[n], 2f\n"
                     "1:\n"
                     "vstrb.8 q0, [%[to]], #16\n"
                     "letp lr, 1b\n"
                     "2:\n"
                     : [to] "+r"(to)
                     : [n] "r"(n), [value] "r"(value)
                     : "q0", "lr", "cc", "memory");
}

// Whether a window with its top left corner at (iy, ix) lies in the image whole: then it is copied without a
// look at each row.
#define EB_CONV2D_INSIDE(p, iy, ix)                                                                          \
    ((iy) >= 0 && (iy) + ((p)->kh - 1) * (p)->dilation_h < (p)->h && (ix) >= 0 && (ix) + (p)->kw <= (p)->w)

#endif
