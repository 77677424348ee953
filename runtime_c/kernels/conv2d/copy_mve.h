// SPDX-License-Identifier: Apache-2.0
// Copies for conv2d.h on cores with Helium: 16 bytes at a time, the last of them by tail predication.
#ifndef EDGEBIT_CONV2D_COPY_MVE_H
#define EDGEBIT_CONV2D_COPY_MVE_H

#include <arm_mve.h>

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

// Copies `rows` >= 1 runs of n bytes, n >= 1, steps apart: 5 cycles each up to 16 bytes (llvm-mca model).
EB_INLINE void eb_conv2d_runs(int8_t *to, const int8_t *from, int32_t rows, int32_t n, int32_t to_step,
                              int32_t from_step) {
    if (n > 16) {
        for (; rows > 0; rows--, from += from_step, to += to_step) {
            eb_conv2d_copy(to, from, n);
        }
        return;
    }
    const mve_pred16_t lanes = vctp8q((uint32_t)n);
    for (; rows > 0; rows--, from += from_step, to += to_step) {
        vstrbq_p_s8(to, vldrbq_z_s8(from, lanes), lanes);
    }
}

#endif
