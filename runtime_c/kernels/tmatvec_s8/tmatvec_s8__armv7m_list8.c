// SPDX-License-Identifier: Apache-2.0
// Ternary x int8 products by plain lists of columns for Armv7-M without the DSP extension (Cortex-M3): the
// code of tmatvec_s8__armv7em_list8, whose formula, layout, bounds, scratch and cost it shares.
#include "tmatvec_s8/list8.h"

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__armv7m_list8);

LIST8_PRODUCT(eb_tmatvec_s8__armv7m_list8);

EB_KERNEL(tmatvec_s8, armv7m_list8, list8);
