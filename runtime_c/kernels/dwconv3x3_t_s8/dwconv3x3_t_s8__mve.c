// SPDX-License-Identifier: Apache-2.0
// Rows of a 3 x 3 depthwise convolution with ternary weights for cores with Helium (Cortex-M55, M85), sixteen
// channels at once.
//
// VMULLB and VMULLT multiply the inputs of even and of odd channels by their trits, and 16-bit sums take all
// nine taps. They widen to the sums of channels 0 4 8 12, 2 6 10 14, 1 5 9 13 and 3 7 11 15, which are
// requantised with constants that a block of channels puts in that order once; saturating narrowing, even
// lanes and then odd ones, brings the bytes back in order. A window that reaches padding is copied together
// first. Where there are eight channels, side by side in memory, and stride 1, two outputs are computed at
// once, with weights and constants that are there twice.
//
// Layout dwvecs: for 16 channels 9 vectors of a byte a trit. Bounds: |sum| <= 9 * 128 < 2^15. Cost
// (Cortex-M55, llvm-mca model, no wait states): about 110 cycles for 16 outputs. With a pre-shift, which sums
// this small hardly ever get, plain C.
#include <arm_mve.h>

#include "dwconv3x3_s8/any.h"
#include "dwconv3x3_t_s8/dwconv3x3_t_s8.h"

enum { LANES = 16, QUADS = 4, HALF = 8 };

// Of a block of channels. Four times four channels, in the order in which their sums come; left: shifts to
// the left, so negative.
typedef struct {
    int32_t mul[LANES];
    int32_t add[LANES];
    int32_t left[LANES];
    int8_t high[LANES];
    int8_t low[LANES];
} constants;

// `count` outputs side by side, whose windows begin at x. back: (stride - 2) * step. The assembly knows the
// order.
typedef struct {
    const int8_t *w;
    const int8_t *x[3];
    int32_t step[3];
    int8_t *y;
    int32_t y_pixel;
    const constants *k;
    int32_t back[3];
    int32_t count;
    int32_t lanes; // channels, at most LANES
} outputs;

void eb_dwconv3x3_t_s8__mve_whole(const outputs *o);
void eb_dwconv3x3_t_s8__mve_part(const outputs *o);

// clang-format off
// q0 q1 sums of even and odd channels, q2 q3 and q4 q5 trits and inputs in turn, q6 q7 products. r0 w, r1-r3 x,
// r4-r6 step, r7 y, r8 y_pixel, r9 constants, r10-r12 back, lr count.
#define TAP(w, x, load, next_w, next_x, row, move)                                                           \
    "vmullb.s8 q6, " w ", " x "\n vldrb.u8 " next_w ", [r0], #16\n vmullt.s8 q7, " w ", " x "\n"             \
    load next_x ", [" row "]\n vadd.i16 q0, q0, q6\n add " row ", " row ", " move "\n vadd.i16 q1, q1, q7\n"
#define A(load, row, move) TAP("q2", "q3", load, "q4", "q5", row, move)
#define B(load, row, move) TAP("q4", "q5", load, "q2", "q3", row, move)
#define FOUR(sum, wide, half, mul)                                                                           \
    "vmovl" half ".s16 " sum ", " wide "\n vldrw.u32 q6, [r9, #" mul "]\n vmul.i32 " sum ", " sum ", q6\n"
#define PAIR(op, q, r, constant_q, constant_r)                                                               \
    "vldrw.u32 q0, [r9, #" constant_q "]\n vldrw.u32 q1, [r9, #" constant_r "]\n"                            \
    op " " q ", " q ", q0\n " op " " r ", " r ", q1\n"
