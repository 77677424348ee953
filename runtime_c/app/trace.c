// SPDX-License-Identifier: Apache-2.0
// What a run leaves behind: a CRC-32 of every layer's output, and marks that an emulator can see.
#include "app.h"

#include "app_model.h"

static uint32_t crcs[EB_APP_LAYERS > 0 ? EB_APP_LAYERS : 1];
static int hashing;

__attribute__((noinline, used)) void eb_mark(uint32_t layer) {
    __asm__ volatile("" : : "r"(layer) : "memory");
}

void eb_trace_start(int hash) {
    hashing = hash;
    for (size_t i = 0; i < sizeof crcs / sizeof crcs[0]; i++) {
        crcs[i] = 0;
    }
    eb_mark(EB_MARK_START);
}

uint32_t eb_trace_crc(uint32_t layer) {
    return layer < sizeof crcs / sizeof crcs[0] ? crcs[layer] : 0;
}

// A layer with several outputs calls once for each; their bytes run on into one CRC. The mark comes first, so
// that hashing is never counted as part of a layer.
void eb_trace(uint32_t layer, const void *data, uint32_t bytes) {
    eb_mark(layer);
    if (hashing && layer < sizeof crcs / sizeof crcs[0]) {
        crcs[layer] = eb_crc32(crcs[layer], data, bytes);
        eb_mark(EB_MARK_RESUME);
    }
}
