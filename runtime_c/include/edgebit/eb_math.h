// SPDX-License-Identifier: Apache-2.0
// Float helpers with one meaning on every machine; edgebit/ops/floatmath.py is their mirror in NumPy, bit for
// bit, and states the error bounds. Only binary32 + - * / on values rounded to nearest even, subnormals kept:
// compile with -ffp-contract=off and without -ffast-math. No library function is called.
#ifndef EDGEBIT_EB_MATH_H
#define EDGEBIT_EB_MATH_H

#include "edgebit/eb_types.h"

#if defined(__FAST_MATH__)
#error "EdgeBit needs IEEE 754 arithmetic: compile without -ffast-math"
#endif
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0
#error "EdgeBit needs float expressions evaluated as float (FLT_EVAL_METHOD 0)"
#endif

#define EB_INFINITY __builtin_inff()

EB_INLINE uint32_t eb_bits_of_f32(float x) {
    uint32_t u;
    __builtin_memcpy(&u, &x, sizeof u); // stays inline where -ffreestanding would make memcpy a call
    return u;
}

EB_INLINE float eb_f32_of_bits(uint32_t u) {
    float x;
    __builtin_memcpy(&x, &u, sizeof x);
    return x;
}

// The one NaN that these helpers make.
EB_INLINE float eb_nan_f32(void) {
    return eb_f32_of_bits(0x7fc00000u);
}

EB_INLINE float eb_abs_f32(float x) {
    return eb_f32_of_bits(eb_bits_of_f32(x) & 0x7fffffffu);
}

// The magnitude bits of a finite value above 0 become its 24-bit integer m; returns e of m * 2^(e - 150).
EB_INLINE int32_t eb_unpack_f32(uint32_t *bits) {
    int32_t e = (int32_t)(*bits >> 23);
    if (e != 0) {
        *bits = (*bits & 0x7fffffu) | 0x800000u;
        return e;
    }
    e = 1;
    while (*bits < 0x800000u) {
        *bits <<= 1;
        e--;
    }
    return e;
}

// The clamp of every float op; a NaN passes through.
EB_INLINE float eb_clamp_f32(float y, float lo, float hi) {
    y = y < lo ? lo : y;
    return y > hi ? hi : y;
}

// Round half to even, saturating to int32; NaN gives 0.
EB_INLINE int32_t eb_rne_s32(float x) {
    if (x >= 8388608.0f) { // already an integer, or +inf
        return x >= 2147483648.0f ? INT32_MAX : (int32_t)x;
    }
    if (x <= -8388608.0f) {
        return x <= -2147483648.0f ? INT32_MIN : (int32_t)x;
    }
    if (x > 0.0f) {
        return (int32_t)((x + 8388608.0f) - 8388608.0f);
    }
    if (x < 0.0f) {
        return (int32_t)((x - 8388608.0f) + 8388608.0f);
    }
    return 0;
}

// clamp(rne(v) + zero_point, qmin, qmax); zero_point, qmin and qmax are int8 values, so nothing overflows.
EB_INLINE int8_t eb_quantize_s8(float v, int32_t zero_point, int32_t qmin, int32_t qmax) {
    return (int8_t)(eb_clamp_s32(eb_rne_s32(v), qmin - zero_point, qmax - zero_point) + zero_point);
}

// a / b in integer arithmetic, correctly rounded; NaN operands, 0 / 0 and inf / inf give eb_nan_f32().
EB_INLINE float eb_div_soft_f32(float a, float b) {
    uint32_t sign = (eb_bits_of_f32(a) ^ eb_bits_of_f32(b)) & 0x80000000u;
    uint32_t m = eb_bits_of_f32(a) & 0x7fffffffu;
    uint32_t d = eb_bits_of_f32(b) & 0x7fffffffu;
    if (m > 0x7f800000u || d > 0x7f800000u || (m == d && (m == 0u || m == 0x7f800000u))) {
        return eb_nan_f32();
    }
    if (m == 0x7f800000u || d == 0u) {
        return eb_f32_of_bits(sign | 0x7f800000u);
    }
    if (d == 0x7f800000u || m == 0u) {
        return eb_f32_of_bits(sign);
    }
    int32_t e = eb_unpack_f32(&m) - eb_unpack_f32(&d) + 127;
    if (m < d) {
        m <<= 1;
        e--;
    }
    uint32_t q = 0; // 25 bits of the quotient, which is in 1..2: 24 and a rounding bit; what is left is in m
    for (int32_t i = 0; i < 25; i++) {
        q <<= 1;
        if (m >= d) {
            m -= d;
            q |= 1u;
        }
        m <<= 1;
    }
    if (e >= 255) {
        return eb_f32_of_bits(sign | 0x7f800000u);
    }
    uint32_t rest = m;
    if (e <= 0) { // subnormal: give up bits
        int32_t shift = 1 - e < 26 ? 1 - e : 26;
        rest |= q & ((1u << shift) - 1u);
        q >>= shift;
        e = 1;
    }
    uint32_t up = q & ((q >> 1) | (uint32_t)(rest != 0u)) & 1u;
    // The leading bit of q counts one into the exponent field, and so does a carry.
    return eb_f32_of_bits(sign | ((((uint32_t)e - 1u) << 23) + (q >> 1) + up));
}

