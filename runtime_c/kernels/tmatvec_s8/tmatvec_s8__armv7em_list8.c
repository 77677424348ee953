// SPDX-License-Identifier: Apache-2.0
// Ternary x int8 products by plain lists of columns for cores with the DSP extension (Cortex-M4, M7, M33):
// for layers with few nonzero trits. Formula, layout, bounds and scratch: list8.h.
//
// Cost (modelled cycles, Cortex-M4, no wait states): 3.5 a nonzero trit, 9 a row, 18 a row and tile; a tile
//   is at most 256 columns, of which no row has more than 64 trits of one sign. In all, per weight, at 128 x
//   640: 0.83 when 80 % are 0, 0.48 when 90 %, 0.30 when 95 %; tmatvec_s8__armv7em takes 0.8.
#include "tmatvec_s8/list8.h"

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__armv7em_list8);

LIST8_PRODUCT(eb_tmatvec_s8__armv7em_list8);

EB_KERNEL(tmatvec_s8, armv7em_list8, list8);
