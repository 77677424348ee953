// SPDX-License-Identifier: Apache-2.0
// Requantisation of packed pixels for Armv7-M without the DSP extension (Cortex-M3).
//
// Cost (instructions) of a row of eight pixels, without pre-shift and for the whole range of int8:
//   60 when there is one block, 112 when there are two, and 48 for each further block. Otherwise plain C,
//   200.
#define EB_PIXELS_VARIANT armv7m
// clang-format off
#define MULTIPLY(v)                                                                                          \
    "sxth.w r4, " #v "\n add " #v ", " #v ", #0x8000\n asr " #v ", " #v ", #16\n"                            \
    "mla r4, r4, r6, r5\n mla " #v ", " #v ", r6, r5\n"
#define MULTIPLIER "sxth r6, r6\n"
#define ADD_BLOCK                                                                                            \
    "add r4, r10\n add r10, r10, #0x8000\n asr r10, r10, #16\n add r7, r10\n sub r4, r4, r10, lsl #16\n"
// clang-format on
#include "requant_pixels/armv7m_body.h"

EB_KERNEL(requant_pixels, armv7m, none);
