// SPDX-License-Identifier: Apache-2.0
// Packs inputs of eight pixels for the kernels of family tpixels_fused_s8, as numbers from 0 to 255. Pixels
// that follow one another are packed by pack_line.
//
//   x[j * stride + k] = (pixel[2j][k] + 128) | (pixel[2j + 1][k] + 128) << 16      j = 0..3, k < count
//
//   pixel, x, count, stride   as for pack_pixels
#ifndef EDGEBIT_PACK_BYTES_H
#define EDGEBIT_PACK_BYTES_H

#include "pack_pixels/pack_pixels.h"

#define EB_PACK_BYTES_DECL(name) EB_PACK_PIXELS_DECL(name)

#endif
