// SPDX-License-Identifier: Apache-2.0
// The law: element by element.
#include "clip_f32/clip_f32.h"

EB_CLIP_F32_DECL(eb_clip_f32__ref) {
    for (int32_t i = 0; i < p->n; i++) {
        y[i] = eb_clamp_f32(x[i], p->lo, p->hi);
    }
}

EB_KERNEL(clip_f32, ref, none);
