// SPDX-License-Identifier: Apache-2.0
// Bench application: one model, driven over the link. It knows the machine through eb_port.h and the model
// through the generated app_model.h, and nothing else.
#include "app.h"

#include "app_model.h"
#include "eb_port.h"
#include "edgebit/eb_status.h"
#include "edgebit/eb_types.h"

// Which image this is. Zero in the source; the build writes the digest of the linked image here.
const uint8_t eb_image_id[16] __attribute__((section(".eb_image_id"), used)) = {0};

typedef struct {
    uint32_t offset; // from the start of the arena
    uint32_t bytes;
} range;

static const uint8_t model_id[8] = EB_APP_MODEL_ID;
static const range inputs[] = EB_APP_INPUT_TABLE;
static const range outputs[] = EB_APP_OUTPUT_TABLE;

static EB_ALIGNED(EB_ALIGN) uint8_t arena[EB_APP_ARENA_BYTES > 0 ? EB_APP_ARENA_BYTES : 1];
static EB_ALIGNED(EB_ALIGN) uint8_t state[EB_APP_STATE_BYTES > 0 ? EB_APP_STATE_BYTES : 1];
static EB_APP_CTX ctx;
static int init_status;
static int hashed;

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
    return put_string(p, at, "none", 255);
}

// What a request leads to, besides the payload.
typedef struct {
    eb_link_status status;
    uint32_t offset, arg, bytes;
} result;

static void do_write(const eb_request *rq, result *r) {
    if (!within(rq->index, EB_APP_INPUTS) || !fits(rq->offset, rq->payload_bytes, inputs[rq->index].bytes)) {
        r->status = EB_LINK_ERR_RANGE;
        return;
    }
    if (rq->payload_bytes > 0) {
        memcpy(arena + inputs[rq->index].offset + rq->offset, rq->payload, rq->payload_bytes);
    }
}

static void do_read(const eb_request *rq, uint8_t *p, result *r) {
    if (!within(rq->index, EB_APP_OUTPUTS) || !fits(rq->offset, rq->arg, outputs[rq->index].bytes) ||
        rq->arg > EB_LINK_PAYLOAD_MAX) {
        r->status = EB_LINK_ERR_RANGE;
        return;
    }
    r->arg = outputs[rq->index].bytes;
    r->bytes = rq->arg;
    if (rq->arg > 0) {
        memcpy(p, arena + outputs[rq->index].offset + rq->offset, rq->arg);
    }
}

static void do_run(const eb_request *rq, result *r) {
    if (init_status != EB_OK) {
        r->status = EB_LINK_ERR_INIT;
        return;
    }
    hashed = (int)(rq->arg & 1u);
    eb_trace_start(hashed);
    r->arg = (uint32_t)EB_APP_RUN(&ctx);
}

static void do_hashes(const eb_request *rq, uint8_t *p, result *r) {
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

static void do_segment(const eb_request *rq, result *r) {
    if (!within(rq->index, EB_APP_SEGMENTS)) {
        r->status = EB_LINK_ERR_RANGE;
        return;
    }
    r->offset = EB_APP_SEGMENT_TABLE[rq->index].layer;
    r->arg = eb_crc32(0, EB_APP_SEGMENT_TABLE[rq->index].p, EB_APP_SEGMENT_TABLE[rq->index].bytes);
}

static eb_link_status acceptable(const eb_request *rq) {
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
    return rq->entry != 0 ? EB_LINK_ERR_ENTRY : EB_LINK_OK;
}

static void answer(const eb_request *rq) {
    uint8_t *p = eb_link_payload();
    result r = {acceptable(rq), rq->offset, 0, 0};
    if (r.status == EB_LINK_OK) {
        switch (rq->kind) {
        case EB_LINK_HELLO:
            r.bytes = hello(p);
            break;
        case EB_LINK_WRITE:
            do_write(rq, &r);
            break;
        case EB_LINK_RUN:
            do_run(rq, &r);
            break;
        case EB_LINK_READ:
            do_read(rq, p, &r);
            break;
        case EB_LINK_HASHES:
            do_hashes(rq, p, &r);
            break;
        case EB_LINK_SEGMENT:
            do_segment(rq, &r);
            break;
        case EB_LINK_RESET:
            hashed = 0;
            r.arg = init_status == EB_OK ? (uint32_t)EB_APP_RESET(&ctx) : (uint32_t)init_status;
            break;
        case EB_LINK_CYCLES: // no cycle counter is read; the emulator counts from outside
            break;
        default:
            r.status = EB_LINK_ERR_KIND;
            break;
        }
    }
    eb_link_reply(rq, (int)r.status, model_id, r.offset, r.arg, r.bytes);
}

int main(void) {
    eb_request rq;
    uint32_t last_crc = 0;
    int repeatable = 0;
    eb_port_init();
    init_status = (int)EB_APP_INIT(&ctx, state, EB_APP_STATE_BYTES, arena, EB_APP_ARENA_BYTES);
    while (eb_link_receive(&rq) == 0) {
        if (repeatable && rq.crc == last_crc && rq.kind != EB_LINK_HELLO) {
            eb_link_repeat();
            continue;
        }
        last_crc = rq.crc;
        repeatable = 1;
        answer(&rq);
    }
    return 0;
}
