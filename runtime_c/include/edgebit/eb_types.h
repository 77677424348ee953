// SPDX-License-Identifier: Apache-2.0
// Types, keywords and integer helpers that every kernel and every generated file may use.
//
// The numbers here are a contract: edgebit/ops/requant.py and edgebit/ops/linear.py state the same formulas
// in NumPy, and the tests compare the two byte for byte.
#ifndef EDGEBIT_EB_TYPES_H
#define EDGEBIT_EB_TYPES_H

#include <stddef.h>
#include <stdint.h>
#if __has_include(<string.h>)
#include <string.h>
#else // a freestanding compiler without a C library; ports supply these, or the compiler's own runtime does
#ifdef __cplusplus
extern "C" {
#endif
void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);
#ifdef __cplusplus
}
#endif
#endif

#ifdef __cplusplus
#define EB_RESTRICT __restrict
#else
#define EB_RESTRICT restrict
#endif

// A function that must vanish into its caller (drivers instantiate kernels through it).
#define EB_INLINE static inline __attribute__((always_inline))
// A function that stays one and that no caller's constants are folded into: drivers, so that the size, stack
// and cost of a program follow from what it is made of.
#if defined(__clang__)
#define EB_NOINLINE __attribute__((noinline, used))
#else
#define EB_NOINLINE __attribute__((noipa))
#endif
#define EB_ALIGNED(n) __attribute__((aligned(n)))

// The last line of every kernel file: EB_KERNEL(family, isa_and_flavour, layout_or_none);
// The exporter reads it as text to learn what the file offers. To the compiler it says nothing, except under
// EB_CHECK: then it places a descriptor where the kernel tester (runtime_c/check) finds all of them.
#ifdef EB_CHECK
typedef struct {
    const char *family;
    const char *variant;
    const char *layout;
    void (*function)(void); // cast back to the family's type before the call
} eb_kernel_descriptor;
#define EB_KERNEL(family, variant, layout)                                                                   \
    __attribute__((section("eb_kernels"),                                                                    \
                   used)) static const eb_kernel_descriptor eb_kernel_##family##__##variant = {              \
        #family, #variant, #layout, (void (*)(void))eb_##family##__##variant}
#else
#define EB_KERNEL(family, variant, layout) _Static_assert(1, #family "__" #variant ":" #layout)
#endif

// Every activation and every scratch region starts at a multiple of this many bytes and is padded to one.
#define EB_ALIGN 16

// Integer requantisation of one output channel.
//   t = (acc + half) >> pre_shift          half = 1 << (pre_shift - 1), or 0 when pre_shift is 0
//   q = clamp((t * mul + add) >> shift, qmin, qmax)
// Arithmetic shifts; the exporter proves that acc + half and t * mul + add stay inside int32.
typedef struct {
    int32_t add;   // bias and rounding term, in units of 2^-shift output steps
    int16_t mul;   // may be negative
    int16_t shift; // 0..30
} eb_requant_entry;

// What all channels of a layer share.
typedef struct {
    int32_t half;
    int32_t pre_shift; // 0..30
    int32_t qmin;      // -128..qmax
    int32_t qmax;      // qmin..127
} eb_requant_params;

EB_INLINE int32_t eb_clamp_s32(int32_t v, int32_t lo, int32_t hi) {
    v = v < lo ? lo : v;
    return v > hi ? hi : v;
}

EB_INLINE int8_t eb_requant(int32_t acc, const eb_requant_params *p, const eb_requant_entry *e) {
    int32_t t = (acc + p->half) >> p->pre_shift;
    int32_t q = (t * e->mul + e->add) >> e->shift;
    return (int8_t)eb_clamp_s32(q, p->qmin, p->qmax);
}

// Float epilogue, y = clamp(float(acc + corr) * scale + bias, lo, hi), every step rounded to binary32.
// `flags` says which steps exist and is a literal at every call, so that absent ones cost nothing.
enum { EB_AFFINE_CORR = 1, EB_AFFINE_SCALE = 2, EB_AFFINE_BIAS = 4, EB_AFFINE_LO = 8, EB_AFFINE_HI = 16 };

EB_INLINE float eb_affine_tail(float y, const float *scale, const float *bias, float lo, float hi,
                               int flags) {
    if (flags & EB_AFFINE_SCALE) {
        y = y * *scale;
    }
    if (flags & EB_AFFINE_BIAS) {
        y = y + *bias;
    }
    if (flags & EB_AFFINE_LO) {
        y = y < lo ? lo : y;
    }
    if (flags & EB_AFFINE_HI) {
        y = y > hi ? hi : y;
    }
    return y;
}

#endif
