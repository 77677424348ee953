// SPDX-License-Identifier: Apache-2.0
// Quantisation without a division for cores without an FPU, exact all the same.
//
// |x| / scale is estimated in 12-bit fractions from the upper 16 bits of x and of 1 / scale. When all values
// that the true quotient, or its nearest binary32, can have round to the same integer, that is the result;
// else, about one time in 60, the quotient is computed.
//
// Bounds: with V = 4096 |x| / scale and f the estimate, both factors' lost bits make f at most V (1 + 2^-22)
// and
//   more than V (1 - 2^-14 - 2^-22) - 1, so f - 1 < V < f + f / 2^13 + 3 for f < 2^22, and so it is with V
//   rounded to binary32 (2^-24 of it). Quotients of 300 and more saturate: |q - zero_point| <= 255.
// Cost (modelled cycles, Cortex-M0+, no wait states): 80 an element; the reference takes 1080.
#include "quantize_f32/quantize_f32.h"

enum { FRACTION = 12, LARGE = 300 << FRACTION };

EB_QUANTIZE_F32_DECL(eb_quantize_f32__armv6m) {
    const eb_quantize_f32_params q = *p; // y may not alias a copy
    const int32_t low = q.qmin - q.zero_point;
    const int32_t high = q.qmax - q.zero_point;
    const uint32_t inverse = eb_bits_of_f32(eb_div_f32(1.0f, q.scale));
    const int32_t exponent = (int32_t)(inverse >> 23);
    const uint32_t factor = (inverse & 0x7FFFFFu) >> 8 | 0x8000u;
    // An estimate is factor * mantissa * 2^-shift, both in 2^15..2^16, and shift = base - the exponent of x.
    const int32_t base = 254 + 30 - FRACTION - exponent;
    const int32_t usual = exponent > 0 && exponent < 255; // else 1 / scale has fewer bits, or none
    for (int32_t i = 0; i < q.n; i++) {
        const uint32_t bits = eb_bits_of_f32(x[i]);
        const int32_t biased = (int32_t)(bits << 1 >> 24);
        const int32_t shift = base - biased;
        int32_t v = LARGE; // what is 2^10 and more
        uint32_t certain = usual && biased > 0 && biased < 255;
        if (shift >= 32) {
            v = 0; // f < 1
        } else if (shift > 30 - FRACTION - 10) {
            uint32_t f = (((bits & 0x7FFFFFu) >> 8 | 0x8000u) * factor) >> shift;
            uint32_t most = (f + (f >> 13) + 2051u) >> FRACTION;
            v = (int32_t)((f + 2047u) >> FRACTION);
            certain &= (uint32_t)v == most || f >= LARGE;
        }
        if (!certain) {
            v = bits << 1 == 0 ? 0 : eb_rne_s32(eb_div_f32(x[i], q.scale)); // zeros are common
        } else if (bits >> 31 != 0) {
            v = -v;
        }
        y[i] = (int8_t)(eb_clamp_s32(v, low, high) + q.zero_point);
    }
}

EB_KERNEL(quantize_f32, armv6m, none);
