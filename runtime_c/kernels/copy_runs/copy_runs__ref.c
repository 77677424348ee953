// SPDX-License-Identifier: Apache-2.0
#include "copy_runs/copy_runs.h"

EB_COPY_RUNS_DECL(eb_copy_runs__ref);

EB_COPY_RUNS_DECL(eb_copy_runs__ref) {
    for (; count > 0; count--, to += step, from += bytes) {
        memcpy(to, from, (size_t)bytes);
    }
}

EB_KERNEL(copy_runs, ref, none);
