// SPDX-License-Identifier: Apache-2.0
// acc + x * w for binary32 acc and x and an int8 w on cores without floating point, product and sum each
// rounded to nearest even as the law has it. The run-time library converts, multiplies and adds in three
// calls, packing and unpacking each time; here w stays an integer, x and acc stay mantissa and exponent, and
// neither subnormal nor infinite numbers can come up: the caller checks that with eb_soft_fine.
//
// Cost (modelled cycles, Cortex-M0+): 79 a product and sum where the library takes 400.
#ifndef EDGEBIT_ROWDOTS_SOFT_S8_H
#define EDGEBIT_ROWDOTS_SOFT_S8_H

#include "edgebit/eb_lanes.h"

// m * 2^e with |m| in 2^23 .. 2^24, or 0 with e = EB_SOFT_ZERO.
typedef struct {
    int32_t m, e;
} eb_soft;

enum { EB_SOFT_ZERO = -1000, EB_SOFT_GUARD = 5 };

// Whether a binary32 number is 0 or has a magnitude in 2^-63 .. 2^63: 2^16 products of such numbers with int8
// values, rounded, add up to nothing subnormal (all are multiples of 2^-86) and nothing above 2^87.
EB_INLINE int eb_soft_fine(uint32_t bits) {
    const uint32_t field = bits >> 23 & 0xffu;
    return field - 64u <= 126u || (bits << 1) == 0u;
}

EB_INLINE float eb_soft_float(eb_soft a) {
    if (a.m == 0) {
        return 0.0f;
    }
    const uint32_t sign = (uint32_t)a.m & 0x80000000u;
    const uint32_t m = (uint32_t)(a.m < 0 ? -a.m : a.m);
    return eb_f32_of_bits(sign | (((uint32_t)(a.e + 149) << 23) + m)); // the leading bit counts one up
}

// v / 2^d, d in 0..26; where that is no integer, the odd one of its neighbours, which rounds as v would
// later.
EB_INLINE int32_t eb_soft_shift(int32_t v, int32_t d) {
    const int32_t t = v >> d;
    return (int32_t)((uint32_t)t << d) == v ? t : t | 1;
}

// a + b, rounded; |a.m|, |bm| <= 2^24, b not 0.
EB_INLINE eb_soft eb_soft_add(eb_soft a, int32_t bm, int32_t be) {
    int32_t d = a.e - be;
    int32_t sum;
    if (d >= 0) {
        if (d > 25) {
            return a;
        }
        sum = a.m * (1 << EB_SOFT_GUARD) + eb_soft_shift(bm * (1 << EB_SOFT_GUARD), d);
    } else {
        d = -d;
        a.e = be;
        if (d > 26) {
            a.m = bm;
            return a;
        }
        sum = bm * (1 << EB_SOFT_GUARD) + eb_soft_shift(a.m * (1 << EB_SOFT_GUARD), d);
    }
    uint32_t u = (uint32_t)(sum < 0 ? -sum : sum); // <= 2^30
    if (u >= 1u << (24 + EB_SOFT_GUARD)) {
        u = (u + (1u << EB_SOFT_GUARD) - 1u + (u >> (EB_SOFT_GUARD + 1) & 1u)) >> (EB_SOFT_GUARD + 1);
        a.e++;
    } else {
        if (u == 0u) {
            return (eb_soft){0, EB_SOFT_ZERO};
        }
        while (u < 1u << (23 + EB_SOFT_GUARD)) {
            u <<= 1;
            a.e--;
        }
        u = (u + (1u << (EB_SOFT_GUARD - 1)) - 1u + (u >> EB_SOFT_GUARD & 1u)) >> EB_SOFT_GUARD;
    }
    a.m = sum < 0 ? -(int32_t)u : (int32_t)u;
    return a;
}

// How many bits a byte below 128 has.
static const uint8_t eb_soft_bits[128] = {
    0, 1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5,
    6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
};

// a + x * w; w in -128..127, x the bits of a number that eb_soft_fine takes.
EB_INLINE eb_soft eb_soft_mac(eb_soft a, uint32_t x, int32_t w) {
    if (w == 0 || (x << 1) == 0u) {
        return a;
    }
    uint32_t u = ((x & 0x7fffffu) | 0x800000u) * (uint32_t)(w < 0 ? -w : w); // < 2^31
    const int32_t sign = (int32_t)x >> 31 ^ w >> 31;
    const uint32_t s = eb_soft_bits[u >> 24];
    if (s != 0u) {
        u = (u + ((1u << s) >> 1) - 1u + (u >> s & 1u)) >> s;
    }
    return eb_soft_add(a, ((int32_t)u ^ sign) - sign, (int32_t)(x >> 23 & 0xffu) - 150 + (int32_t)s);
}

#if defined(__ARM_ARCH_6M__) || defined(EB_SOFT_THUMB1)
// Steps from one element to the next in bytes, and eb_soft_bits. The assembly knows the offsets.
typedef struct {
    uint32_t x_bytes, w_bytes;
    const uint8_t *bits;
} eb_soft_job;

