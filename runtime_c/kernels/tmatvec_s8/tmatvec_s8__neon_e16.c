// SPDX-License-Identifier: Apache-2.0
// Ternary x int8 products for AArch64 without dot products (Cortex-A53, A72), five rows a byte: 1.6 bits a
// weight.
//
// A byte (layout "e16k") is a signed fraction s of five rows' trits: 3 s = 256 t + s', where t is the first
// trit and s' = 3 s mod 256 the byte of the others. So with S0 = sum(s x), S1 = sum(s' x) ... S5, the row
// sums are exactly Ti = (3 Si - Si+1) / 256. Each of the six takes two widening multiplications and one
// widening addition of pairs for 16 columns: 28 vector instructions for 80 multiply-accumulates.
//
// Bounds: |s| <= 127, so that two products fit 16 bits: 2 * 127 * 128 = 32512. The rest is exact modulo 2^32,
// and |256 Ti| <= 256 * 128 * cols < 2^31 for every cols the layout allows (65535).
// Cost (instructions per weight): 0.377 at 640 x 2560, 0.390 at 128 x 640, 0.48 at 10 x 64.
// Scratch: none.
#include "tmatvec_s8/e16k_neon.h"
#include "tmatvec_s8/tmatvec_s8.h"

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__neon_e16);

// 3 v modulo 256. The compiler must not make this a multiplication: those are what the core has too few of.
EB_INLINE int8x16_t e16k_triple(int8x16_t v) {
    int8x16_t twice = vaddq_s8(v, v);
    __asm__("" : "+w"(twice));
    return vaddq_s8(twice, v);
}

EB_INLINE int32x4_t e16k_dot(int32x4_t sum, int8x16_t v, int8x16_t x) {
    return vpadalq_s16(sum, vmlal_high_s8(vmull_s8(vget_low_s8(v), vget_low_s8(x)), v, x));
}

// 16 columns of the ten rows at `bytes`. No loop: the sums must stay in registers.
EB_INLINE void e16k_step(int32x4_t a[6], int32x4_t b[6], const uint8_t *bytes, int8x16_t x) {
    int8x16_t v = vreinterpretq_s8_u8(vld1q_u8(bytes));
    int8x16_t u = vreinterpretq_s8_u8(vld1q_u8(bytes + 16));
    a[0] = e16k_dot(a[0], v, x);
    b[0] = e16k_dot(b[0], u, x);
    v = e16k_triple(v);
    u = e16k_triple(u);
    a[1] = e16k_dot(a[1], v, x);
    b[1] = e16k_dot(b[1], u, x);
    v = e16k_triple(v);
    u = e16k_triple(u);
    a[2] = e16k_dot(a[2], v, x);
    b[2] = e16k_dot(b[2], u, x);
    v = e16k_triple(v);
    u = e16k_triple(u);
    a[3] = e16k_dot(a[3], v, x);
    b[3] = e16k_dot(b[3], u, x);
    v = e16k_triple(v);
    u = e16k_triple(u);
    a[4] = e16k_dot(a[4], v, x);
    b[4] = e16k_dot(b[4], u, x);
    v = e16k_triple(v);
    u = e16k_triple(u);
    a[5] = e16k_dot(a[5], v, x);
    b[5] = e16k_dot(b[5], u, x);
}

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__neon_e16) {
    (void)scratch;
    const int32_t steps = (cols + 15) >> 4;
    const int32x4_t zero = vdupq_n_s32(0);
    for (int32_t r = 0; r < rows; r += 10) {
        int32x4_t a[6] = {zero, zero, zero, zero, zero, zero};
        int32x4_t b[6] = {zero, zero, zero, zero, zero, zero};
        const int8_t *at = x;
        for (int32_t n = steps >> 1; n > 0; n--) {
            e16k_step(a, b, w, vld1q_s8(at));
            e16k_step(a, b, w + 32, vld1q_s8(at + 16));
            w += 64;
            at += 32;
        }
        if ((steps & 1) != 0) {
            e16k_step(a, b, w, vld1q_s8(at));
            w += 32;
        }
        eb_e16k_store(acc + r, a, 1);
        eb_e16k_store(acc + r + 5, b, 1);
    }
}

EB_KERNEL(tmatvec_s8, neon_e16, e16k);
