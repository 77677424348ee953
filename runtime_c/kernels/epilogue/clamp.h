// SPDX-License-Identifier: Apache-2.0
// The table of epilogue__clamp.c: clamp[v] is v clamped to int8, -4096 <= v < 4096.
#ifndef EDGEBIT_EPILOGUE_CLAMP_H
#define EDGEBIT_EPILOGUE_CLAMP_H

#include "edgebit/eb_types.h"

extern const int8_t eb_epilogue__clamp[];

// Element 0. Linkers take the table for a Thumb function, whose address is odd.
EB_INLINE const int8_t *eb_clamp(void) {
    return (const int8_t *)((uintptr_t)eb_epilogue__clamp & ~(uintptr_t)1) + 4096;
}

#endif
