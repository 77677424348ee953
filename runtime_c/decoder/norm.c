// SPDX-License-Identifier: Apache-2.0
// Root mean square normalisation, and quantisation of what a projection takes in.
#include "decoder.h"

typedef struct {
    eb_f32x8 of[4];
} lanes;

// sum[i mod 32] += x[i]^2 of 32 * steps numbers.
static void add_squares(lanes *sum, const float *x, int32_t steps) {
    eb_f32x8 a = sum->of[0], b = sum->of[1], c = sum->of[2], d = sum->of[3];
    for (int32_t k = 0; k < steps; k++, x += 32) {
        const eb_f32x8 *v = (const eb_f32x8 *)x;
        a = a + v[0] * v[0];
        b = b + v[1] * v[1];
        c = c + v[2] * v[2];
        d = d + v[3] * v[3];
    }
    *sum = (lanes){{a, b, c, d}};
}

// to += from
static void merge(lanes *to, const lanes *from) {
    for (int32_t j = 0; j < 4; j++) {
        to->of[j] = to->of[j] + from->of[j];
    }
}

// The sum of x[i]^2 in the order of PyTorch's sums on x86 (edgebit/decoder/ops.py, sum_of_squares): 32 lanes
// for 16 steps, 16 of those in a second set, 16 of these in a third.
static float sum_of_squares(const float *x, int32_t n) {
    const lanes zero = {{{0.0f}}};
    lanes first = zero, second = zero, third = zero;
    const int32_t steps = n / 32;
    for (int32_t k = 0; k < steps; k += 16) {
        const int32_t count = steps - k < 16 ? steps - k : 16;
        add_squares(&first, x, count);
        x += 32 * count;
        if (count == 16) {
            merge(&second, &first);
            first = zero;
        }
        if ((k + 16) % 256 == 0 && count == 16) {
            merge(&third, &second);
            second = zero;
        }
    }
    merge(&first, &second);
    merge(&first, &third);
    int32_t left = n % 32;
    for (; left >= 8; left -= 8, x += 8) {
        const eb_f32x8 v = *(const eb_f32x8 *)x;
        first.of[0] = first.of[0] + v * v;
    }
    const eb_f32x8 lane = ((first.of[0] + first.of[1]) + first.of[2]) + first.of[3];
    float total = 0.0f;
    for (int32_t i = 0; i < left; i++) {
        total += x[i] * x[i];
    }
    for (int32_t i = 0; i < 8; i++) {
        total += lane[i];
    }
    return total;
}

// y[i] = (x[i] * (1 / sqrt(sum of x[i]^2 / n + eps))) * weight[i]; entries n .. padded - 1 of x and weight
// are 0, and so are y's. padded is a multiple of 8. 0 when the result is not finite: then y is all 0.
int EB_D(rms_norm)(const float *x, const float *weight, float *y, int32_t n, int32_t padded) {
    const float mean = sum_of_squares(x, n) / (float)n;
    if ((eb_bits_of_f32(mean) & 0x7fffffffu) >= 0x7f800000u) {
        memset(y, 0, (size_t)padded * sizeof *y);
        return 0;
    }
    const float scale = eb_div_f32(1.0f, eb_sqrt_f32(mean + EB_D_NORM_EPS));
    for (int32_t i = 0; i < padded; i += 8) {
        *(eb_f32x8 *)(y + i) = (*(const eb_f32x8 *)(x + i) * scale) * *(const eb_f32x8 *)(weight + i);
    }
    return 1;
}

#if !EB_D_ACT_F32
// One scale for n numbers: a = max(max |x|, 1e-5), s = (1 / a) * 127, q = rne(x * s), *steps = s. Since
// |x * s| < 128, adding and taking away 1.5 * 2^23 rounds, and q needs no clamp.
static int quantize_block(const float *x, int32_t n, int8_t *q, float *steps) {
    uint32_t largest = 0; // of magnitudes as bits, which order as the numbers do and put NaN last
    for (int32_t i = 0; i < n; i++) {
        const uint32_t bits = eb_bits_of_f32(x[i]) & 0x7fffffffu;
        largest = bits > largest ? bits : largest;
    }
    const int finite = largest < 0x7f800000u;
    const float a = finite ? eb_f32_of_bits(largest) : 1.0f;
    const float s = eb_div_f32(1.0f, a > 1e-5f ? a : 1e-5f) * 127.0f;
    *steps = s;
    if (!finite) {
        memset(q, 0, (size_t)n);
        return 0;
    }
    for (int32_t i = 0; i < n; i++) {
        q[i] = (int8_t)(int32_t)((x[i] * s + 12582912.0f) - 12582912.0f);
    }
    return 1;
}

#endif

// n numbers in blocks of ACT_BLOCK, with a number of steps each. 0 when one of them is not finite.
int EB_D(quantize)(const float *x, int32_t n, eb_d_act *q, float *steps) {
#if EB_D_ACT_F32
    int finite = 1;
    for (int32_t i = 0; i < n; i++) {
        finite &= (eb_bits_of_f32(x[i]) & 0x7fffffffu) < 0x7f800000u;
        q[i] = x[i];
    }
    (void)steps;
    return finite;
#elif EB_D_ACT_BLOCK
    int finite = 1;
    for (int32_t at = 0; at < n; at += EB_D_ACT_BLOCK) {
        const int32_t left = n - at < EB_D_ACT_BLOCK ? n - at : EB_D_ACT_BLOCK;
        finite &= quantize_block(x + at, left, q + at, steps++);
    }
    return finite;
#else
    return quantize_block(x, n, q, steps);
#endif
}