#define ROWS(name, load, store)                                                                              \
    __asm__(".syntax unified\n"                                                                              \
        ".pushsection .text." name ", \"ax\", %progbits\n"                                                   \
        ".p2align 2\n .thumb\n .global " name "\n .hidden " name "\n .type " name ", %function\n .thumb_func\n" \
        name ":\n"                                                                                           \
        "push {r4-r11, lr}\n vpush {d8-d15}\n sub sp, #4\n"                                                  \
        "ldr r1, [r0, #56]\n vctp.8 r1\n ldr lr, [r0, #52]\n ldm r0, {r0-r12}\n dls lr, lr\n"                \
        "1:\n"                                                                                               \
        "vldrb.u8 q2, [r0], #16\n" load "q3, [r1]\n add r1, r1, r4\n"                                        \
        "vldrb.u8 q4, [r0], #16\n vmullb.s8 q0, q2, q3\n" load "q5, [r1]\n vmullt.s8 q1, q2, q3\n add r1, r1, r4\n" \
        B(load, "r1", "r10") A(load, "r2", "r5") B(load, "r2", "r5") A(load, "r2", "r11")                    \
        B(load, "r3", "r6") A(load, "r3", "r6") B(load, "r3", "r12")                                         \
        "vmullb.s8 q6, q2, q3\n vmullt.s8 q7, q2, q3\n vadd.i16 q0, q0, q6\n vadd.i16 q1, q1, q7\n"          \
        FOUR("q2", "q0", "b", "0") FOUR("q3", "q0", "t", "16") FOUR("q4", "q1", "b", "32")                   \
        FOUR("q5", "q1", "t", "48")                                                                          \
        PAIR("vadd.i32", "q2", "q3", "64", "80") PAIR("vadd.i32", "q4", "q5", "96", "112")                   \
        PAIR("vshl.s32", "q2", "q3", "128", "144") PAIR("vshl.s32", "q4", "q5", "160", "176")                \
        "vqmovnb.s32 q0, q2\n vqmovnb.s32 q1, q4\n vldrw.u32 q6, [r9, #192]\n"                                \
        "vqmovnt.s32 q0, q3\n vqmovnt.s32 q1, q5\n vldrw.u32 q7, [r9, #208]\n"                                \
        "vqmovnb.s16 q2, q0\n sub r0, #144\n vqmovnt.s16 q2, q1\n"                                           \
        "vmin.s8 q2, q2, q6\n vmax.s8 q2, q2, q7\n"                                                          \
        store "q2, [r7]\n add r7, r7, r8\n"                                                                  \
        "le lr, 1b\n"                                                                                        \
        "add sp, #4\n vpop {d8-d15}\n pop {r4-r11, pc}\n"                                                    \
        ".size " name ", . - " name "\n"                                                                     \
        ".popsection\n");
ROWS("eb_dwconv3x3_t_s8__mve_whole", "vldrb.u8 ", "vstrb.8 ")
ROWS("eb_dwconv3x3_t_s8__mve_part", "vpst\n vldrbt.u8 ", "vpst\n vstrbt.8 ")
// clang-format on

EB_INLINE int32_t eb_dwvecs_weight(const void *w, int32_t tap, int32_t c, int32_t channels) {
    (void)channels;
    return ((const int8_t *)w)[(c >> 4) * 9 * LANES + tap * LANES + (c & 15)];
}

EB_INLINE void eb_dwvecs_constants(constants *k, const eb_requant_entry *entries, int32_t n) {
    for (int32_t c = 0; c < n; c++) {
        const int32_t at = QUADS * ((c & 1) * 2 + ((c >> 1) & 1)) + (c >> 2);
        k->add[at] = entries[c].add;
        k->mul[at] = entries[c].mul;
        k->left[at] = -entries[c].shift;
    }
}

EB_INLINE void eb_dwvecs_run(const outputs *o) {
    if (o->lanes == LANES) {
        eb_dwconv3x3_t_s8__mve_whole(o);
    } else {
        eb_dwconv3x3_t_s8__mve_part(o);
    }
}

// The output at column u, whose window reaches padding; c: the block's first channel. Changes what o says of
// a row.
static EB_NOINLINE void eb_dwvecs_edge(outputs *o, const eb_dwconv3x3_job *job, const eb_dw_row *row,
                                       int8_t *y, int32_t u, int32_t c) {
    EB_ALIGNED(16) int8_t window[9 * LANES];
    const mve_pred16_t lanes = vctp8q((uint32_t)o->lanes);
    const int8x16_t padding = vdupq_n_s8((int8_t)job->padding);
    const int32_t left = job->stride * u - job->lead;
    const uint32_t inside = (uint32_t)job->inside;
    int8_t *to = window;
    for (int32_t ky = 0; ky < 3; ky++, to += 3 * LANES) {
        const int32_t step = row[ky].step;
        const int8_t *at = row[ky].at + c + left * step;
        vstrbq_s8(to, (uint32_t)left < inside ? vldrbq_z_s8(at, lanes) : padding);
        vstrbq_s8(to + LANES, (uint32_t)left + 1 < inside ? vldrbq_z_s8(at + step, lanes) : padding);
        vstrbq_s8(to + 2 * LANES, (uint32_t)left + 2 < inside ? vldrbq_z_s8(at + 2 * step, lanes) : padding);
        o->x[ky] = to;
        o->step[ky] = LANES;
        o->back[ky] = 0;
    }
    o->y = y + u * o->y_pixel;
    o->count = 1;
    eb_dwvecs_run(o);
}

// `count` outputs from column u on, whose windows are in the image.
EB_INLINE void eb_dwvecs_inside(outputs *o, const eb_dwconv3x3_job *job, const eb_dw_row *row, int8_t *y,
                                int32_t u, int32_t c, int32_t count) {
    for (int32_t ky = 0; ky < 3; ky++) {
        const int32_t step = row[ky].step;
        o->x[ky] = row[ky].at + c + (job->stride * u - job->lead) * step;
        o->step[ky] = step;
        o->back[ky] = (job->stride - 2) * step;
    }
    o->y = y + u * job->y_pixel;
    o->count = count;
    eb_dwvecs_run(o);
}

