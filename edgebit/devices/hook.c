// SPDX-License-Identifier: Apache-2.0
// Counts basic blocks for the emulator, called by Unicorn at every block start (UC_HOOK_BLOCK).
//
// The profile is kept by edge: how often block `to` was entered from block `from`. That is enough to charge a
// taken branch more than one that falls through. Python (edgebit/devices/counting.py) owns all memory; there
// is no C library here. A block is written address << 16 | size in bytes.
//
// A second hook stops the emulation between two blocks when another thread has asked for it: stopping Unicorn
// from that thread itself can lose registers of the block at hand.
#include <stdint.h>

typedef struct {
    uint64_t from;
    uint64_t to;
    uint64_t count;
} edge;

typedef struct {
    uint64_t previous; // the block entered last
    uint64_t lost;     // entries that found the table full
    uint32_t used;     // edges in the table
    uint32_t capacity; // of edges[]
    uint32_t mask;     // size of index[] less one; the size is a power of two, at least twice the capacity
    uint32_t unused;
    uint32_t *index; // hash -> place in edges[] plus one, 0 for empty
    edge *edges;
    const volatile uint32_t *stopped; // pause.stopped: the block at hand is not run now
} profile;

typedef struct {
    volatile uint32_t wanted;  // set by the watchdog, cleared here
    volatile uint32_t stopped; // set here, cleared when the emulation goes on
    int32_t (*stop)(void *uc); // uc_emu_stop
} pause;

__attribute__((visibility("default"))) void eb_hook_pause(void *uc, uint64_t address, uint32_t size,
                                                          void *user) {
    pause *p = (pause *)user;
    (void)address;
    (void)size;
    if (p->wanted) {
        p->wanted = 0;
        p->stopped = 1;
        (void)p->stop(uc);
    }
}

__attribute__((visibility("default"))) void eb_hook_block(void *uc, uint64_t address, uint32_t size,
                                                          void *user) {
    profile *p = (profile *)user;
    uint64_t to = address << 16 | (uint64_t)(size & 0xFFFFu);
    uint64_t from = p->previous;
    uint64_t h = (to ^ (from << 23 | from >> 41)) * 0x9E3779B97F4A7C15ull;
    (void)uc;
    if (*p->stopped) {
        return;
    }
    p->previous = to;
    for (uint32_t i = (uint32_t)(h >> 40) & p->mask;; i = (i + 1) & p->mask) {
        uint32_t at = p->index[i];
        if (at == 0) {
            if (p->used == p->capacity) {
                p->lost++;
                return;
            }
            p->edges[p->used].from = from;
            p->edges[p->used].to = to;
            p->edges[p->used].count = 1;
            p->index[i] = ++p->used;
            return;
        }
        edge *e = &p->edges[at - 1];
        if (e->to == to && e->from == from) {
            e->count++;
            return;
        }
    }
}

// Forgets all edges, but not where the program is.
__attribute__((visibility("default"))) void eb_hook_clear(void *user) {
    profile *p = (profile *)user;
    for (uint64_t i = 0; i <= p->mask; i++) {
        p->index[i] = 0;
    }
    p->used = 0;
    p->lost = 0;
}
