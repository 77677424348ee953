// SPDX-License-Identifier: Apache-2.0
// acc + x * w for binary32 acc and x and an int8 w on cores without floating point, product and sum each
// rounded to nearest even as the law has it. The run-time library converts, multiplies and adds in three
// calls, packing and unpacking each time; here w stays an integer, x and acc stay mantissa and exponent, and
// neither subnormal nor infinite numbers can come up: the caller checks that with eb_soft_fine.
//
// Cost (modelled cycles, Cortex-M0+): 115 a product and sum where the library takes 400.
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

// Sum over k < n of x[k * step] * w[k * apart], in order, from +0; all x are fine. n <= 65536.
__attribute__((noinline)) static float eb_soft_dot(const float *x, const int8_t *w, int32_t n, int32_t step,
                                                   int32_t apart) {
    eb_soft a = {0, EB_SOFT_ZERO};
    for (; n > 0; n--) {
        a = eb_soft_mac(a, eb_bits_of_f32(*x), *w);
        x += step;
        w += apart;
    }
    return eb_soft_float(a);
}

#endif
