// SPDX-License-Identifier: Apache-2.0
// A plugin for qemu-system: how often each block of code ran after each other, split where one address runs.
//
//   -plugin <this>.so,mark=ADDRESS,out=FILE
//
// When the block at ADDRESS runs, what was counted since it last did is appended to FILE, "from size to size
// count" in decimal by line, and then a line "mark". The interface is version 1 of QEMU's plugin API (QEMU 6
// to 8), declared here because distributions do not ship its header.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*translated)(uint64_t id, struct qemu_plugin_tb *tb);
typedef void (*executed)(unsigned int cpu, void *user);

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, translated f);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, executed f, int flags, void *user);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);

EXPORT int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv);

typedef struct {
    uint64_t address;
    uint64_t size;
} block;

typedef struct {
    const block *from;
    const block *to;
    uint64_t count;
} edge;

enum { EDGES = 1 << 16, BLOCKS = 1 << 16 };
static edge edges[EDGES];
static block blocks[BLOCKS]; // the same code translated again is the same block
static const block *previous;
static uint64_t mark_address;
static FILE *out;

static const block *block_of(uint64_t address, uint64_t size) {
    for (uint64_t i = (address ^ size << 20) * 0x9E3779B97F4A7C15u >> 48;; i = (i + 1) % BLOCKS) {
        if (blocks[i].size == 0) {
            blocks[i] = (block){address, size};
        }
        if (blocks[i].address == address && blocks[i].size == size) {
            return &blocks[i];
        }
    }
}

static void dump(void) {
    for (uint64_t i = 0; i < EDGES; i++) {
        const edge *e = &edges[i];
        if (e->count > 0 && e->from != NULL) {
            fprintf(out, "%llu %llu %llu %llu %llu\n", (unsigned long long)e->from->address,
                    (unsigned long long)e->from->size, (unsigned long long)e->to->address,
                    (unsigned long long)e->to->size, (unsigned long long)e->count);
        }
    }
    memset(edges, 0, sizeof edges);
    fputs("mark\n", out);
    fflush(out);
}

static void run(unsigned int cpu, void *user) {
    const block *to = user;
    (void)cpu;
    uint64_t hash = ((uint64_t)(uintptr_t)to ^ (uint64_t)(uintptr_t)previous << 21) * 0x9E3779B97F4A7C15u;
    for (uint64_t i = hash >> 48;; i = (i + 1) % EDGES) {
        if (edges[i].count == 0) {
            edges[i].from = previous;
            edges[i].to = to;
        }
        if (edges[i].from == previous && edges[i].to == to) {
            edges[i].count++;
            break;
        }
    }
    previous = to;
    if (to->address == mark_address) {
        dump();
    }
}

// Sizes are those of Thumb; what QEMU says of the last instruction of a page may hold the next page's first.
static void translate(uint64_t id, struct qemu_plugin_tb *tb) {
    uint64_t size = 0;
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        uint16_t first;
        memcpy(&first, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(tb, i)), sizeof first);
        size += first >> 11 >= 0x1D ? 4 : 2;
    }
    qemu_plugin_register_vcpu_tb_exec_cb(tb, run, 0,
                                         (void *)(uintptr_t)block_of(qemu_plugin_tb_vaddr(tb), size));
}

int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv) {
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "mark=", 5) == 0) {
            mark_address = strtoull(argv[i] + 5, NULL, 0);
        } else if (strncmp(argv[i], "out=", 4) == 0) {
            out = fopen(argv[i] + 4, "w");
        }
    }
    if (out == NULL) {
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    return 0;
}
