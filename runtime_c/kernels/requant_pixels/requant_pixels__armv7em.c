// SPDX-License-Identifier: Apache-2.0
// Requantisation of packed pixels for cores with the DSP extension.
//
// Cost (modelled cycles, Cortex-M4) of a row of eight pixels, without pre-shift and for the whole range of
// int8:
//   52 when there is one block, 104 when there are two, and 40 for each further block. Otherwise plain C,
//   200.
#define EB_PIXELS_VARIANT armv7em
// clang-format off
#define MULTIPLY(v)                                                                                          \
    "smlabb r4, " #v ", r6, r5\n add " #v ", " #v ", #0x8000\n smlatb " #v ", " #v ", r6, r5\n"
// clang-format on
#define MULTIPLIER ""
#define ADD_BLOCK  "sxtah r4, r4, r10\n add r10, r10, #0x8000\n add r7, r7, r10, asr #16\n"
#include "requant_pixels/armv7m_body.h"

EB_KERNEL(requant_pixels, armv7em, none);
