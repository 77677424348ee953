// SPDX-License-Identifier: Apache-2.0
// int8 weights times the windows of four lanes of pixels, requantised:
//   y[q * y_lane + u * y_pixel + r] = eb_requant(sum over k < words, h < 2 of w[r][2 k + h] * half h of
//       x[u * step + 4 k + q], &job->requant, &entries[r])     q < 4, u < pixels, r < rows
//
//   w        (rows, 2 * words) int8, packed by the layout the file names; starts at a multiple of 16 bytes
//   entries  [rows]
//   x        words of two int16 each, low half first, that hold int8 values, those of the four lanes side by
//            side (pack_lanes); windows overlap where step < 4 * words. 16-byte aligned but for whole words.
//   rows >= 2; 1 <= words <= EB_DOTS_WORDS; pixels >= 1
//
// Sums are exact int32, |sum| <= 2 * words * 128 * 128 < 2^21; the exporter proves eb_requant's bounds.
// y overlaps nothing.
#ifndef EDGEBIT_DOTS_S8_H
#define EDGEBIT_DOTS_S8_H

#include "edgebit/eb_types.h"

enum { EB_DOTS_LANES = 4, EB_DOTS_WORDS = 33 };

// The kernels' assembly knows the offsets.
typedef struct {
    const uint32_t *x;
    int8_t *y;
    int32_t pixels;  // of a lane
    int32_t step;    // words from a window to the next
    int32_t y_pixel; // bytes from a pixel of a lane to the next
    int32_t y_lane;  // bytes from a lane to the next
    int32_t rows;
    int32_t words;
    eb_requant_params requant;
} eb_dots_job;

#define EB_DOTS_S8_DECL(name)                                                                                \
    void name(const uint32_t *EB_RESTRICT w, const eb_requant_entry *EB_RESTRICT entries,                    \
              const eb_dots_job *EB_RESTRICT job)

#endif
