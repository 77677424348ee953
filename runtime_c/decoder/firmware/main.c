// SPDX-License-Identifier: Apache-2.0
// Bench application of a language model: tokens or text in, tokens and text out, over the link. One sequence
// at a time; it begins with a RESET. docs/link-protocol.md says what the requests mean here.
#include "app.h"
#include "app_model.h"
#include "decoder.h"
#include "eb_port.h"
#include "edgebit/eb_types.h"
#include "text/eb_text.h"
#include "text/sample.h"

#include "answers.h"

enum { IDS = 0, TEXT = 1, SETTINGS = 2 }; // inputs
enum { STEP = 0, ENCODE = 1 };            // entries
enum { END = 1 };                         // flags of a step
enum { STEP_HEAD = 12, SETTINGS_BYTES = 32 };

extern const uint32_t EB_D(weights)[EB_D_WEIGHT_BYTES / 4];

static EB_ALIGNED(EB_D_UNIT) uint8_t arena[EB_APP_ARENA_BYTES]; // keys and values, then the scratch
static eb_d_context ctx;
static int init_status;

static uint32_t ids[EB_D_CONTEXT + 1]; // the sequence; one more than there are positions for
static int32_t count;                  // of the sequence
static int32_t taken;                  // of which keys and values are there

static eb_tokenizer words;
static eb_detokenizer shown;
static int has_text;
static uint8_t text[EB_APP_TEXT_BYTES];

static uint8_t settings[SETTINGS_BYTES];
static eb_sampling how;
static eb_rng rng;
static uint32_t seen[(EB_D_VOCAB + 31) / 32];

