// SPDX-License-Identifier: Apache-2.0
// Maps the weights, sets memory aside for keys and values, and refuses what this machine has no memory for.
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "session.h"

// The first bytes of a weights file; exporters/decoder_weights.py writes them. Little endian, as the machines
// are that this program runs on.
typedef struct {
    char magic[8];
    uint32_t version;
    uint32_t crc; // of everything from `body` on
    uint64_t bytes;
    uint64_t body;
    uint8_t model[32];
} weights_header;

_Static_assert(sizeof(weights_header) == 64, "the header has no gaps");

uint32_t eb_crc32(uint32_t crc, const void *data, size_t n) {
    static uint32_t table[16];
    if (table[1] == 0) {
        for (uint32_t i = 0; i < 16; i++) {
            uint32_t v = i;
            for (int k = 0; k < 4; k++) {
                v = (v & 1u) != 0 ? (v >> 1) ^ 0xEDB88320u : v >> 1;
            }
            table[i] = v;
        }
    }
    const uint8_t *p = data;
    crc = ~crc;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        crc = (crc >> 4) ^ table[crc & 15u];
        crc = (crc >> 4) ^ table[crc & 15u];
    }
    return ~crc;
}

// Bytes that can be had without pushing others out, 0 when the system does not say.
static uint64_t available(void) {
    FILE *f = fopen("/proc/meminfo", "r");
    if (f == NULL) {
        return 0;
    }
    char line[128];
    unsigned long long kib = 0;
    while (fgets(line, sizeof line, f) != NULL) {
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1) {
            break;
        }
    }
    (void)fclose(f);
    return (uint64_t)kib * 1024u;
}

int eb_refuse(eb_fault *f, int code, const char *format, ...) {
    va_list arguments;
    f->code = code;
    va_start(arguments, format);
    (void)vsnprintf(f->words, sizeof f->words, format, arguments);
    va_end(arguments);
    return 0;
}

static void *set_aside(size_t bytes, const char *what, eb_fault *why) {
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        (void)eb_refuse(why, EXIT_FIT, "cannot set aside %.1f MB for %s: %s; try a smaller --context",
                        (double)bytes / 1e6, what, strerror(errno));
        return NULL;
    }
    return p;
}

// Whether the mapped file belongs to this program.
static int check_weights(const eb_place *place, const void *p, eb_fault *why) {
    static const uint8_t model[32] = EB_D_MODEL_ID;
    const weights_header *h = p;
    if (memcmp(h->magic, "EBDECODE", 8) != 0 || h->version != 1 || h->bytes != EB_D_WEIGHT_BYTES) {
        return eb_refuse(why, EXIT_MODEL, "%s: is not a weights file of this version; export the model again",
                         place->weights);
    }
    if (memcmp(h->model, model, sizeof model) != 0) {
        return eb_refuse(why, EXIT_MODEL,
                         "%s: holds the weights of another model than this program was made for",
                         place->weights);
    }
    if (place->check) {
        const uint8_t *bytes = p;
        if (h->body > EB_D_WEIGHT_BYTES ||
            eb_crc32(0, bytes + h->body, (size_t)(EB_D_WEIGHT_BYTES - h->body)) != h->crc) {
            return eb_refuse(why, EXIT_MODEL, "%s: is damaged (its checksum differs); copy it again",
                             place->weights);
        }
    }
    return 1;
}

static const uint8_t *map_weights(const eb_place *place, eb_fault *why) {
    const int fd = open(place->weights, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        (void)eb_refuse(
            why, EXIT_MODEL,
            "%s: %s; the file %s lies beside the program it was exported with, or name it with --weights",
            place->weights, strerror(errno), EB_D_WEIGHTS_NAME);
        return NULL;
    }
    if ((uint64_t)st.st_size != EB_D_WEIGHT_BYTES) {
        (void)close(fd);
        (void)eb_refuse(why, EXIT_MODEL, "%s: has %lld bytes where %llu belong; copy it again",
                        place->weights, (long long)st.st_size, (unsigned long long)EB_D_WEIGHT_BYTES);
        return NULL;
    }
    void *p = mmap(NULL, EB_D_WEIGHT_BYTES, PROT_READ, MAP_PRIVATE, fd, 0);
    const int refused = errno;
    (void)close(fd);
    if (p == MAP_FAILED) {
        (void)eb_refuse(why, EXIT_FIT, "%s: cannot be mapped into memory: %s", place->weights,
                        strerror(refused));
        return NULL;
    }
    if (!check_weights(place, p, why)) {
        (void)munmap(p, EB_D_WEIGHT_BYTES);
        return NULL;
    }
    return p;
}

static void give_back(const void *p, size_t bytes) {
    if (p != NULL) {
        (void)munmap((void *)(uintptr_t)p, bytes);
    }
}

void eb_give_back_memory(eb_d_context *ctx) {
    give_back(ctx->weights, EB_D_WEIGHT_BYTES);
    give_back(ctx->kv, EB_D(kv_bytes)(ctx->context));
    give_back(ctx->scratch, EB_D(scratch_bytes)(ctx->threads));
    *ctx = (eb_d_context){0};
}

int eb_take_memory(const eb_place *place, eb_d_context *ctx, eb_fault *why) {
    const size_t kv = EB_D(kv_bytes)(place->context);
    const size_t scratch = EB_D(scratch_bytes)(place->threads);
    const uint64_t have = available();
    const uint64_t need = (uint64_t)EB_D_WEIGHT_BYTES + kv + scratch;
    *ctx = (eb_d_context){.context = place->context, .threads = place->threads};
    if (have != 0 && need > have && !place->force) {
        return eb_refuse(
            why, EXIT_FIT,
            "%.0f MB of weights and %.0f MB for keys and values at a context of %d exceed the %.0f MB of "
            "memory that are free; give a smaller --context, or --force to try (it may swap)",
            (double)EB_D_WEIGHT_BYTES / 1e6, (double)(kv + scratch) / 1e6, (int)place->context,
            (double)have / 1e6);
    }
    ctx->weights = map_weights(place, why);
    ctx->kv = ctx->weights == NULL ? NULL : set_aside(kv, "keys and values", why);
    ctx->scratch = ctx->kv == NULL ? NULL : set_aside(scratch, "scratch", why);
    if (ctx->scratch == NULL) {
        eb_give_back_memory(ctx);
        return 0;
    }
    const eb_status status =
        EB_D(init)(ctx, ctx->weights, ctx->kv, ctx->scratch, place->context, place->threads);
    if (status != EB_OK) {
        eb_give_back_memory(ctx);
        return eb_refuse(why, 1, "internal error: the decoder refused its memory (%d)", (int)status);
    }
    return 1;
}
