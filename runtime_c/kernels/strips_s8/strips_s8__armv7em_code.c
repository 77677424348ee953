// SPDX-License-Identifier: Apache-2.0
// int8 products of strips for Armv7-M where the weights are the program: layout "mul7s" is a function,
//
//   void <name>_run(const uint32_t *const *x, int32_t *acc, uint32_t at, uint32_t skip)
//
// generated for one layer (edgebit/layouts/thumb_products.py), that does what every kernel of this family
// does for that layer's weights and strip. A weight is a constant in it, and one multiplication serves two
// pixels. A layer calls its own function by name. There is no code in this file but for the kernel tester,
// which has such functions in memory and not by name.
//
// Bounds: a lane of 16 bits is emptied before the magnitudes of its weights exceed 255, see
// thumb_products.py. Stack: 48 bytes and 4 a kernel row.
#include "strips_s8/strips_s8.h"

#ifdef EB_CHECK
EB_STRIPS_S8_DECL(eb_strips_s8__armv7em_code);

EB_STRIPS_S8_DECL(eb_strips_s8__armv7em_code) {
    (void)strip;
    ((void (*)(const uint32_t *const *, int32_t *, uint32_t, uint32_t))((uintptr_t)w | 1))(x, acc, at, skip);
}
#endif

EB_KERNEL(strips_s8, armv7em_code, mul7s);
