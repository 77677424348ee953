// SPDX-License-Identifier: Apache-2.0
#include "requant_sums/requant_sums.h"

EB_REQUANT_SUMS_DECL(eb_requant_sums__ref);

EB_REQUANT_SUMS_DECL(eb_requant_sums__ref) {
    for (int32_t r = 0; r < rows; r++, acc += 8) {
        for (int32_t j = 0; j < 4; j++) {
            y[j * step + r] = eb_requant(acc[j], params, &entries[r]);
            y[j * step + apart + r] = eb_requant(acc[4 + j], params, &entries[r]);
        }
    }
}

EB_KERNEL(requant_sums, ref, none);