// a / b. The run-time library of clang for cores without an FPU does not round subnormal quotients correctly.
EB_INLINE float eb_div_f32(float a, float b) {
#if defined(__arm__) && !(defined(__ARM_FP) && (__ARM_FP & 4))
    return eb_div_soft_f32(a, b);
#else
    return a / b;
#endif
}

// e^x
EB_INLINE float eb_exp_f32(float x) {
    if (x > 0x1.62e42ep+6f) {
        return EB_INFINITY;
    }
    if (x < -104.0f) {
        return 0.0f;
    }
    if (!(x == x)) {
        return eb_nan_f32();
    }
    float n = (x * 0x1.715476p+0f + 12582912.0f) - 12582912.0f;
    float r = (x - n * 0x1.62e4p-1f) - n * 0x1.7f7d1cp-20f;
    float y = 0x1.6a23dp-10f;
    y = y * r + 0x1.123a2p-7f;
    y = y * r + 0x1.5558f2p-5f;
    y = y * r + 0x1.555492p-3f;
    y = y * r + 0x1.fffffcp-2f;
    y = (r * r * y + r) + 1.0f;
    // Scaled in two steps of normal powers of two: only the last one can round, once, to a subnormal.
    int32_t k = (int32_t)n;
    int32_t half = k >> 1;
    y = y * eb_f32_of_bits((uint32_t)(half + 127) << 23);
    return y * eb_f32_of_bits((uint32_t)(k - half + 127) << 23);
}

// 1 / (1 + e^-x)
EB_INLINE float eb_sigmoid_f32(float x) {
    if (!(x == x)) {
        return eb_nan_f32();
    }
    return eb_div_f32(1.0f, 1.0f + eb_exp_f32(-x));
}

// tanh x; keeps the sign of zero
EB_INLINE float eb_tanh_f32(float x) {
    if (!(x == x)) {
        return eb_nan_f32();
    }
    float a = eb_abs_f32(x);
    float y;
    if (a < 0.59375f) {
        float u = a * a;
        float q = -0x1.82585p-8f;
        q = q * u + 0x1.54b8ap-6f;
        q = q * u + -0x1.b898dep-5f;
        q = q * u + 0x1.1109aep-3f;
        q = q * u + -0x1.55553ep-2f;
        y = u * q * a + a;
    } else {
        y = 1.0f - eb_div_f32(2.0f, eb_exp_f32(a + a) + 1.0f);
    }
    return eb_f32_of_bits(eb_bits_of_f32(y) | (eb_bits_of_f32(x) & 0x80000000u));
}

// clamp(x * alpha + beta, 0, 1)
EB_INLINE float eb_hard_sigmoid_f32(float x, float alpha, float beta) {
    return eb_clamp_f32(x * alpha + beta, 0.0f, 1.0f);
}

// x * g, but +0 where the gate g is 0, so that minus infinity times a closed gate is defined.
EB_INLINE float eb_gate_f32(float x, float g) {
    return g > 0.0f ? x * g : 0.0f;
}

// Square root, correctly rounded, in integer arithmetic: the same on cores with and without an FPU.
// Below zero (but not for -0) the result is NaN.
EB_INLINE float eb_sqrt_f32(float x) {
    uint32_t u = eb_bits_of_f32(x);
    if ((u & 0x7fffffffu) == 0u || u == 0x7f800000u) {
        return x;
    }
    if (u > 0x7f800000u) { // NaN or negative
        return eb_nan_f32();
    }
    uint32_t m = u;
    int32_t e = eb_unpack_f32(&m) - 150;
    // x = m * 2^e. Shift m so that the exponent left over is even and the root has 25 bits: 24 and a
    // rounding bit. That root is never halfway: its square would need fewer trailing zeros than the radicand
    // has.
    uint64_t left = (uint64_t)m << ((e & 1) != 0 ? 25 : 26);
    e = (e - ((e & 1) != 0 ? 25 : 26)) / 2;
    uint64_t root = 0;
    for (uint64_t bit = (uint64_t)1 << 48; bit != 0; bit >>= 2) {
        if (left >= root + bit) {
            left -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    uint32_t rounded = ((uint32_t)root + 1u) >> 1;
    // value = rounded * 2^(e + 1); a carry to 2^24 moves into the exponent field as it should.
    return eb_f32_of_bits(((uint32_t)(e + 1 + 149) << 23) + rounded);
}

#endif
