// SPDX-License-Identifier: Apache-2.0
// A band of rows of a 3 x 3 depthwise convolution with ternary weights: dwconv3x3_s8.h with trits for w.
#ifndef EDGEBIT_DWCONV3X3_T_S8_H
#define EDGEBIT_DWCONV3X3_T_S8_H

#include "dwconv3x3_s8/dwconv3x3_s8.h"

#define EB_DWCONV3X3_T_S8_DECL(name) EB_DWCONV3X3_S8_DECL(name)

#endif
