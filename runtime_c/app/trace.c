// SPDX-License-Identifier: Apache-2.0
// What a run leaves behind: of every layer a CRC-32 of its output and the cycles it took, where they are
// wanted and can be counted; and marks that an emulator can see.
#include "app.h"

#include "app_model.h"
#include "eb_port.h"

#define LAYERS (EB_APP_LAYERS > 0 ? EB_APP_LAYERS : 1)
#define HASHES 1
#define COUNTS 2

static uint32_t crcs[LAYERS];
static int watching; // HASHES, COUNTS

__attribute__((noinline, used)) void eb_mark(uint32_t layer) {
    __asm__ volatile("" : : "r"(layer) : "memory");
}

#ifdef EB_PORT_COUNTS
static uint32_t cycles[LAYERS];
static const char *source = "none";

const char *eb_trace_source(void) {
    return source;
}

void eb_trace_init(void) {
    source = eb_port_count();
    watching = source[0] != 'n' ? COUNTS : 0;
}

uint64_t eb_trace_cycles(uint32_t layer) {
    const uint32_t n = layer < LAYERS ? cycles[layer] : 0;
    return n == EB_PORT_TOO_MANY ? UINT64_MAX : n;
}

static void forget(void) {
    for (size_t i = 0; i < LAYERS; i++) {
        cycles[i] = 0;
    }
    eb_port_restart();
}

// A layer with several outputs comes several times.
static void add(uint32_t layer) {
    const uint32_t n = eb_port_cycles();
    cycles[layer] = n < EB_PORT_TOO_MANY - cycles[layer] ? cycles[layer] + n : EB_PORT_TOO_MANY;
}
#endif

void eb_trace_step(void) {
#ifdef EB_PORT_COUNTS
    if (watching & COUNTS) {
        forget();
    }
#endif
    eb_mark(EB_MARK_START);
}

void eb_trace_start(int hash) {
    watching = (watching & COUNTS) | (hash ? HASHES : 0);
    for (size_t i = 0; i < LAYERS; i++) {
        crcs[i] = 0;
    }
    eb_trace_step();
}

uint32_t eb_trace_crc(uint32_t layer) {
    return layer < LAYERS ? crcs[layer] : 0;
}

// Not inline: eb_trace is part of every layer that is counted from outside.
static __attribute__((noinline)) void watch(uint32_t layer, const void *data, uint32_t bytes) {
#ifdef EB_PORT_COUNTS
    if (watching & COUNTS) {
        add(layer);
    }
#endif
    if (watching & HASHES) {
        crcs[layer] = eb_crc32(crcs[layer], data, bytes);
    }
#ifdef EB_PORT_COUNTS
    if (watching & COUNTS) {
        eb_port_restart();
    }
#endif
}

// A layer with several outputs calls once for each; their bytes run on into one CRC. The mark comes first, so
// that what is done here is never counted as part of a layer.
void eb_trace(uint32_t layer, const void *data, uint32_t bytes) {
    eb_mark(layer);
    if (watching && layer < LAYERS) {
        watch(layer, data, bytes);
        eb_mark(EB_MARK_RESUME);
    }
}