// The band where there are eight channels side by side and stride 1; the windows of outputs first..last - 1
// are in the image.
static EB_NOINLINE void eb_dwvecs_pairs(outputs *o, constants *k, const eb_requant_entry *entries,
                                        const eb_dwconv3x3_job *job, int32_t first, int32_t last) {
    EB_ALIGNED(16) int8_t twice[10 * LANES]; // weights, and one vector of padding
    eb_requant_entry both[LANES];
    const mve_pred16_t half = vctp8q(HALF);
    for (int32_t i = 0; i < 9 * LANES; i += LANES) {
        const int8x16_t weights = vldrbq_z_s8(o->w + i, half);
        vstrbq_p_s8(twice + i, weights, half);
        vstrbq_p_s8(twice + i + HALF, weights, half);
    }
    vstrbq_s8(twice + 9 * LANES, vdupq_n_s8((int8_t)job->padding));
    for (int32_t i = 0; i < HALF; i++) {
        both[i] = entries[i];
        both[i + HALF] = entries[i];
        __asm__ volatile("" ::: "memory"); // or compilers call a library's memcpy
    }
    eb_dwvecs_constants(k, both, LANES);
    o->w = twice;
    const int32_t pairs = (last - first) >> 1;
    for (int32_t i = 0; i < job->band; i++) {
        int8_t *y = job->y + i * job->y_row;
        const eb_dw_row *row = job->row + i;
        for (int32_t ky = 0; ky < 3; ky++) {
            const int32_t step = row[ky].step;
            o->x[ky] = step == 0 ? twice + 9 * LANES : row[ky].at + (first - job->lead) * step;
            o->step[ky] = step;
            o->back[ky] = 0;
        }
        o->y = y + first * HALF;
        o->y_pixel = LANES;
        o->count = pairs;
        o->lanes = LANES;
        eb_dwvecs_run(o);
        o->y_pixel = HALF;
        o->lanes = HALF;
        if ((last - first) & 1) {
            eb_dwvecs_inside(o, job, row, y, last - 1, 0, 1);
        }
        for (int32_t u = first > 0 ? 0 : last; u < job->outs; u = u + 1 == first ? last : u + 1) {
            eb_dwvecs_edge(o, job, row, y, u, 0);
        }
    }
}

EB_DWCONV3X3_T_S8_DECL(eb_dwconv3x3_t_s8__mve);

EB_DWCONV3X3_T_S8_DECL(eb_dwconv3x3_t_s8__mve) {
    if (job->requant.pre_shift != 0) {
        eb_dwconv3x3_law(w, entries, job, eb_dwvecs_weight);
        return;
    }
    const int32_t stride = job->stride;
    const int32_t reach = job->lead + job->inside - 3; // of the last window in the image, which may be none
    // outputs first..last - 1 have their windows in the image
    const int32_t first = eb_clamp_s32(stride == 1 ? job->lead : (job->lead + 1) >> 1, 0, job->outs);
    const int32_t last =
        eb_clamp_s32(reach < 0 ? 0 : (stride == 1 ? reach : reach >> 1) + 1, first, job->outs);
    constants k;
    vstrbq_s8(k.high, vdupq_n_s8((int8_t)job->requant.qmax));
    vstrbq_s8(k.low, vdupq_n_s8((int8_t)job->requant.qmin));
    outputs o;
    o.w = w;
    o.y_pixel = job->y_pixel;
    o.k = &k;
    if (job->channels == HALF && stride == 1 && job->step == HALF && job->y_pixel == HALF &&
        last - first > 1) {
        eb_dwvecs_pairs(&o, &k, entries, job, first, last);
        return;
    }
    for (int32_t c = 0; c < job->channels; c += LANES, o.w += 9 * LANES) {
        o.lanes = job->channels - c < LANES ? job->channels - c : LANES;
        eb_dwvecs_constants(&k, entries + c, o.lanes);
        // From the last row on: where outputs of two rows fall together, those of the first stay.
        for (int32_t i = job->band - 1; i >= 0; i--) {
            int8_t *y = job->y + c + i * job->y_row;
            const eb_dw_row *row = job->row + i * stride;
            if (last > first) {
                eb_dwvecs_inside(&o, job, row, y, first, c, last - first);
            }
            for (int32_t u = 0; u < first; u++) {
                eb_dwvecs_edge(&o, job, row, y, u, c);
            }
            for (int32_t u = last; u < job->outs; u++) {
                eb_dwvecs_edge(&o, job, row, y, u, c);
            }
        }
    }
}

EB_KERNEL(dwconv3x3_t_s8, mve, dwvecs);