// eb_soft_dot below, as bits; n >= 1. In the loop: r0 x, r1 w, r4 mantissa and r5 exponent field of the sum
// so far, r8 elements left, r9 and r10 steps, r11 eb_soft_bits, r12 a sign; r2, r3, r6, r7 free. An exponent
// here is that of eb_soft plus 150.
// clang-format off
__attribute__((naked, noinline)) static uint32_t
eb_soft_dot_bits(__attribute__((unused)) const float *x, __attribute__((unused)) const int8_t *w,
                 __attribute__((unused)) int32_t n, __attribute__((unused)) const eb_soft_job *job) {
    __asm volatile(".syntax unified\n"
        "push {r4-r7, lr}\n"
        "mov r4, r8\n mov r5, r9\n mov r6, r10\n mov r7, r11\n"
        "push {r4-r7}\n"
        "mov r8, r2\n"
        "ldmia r3!, {r4, r5, r6}\n mov r9, r4\n mov r10, r5\n mov r11, r6\n"
        "movs r4, #0\n movs r5, #250\n lsls r5, r5, #2\n rsbs r5, r5, #0\n"
        "1:\n"
        "ldr r2, [r0]\n add r0, r9\n"
        "movs r3, #0\n ldrsb r3, [r1, r3]\n add r1, r10\n"
        "cmp r3, #0\n beq 9f\n"
        "lsls r6, r2, #1\n beq 9f\n"
        "lsrs r6, r6, #24\n"
        "mov r7, r2\n eors r7, r3\n mov r12, r7\n"
        "asrs r7, r3, #31\n eors r3, r7\n subs r3, r3, r7\n"
        "lsls r2, r2, #9\n lsrs r2, r2, #9\n movs r7, #1\n lsls r7, r7, #23\n orrs r2, r7\n"
        "muls r2, r3, r2\n" // the product, below 2^31
        "lsrs r3, r2, #24\n beq 2f\n"
        "mov r7, r11\n ldrb r3, [r7, r3]\n adds r6, r6, r3\n"
        "mov r7, r2\n lsrs r2, r3\n bcc 2f\n" // the bit shifted out last is the half
        "rsbs r3, r3, #0\n adds r3, #33\n lsls r7, r3\n bne 3f\n" // and these are the bits below it
        "lsrs r7, r2, #1\n bcc 2f\n"
        "3: adds r2, #1\n"
        "2:\n"
        "mov r3, r12\n asrs r3, r3, #31\n eors r2, r3\n subs r2, r2, r3\n"
        "subs r7, r5, r6\n blt 5f\n"
        "cmp r7, #25\n bgt 9f\n"
        "lsls r2, r2, #5\n mov r3, r2\n asrs r3, r7\n mov r6, r3\n lsls r6, r7\n cmp r6, r2\n beq 4f\n"
        "movs r6, #1\n orrs r3, r6\n"
        "4: lsls r2, r4, #5\n adds r2, r2, r3\n"
        "6: beq 8f\n"
        "asrs r3, r2, #31\n eors r2, r3\n subs r2, r2, r3\n"
        "lsrs r6, r2, #29\n bne 7f\n"
        "10: lsrs r6, r2, #28\n bne 11f\n"
        "lsls r2, r2, #1\n subs r5, #1\n b 10b\n"
        "11: lsrs r6, r2, #5\n bcc 12f\n"
        "lsls r7, r2, #28\n bne 13f\n"
        "lsrs r7, r6, #1\n bcc 12f\n"
        "13: adds r6, #1\n"
        "12: eors r6, r3\n subs r4, r6, r3\n"
        "9: mov r6, r8\n subs r6, #1\n mov r8, r6\n bne 1b\n"
        "movs r0, #0\n cmp r4, #0\n beq 16f\n"
        "asrs r3, r4, #31\n eors r4, r3\n subs r4, r4, r3\n"
        "subs r5, #1\n lsls r5, r5, #23\n adds r0, r5, r4\n lsls r3, r3, #31\n orrs r0, r3\n"
        "16:\n"
        "pop {r4-r7}\n mov r8, r4\n mov r9, r5\n mov r10, r6\n mov r11, r7\n"
        "pop {r4-r7, pc}\n"
        "7: adds r5, #1\n lsrs r6, r2, #6\n bcc 12b\n"
        "lsls r7, r2, #27\n bne 13b\n"
        "lsrs r7, r6, #1\n bcc 12b\n b 13b\n"
        "8: movs r4, #0\n movs r5, #250\n lsls r5, r5, #2\n rsbs r5, r5, #0\n b 9b\n"
        "5: rsbs r7, r7, #0\n mov r5, r6\n cmp r7, #26\n bgt 14f\n"
        "lsls r3, r4, #5\n mov r6, r3\n asrs r6, r7\n mov r4, r6\n lsls r4, r7\n cmp r4, r3\n beq 15f\n"
        "movs r4, #1\n orrs r6, r4\n"
        "15: lsls r2, r2, #5\n adds r2, r2, r6\n b 6b\n"
        "14: mov r4, r2\n b 9b\n");
}
// clang-format on
#endif

// Sum over k < n of x[k * step] * w[k * apart], in order, from +0; all x are fine. 1 <= n <= 65536.
__attribute__((noinline)) static float eb_soft_dot(const float *x, const int8_t *w, int32_t n, int32_t step,
                                                   int32_t apart) {
#if defined(__ARM_ARCH_6M__) || defined(EB_SOFT_THUMB1)
    const eb_soft_job job = {4u * (uint32_t)step, (uint32_t)apart, eb_soft_bits};
    return eb_f32_of_bits(eb_soft_dot_bits(x, w, n, &job));
#else
    eb_soft a = {0, EB_SOFT_ZERO};
    for (; n > 0; n--) {
        a = eb_soft_mac(a, eb_bits_of_f32(*x), *w);
        x += step;
        w += apart;
    }
    return eb_soft_float(a);
#endif
}

#endif
