// SPDX-License-Identifier: Apache-2.0
// What every bench application answers alike: who it is, and whom it listens to. Included once, by the file
// that has main; app_model.h comes before it.
#ifndef EDGEBIT_APP_ANSWERS_H
#define EDGEBIT_APP_ANSWERS_H

#include "app.h"

// Which image this is. Zero in the source; the build writes the digest of the linked image here.
const uint8_t eb_image_id[16] __attribute__((section(".eb_image_id"), used)) = {0};

static const uint8_t model_id[8] = EB_APP_MODEL_ID;

static int within(uint32_t i, uint32_t n) {
    return i < n;
}

static int fits(uint32_t offset, uint32_t bytes, uint32_t total) {
    return offset <= total && bytes <= total - offset;
}

static uint32_t put_string(uint8_t *out, uint32_t at, const char *s, uint32_t limit) {
    uint32_t n = 0;
    while (s[n] != 0 && n < limit) {
        out[at + 1 + n] = (uint8_t)s[n];
        n++;
    }
    out[at] = (uint8_t)n;
    return at + 1 + n;
}

static uint32_t hello(uint8_t *p) {
    // Read through a volatile pointer: the build patches the bytes after the compiler has seen zeros.
    const volatile uint8_t *id = eb_image_id;
    eb_put16(p, EB_LINK_VERSION);
    eb_put16(p + 2, EB_LINK_PAYLOAD_MAX);
    for (uint32_t i = 0; i < 16; i++) {
        p[4 + i] = id[i];
    }
    eb_put16(p + 20, EB_APP_INPUTS);
    eb_put16(p + 22, EB_APP_OUTPUTS);
    eb_put16(p + 24, EB_APP_LAYERS);
    eb_put16(p + 26, EB_APP_SEGMENTS);
    eb_put32(p + 28, EB_APP_ARENA_BYTES);
    uint32_t at = put_string(p, 32, EB_APP_BOARD_NAME, 64);
    at = put_string(p, at, EB_APP_MODEL_NAME, 255);
    return put_string(p, at, eb_trace_source(), 255);
}

// What a request leads to, besides the payload.
typedef struct {
    eb_link_status status;
    uint32_t offset, arg, bytes;
} result;

static eb_link_status acceptable(const eb_request *rq, uint32_t entries) {
    uint8_t differs = 0, any = 0;
    for (uint32_t i = 0; i < 8; i++) {
        differs |= (uint8_t)(rq->model_id[i] ^ model_id[i]);
        any |= rq->model_id[i];
    }
    if (rq->version != EB_LINK_VERSION) {
        return EB_LINK_ERR_VERSION;
    }
    if (differs && (any || rq->kind != EB_LINK_HELLO)) {
        return EB_LINK_ERR_MODEL;
    }
    return rq->entry < entries ? EB_LINK_OK : EB_LINK_ERR_ENTRY;
}

static int hashed; // the last run hashed its layers

// Hashes of the layers of the last run from rq->offset on.
static void hashes_of(const eb_request *rq, uint8_t *p, result *r) {
    if (!hashed) {
        r->status = EB_LINK_ERR_NO_TRACE;
        return;
    }
    if (!fits(rq->offset, 0, EB_APP_LAYERS)) {
        r->status = EB_LINK_ERR_RANGE;
        return;
    }
    uint32_t n = EB_APP_LAYERS - rq->offset;
    n = n < EB_LINK_PAYLOAD_MAX / 4 ? n : EB_LINK_PAYLOAD_MAX / 4;
    for (uint32_t i = 0; i < n; i++) {
        eb_put32(p + 4 * i, eb_trace_crc(rq->offset + i));
    }
    r->arg = EB_APP_LAYERS;
    r->bytes = 4 * n;
}

// Cycles of the layers of the last run from rq->offset on; nothing where none are counted.
static void cycles_of(const eb_request *rq, uint8_t *p, result *r) {
    if (eb_trace_source()[0] == 'n') {
        return;
    }
    if (!fits(rq->offset, 0, EB_APP_LAYERS)) {
        r->status = EB_LINK_ERR_RANGE;
        return;
    }
    uint32_t n = EB_APP_LAYERS - rq->offset;
    n = n < EB_LINK_PAYLOAD_MAX / 8 ? n : EB_LINK_PAYLOAD_MAX / 8;
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t cycles = eb_trace_cycles(rq->offset + i);
        eb_put32(p + 8 * i, (uint32_t)cycles);
        eb_put32(p + 8 * i + 4, (uint32_t)(cycles >> 32));
    }
    r->arg = EB_APP_LAYERS;
    r->bytes = 8 * n;
}

// One request; the application's own.
static void answer(const eb_request *rq);

// Requests, until the other end is gone.
static void serve(void) {
    eb_request rq;
    uint32_t last_crc = 0;
    int repeatable = 0;
    while (eb_link_receive(&rq) == 0) {
        if (repeatable && rq.crc == last_crc && rq.kind != EB_LINK_HELLO) {
            eb_link_repeat();
            continue;
        }
        last_crc = rq.crc;
        repeatable = 1;
        answer(&rq);
    }
}

#endif