static uint32_t word(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

void EB_D(trace)(int32_t layer, const float *rows, int32_t n, int32_t step) {
    for (int32_t t = 0; t < n; t++) {
        eb_trace((uint32_t)layer, rows + t * (ptrdiff_t)step, EB_D_WIDTH * sizeof(float));
    }
}

static void start_over(void) {
    count = 0;
    taken = 0;
    hashed = 0;
    how = (eb_sampling){.temperature = 0.0f, .top_p = 1.0f, .min_p = 0.0f, .repetition_penalty = 1.0f};
    eb_rng_seed(&rng, 0);
    eb_detokenizer_init(&shown, &words, 0);
}

// Memory as EB_D(init) asks for it. Everything that was in it is gone.
static int open_model(void) {
    memset(arena, 0, sizeof arena);
    if (EB_D(kv_bytes)(EB_D_CONTEXT) + EB_D(scratch_bytes)(1) > sizeof arena) {
        return EB_ERR_ARENA_SIZE;
    }
    return (int)EB_D(init)(&ctx, EB_D(weights), arena, arena + EB_D(kv_bytes)(EB_D_CONTEXT), EB_D_CONTEXT, 1);
}

static eb_link_status write_ids(const eb_request *rq) {
    if (taken > 0 || (rq->offset & 3u) != 0 || (rq->payload_bytes & 3u) != 0 ||
        rq->offset > 4u * (uint32_t)count || !fits(rq->offset, rq->payload_bytes, 4u * EB_D_CONTEXT)) {
        return EB_LINK_ERR_RANGE;
    }
    for (uint32_t i = 0; i < rq->payload_bytes; i += 4) {
        if (word(rq->payload + i) >= EB_D_VOCAB) {
            return EB_LINK_ERR_RANGE;
        }
    }
    for (uint32_t i = 0; i < rq->payload_bytes; i += 4) {
        ids[(rq->offset + i) / 4] = word(rq->payload + i);
    }
    count = (int32_t)((rq->offset + rq->payload_bytes) / 4);
    return EB_LINK_OK;
}

static eb_link_status write_bytes(const eb_request *rq, uint8_t *to, uint32_t total) {
    if (!fits(rq->offset, rq->payload_bytes, total)) {
        return EB_LINK_ERR_RANGE;
    }
    if (rq->payload_bytes > 0) {
        memcpy(to + rq->offset, rq->payload, rq->payload_bytes);
    }
    return EB_LINK_OK;
}

static eb_link_status write_settings(const eb_request *rq) {
    const eb_link_status status = write_bytes(rq, settings, SETTINGS_BYTES);
    how.temperature = eb_f32_of_bits(word(settings));
    how.top_p = eb_f32_of_bits(word(settings + 4));
    how.min_p = eb_f32_of_bits(word(settings + 8));
    how.repetition_penalty = eb_f32_of_bits(word(settings + 12));
    how.top_k = word(settings + 16);
    eb_rng_seed(&rng, word(settings + 24) | (uint64_t)word(settings + 28) << 32);
    return status;
}

static void do_write(const eb_request *rq, result *r) {
    switch (rq->index) {
    case IDS:
        r->status = write_ids(rq);
        break;
    case TEXT:
        r->status = write_bytes(rq, text, sizeof text);
        break;
    case SETTINGS:
        r->status = write_settings(rq);
        break;
    default:
        r->status = EB_LINK_ERR_RANGE;
        break;
    }
}

// The first `offset` bytes of the text become the sequence. The tokenizer works in the arena, which nothing
// else needs before the first token.
static void do_encode(const eb_request *rq, uint8_t *p, result *r) {
    if (taken > 0 || !fits(0, rq->offset, sizeof text)) {
        r->status = EB_LINK_ERR_RANGE;
        return;
    }
    int32_t status = has_text ? EB_TEXT_OK : EB_TEXT_TABLE;
    size_t found = 0;
    uint32_t first = 0;
    if (has_text) {
        for (; first < words.n_prefix && first < EB_D_CONTEXT; first++) {
            ids[first] = words.prefix[first];
        }
        status = eb_tokenizer_encode(&words, (const char *)text, rq->offset, EB_TEXT_START, ids + first,
                                     EB_D_CONTEXT - first, arena, sizeof arena, &found);
        init_status = open_model();
    }
    count = status == EB_TEXT_OK ? (int32_t)(first + found) : 0;
    r->arg = (uint32_t)status;
    eb_put32(p, (uint32_t)(first + found));
    r->bytes = 4;
}

static int is_end(uint32_t id) {
    static const int32_t eos[] = EB_D_EOS; // ends with -1
    for (size_t i = 0; eos[i] >= 0; i++) {
        if ((uint32_t)eos[i] == id) {
            return 1;
        }
    }
    return has_text && eb_tokenizer_is_eos(&words, id);
}

// Draws the next token, and says which, how long the sequence is now, flags, and the text that it completes.
static void draw(float *logits, uint8_t *p, result *r) {
    const int32_t id = eb_sample(&how, logits, EB_D_VOCAB, ids, (size_t)count, seen, &rng);
    if (id < 0) {
        r->arg = (uint32_t)id;
        return;
    }
    ids[count++] = (uint32_t)id;
    const int end = is_end((uint32_t)id);
    eb_put32(p, (uint32_t)id);
    eb_put32(p + 4, (uint32_t)count);
    eb_put32(p + 8, end ? END : 0);
    int32_t n = 0;
    if (has_text && !end) {
        n = eb_detokenizer_push(&shown, (uint32_t)id, (char *)p + STEP_HEAD, EB_LINK_PAYLOAD_MAX - STEP_HEAD);
    }
    r->bytes = STEP_HEAD + (n > 0 ? (uint32_t)n : 0);
}

// Takes in one token of the sequence; after the last one, draws the next.
static void do_step(const eb_request *rq, uint8_t *p, result *r) {
    if (init_status != EB_OK) {
        r->status = EB_LINK_ERR_INIT;
        return;
    }
    if (taken >= count || taken >= EB_D_CONTEXT) {
        r->status = EB_LINK_ERR_RANGE;
        return;
    }
    if (taken == 0) {
        hashed = (int)(rq->arg & 1u);
        eb_trace_start(hashed);
    } else {
        eb_trace_step();
    }
    EB_D(tile)(&ctx, 0, (const int32_t *)(const void *)(ids + taken), 1, taken);
    taken++;
    if (ctx.failed) {
        ctx.failed = 0;
        start_over();
        r->arg = (uint32_t)EB_ERR_NOT_FINITE;
        return;
    }
    if (taken == count) {
        float *logits = EB_D(head)(&ctx, 0, 0);
        eb_trace(EB_D_LAYERS + 1, logits, EB_D_VOCAB * sizeof *logits);
        draw(logits, p, r);
    }
    eb_mark(EB_D_LAYERS + 2);
}

static void do_read(const eb_request *rq, uint8_t *p, result *r) {
    const uint32_t total = 4u * (uint32_t)count;
    if (rq->index != IDS || !fits(rq->offset, rq->arg, total) || rq->arg > EB_LINK_PAYLOAD_MAX) {
        r->status = EB_LINK_ERR_RANGE;
        return;
    }
    memcpy(p, (const uint8_t *)ids + rq->offset, rq->arg);
    r->arg = total;
    r->bytes = rq->arg;
}

static void do_run(const eb_request *rq, uint8_t *p, result *r) {
    if (rq->entry == STEP) {
        do_step(rq, p, r);
    } else {
        do_encode(rq, p, r);
    }
}

static void answer(const eb_request *rq) {
    uint8_t *p = eb_link_payload();
    result r = {acceptable(rq, 2), rq->offset, 0, 0};
    if (r.status == EB_LINK_OK) {
        switch (rq->kind) {
        case EB_LINK_HELLO:
            r.bytes = hello(p);
            break;
        case EB_LINK_WRITE:
            do_write(rq, &r);
            break;
        case EB_LINK_RUN:
            do_run(rq, p, &r);
            break;
        case EB_LINK_READ:
            do_read(rq, p, &r);
            break;
        case EB_LINK_HASHES:
            hashes_of(rq, p, &r);
            break;
        case EB_LINK_SEGMENT:
            if (within(rq->index, EB_APP_SEGMENTS)) {
                r.offset = 0;
                r.arg = eb_crc32(0, EB_D(weights), sizeof EB_D(weights));
            } else {
                r.status = EB_LINK_ERR_RANGE;
            }
            break;
        case EB_LINK_RESET:
            start_over();
            r.arg = (uint32_t)init_status;
            break;
        case EB_LINK_CYCLES:
            cycles_of(rq, p, &r);
            break;
        default:
            r.status = EB_LINK_ERR_KIND;
            break;
        }
    }
    eb_link_reply(rq, (int)r.status, model_id, r.offset, r.arg, r.bytes);
}

int main(void) {
    eb_port_init();
    eb_trace_init();
    init_status = open_model();
    if (EB_D_TEXT_BYTES != 0) {
        const uint8_t *table = (const uint8_t *)EB_D(weights) + (size_t)EB_D_TEXT * EB_D_UNIT;
        has_text = eb_tokenizer_open(table, EB_D_TEXT_BYTES, &words) == EB_TEXT_OK;
    }
    start_over();
    serve();
    return 0;
}
