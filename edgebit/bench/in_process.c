// SPDX-License-Identifier: Apache-2.0
// The model of an export as a shared library, for timing on this machine: see in_process.py.
#include "app_model.h"
#include "edgebit/eb_types.h"

static EB_ALIGNED(EB_ALIGN) uint8_t arena[EB_APP_ARENA_BYTES > 0 ? EB_APP_ARENA_BYTES : 1];
static EB_ALIGNED(EB_ALIGN) uint8_t state[EB_APP_STATE_BYTES > 0 ? EB_APP_STATE_BYTES : 1];
static EB_APP_CTX ctx;

int32_t eb_bench_init(void);
uint8_t *eb_bench_arena(void);
int32_t eb_bench_run(uint32_t times);

/// Returns an eb_status; 0 is EB_OK.
int32_t eb_bench_init(void) {
    return (int32_t)EB_APP_INIT(&ctx, state, EB_APP_STATE_BYTES, arena, EB_APP_ARENA_BYTES);
}

/// The arena, in which inputs and outputs lie.
uint8_t *eb_bench_arena(void) {
    return arena;
}

/// Runs the model `times` times on whatever the arena holds; 0, or the first run's error.
int32_t eb_bench_run(uint32_t times) {
    int32_t status = 0;
    for (uint32_t i = 0; i < times && status == 0; ++i) {
        status = (int32_t)EB_APP_RUN(&ctx);
    }
    return status;
}
