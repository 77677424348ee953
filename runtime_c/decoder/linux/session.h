// SPDX-License-Identifier: Apache-2.0
// A sequence of tokens under way: what the model has taken in stays there, and a sequence that begins alike
// goes on from where they part. What a token's place holds depends on the tokens before it and on nothing
// else, so that gives the same bytes as starting anew.
#ifndef EDGEBIT_DECODER_SESSION_H
#define EDGEBIT_DECODER_SESSION_H

#include "pool.h"
#include "text/eb_text.h"
#include "text/sample.h"

// Exit codes, those of the edgebit command.
enum { EXIT_USAGE = 2, EXIT_MODEL = 3, EXIT_FIT = 4, EXIT_PROCESSOR = 7, EXIT_OUTPUT = 9, EXIT_WRITE = 11 };

// What memory is taken for, and from where.
typedef struct {
    const char *weights; // the file
    int32_t context, threads;
    int force, check;
} eb_place;

// Why something cannot be done: one of the exit codes (0: it can), and a sentence.
typedef struct {
    int code;
    char words[4608];
} eb_fault;

// Sets *f; returns 0.
int eb_refuse(eb_fault *f, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

// NULL, or why this processor cannot run the program.
const char *eb_unfit_processor(void);

// Memory: the weights mapped and checked against this program, kv and scratch zero. 0, and *why, when there
// is none; nothing is left then.
int eb_take_memory(const eb_place *place, eb_d_context *ctx, eb_fault *why);
void eb_give_back_memory(eb_d_context *ctx);

// CRC-32 of zlib.
uint32_t eb_crc32(uint32_t crc, const void *data, size_t n);

typedef struct {
    eb_d_context ctx;
    eb_pool pool;
    eb_tokenizer tokenizer;
    int has_text;   // the model came with its tokenizer
    int32_t *ids;   // [context + 1] tokens in their places
    int32_t count;  // of the sequence
    int32_t taken;  // of which keys and values are there
    float *logits;  // after the last token; NULL while count > taken
    uint32_t *seen; // scratch of the sampler
} eb_session;

// Opens the model: memory, threads, tokenizer. 0, and *why, when that cannot be; nothing is left then.
int eb_session_open(eb_session *s, const eb_place *place, eb_fault *why);
void eb_session_close(eb_session *s);

// Makes ids[n] the sequence, 1 <= n <= context. Returns how many of them need not be taken in again: at most
// n - 1, since the logits after the last one are wanted.
int32_t eb_session_set(eb_session *s, const int32_t *ids, int32_t n);

// Takes in one more tile, at most EB_D_TILE tokens; returns how many tokens are left, or -1 when an
// activation was NaN or infinite, and then nothing is held to be taken in. There is a token to take in.
int32_t eb_session_step(eb_session *s);

// The next token, drawn and added to the sequence; the logits are spoilt. Negative, as eb_sample, when they
// are not finite. All tokens of the sequence have been taken in. The token is to be taken in next, which
// there is room for only while count <= context.
int32_t eb_session_draw(eb_session *s, const eb_sampling *how, eb_rng *rng);

// Whether a token ends the text: one that the model's configuration, its tokenizer or its chat template
// names.
int eb_session_is_end(const eb_session *s, int32_t id);

// ---- the text of an answer ----

// Stop strings there may be besides the model's own, and all their bytes together.
enum { EB_ANSWER_STOPS = 16, EB_ANSWER_STOP_BYTES = 4096 };

typedef struct {
    eb_detokenizer words;
    eb_stopper stopper;
    eb_stop_string strings[EB_ANSWER_STOPS];
    uint16_t fails[EB_ANSWER_STOP_BYTES];
    char *room; // [room_bytes]
    size_t room_bytes;
} eb_answer;

// The bytes of memory that eb_answer_init needs, and the most that one push or end writes.
size_t eb_answer_room(const eb_tokenizer *t);
// Begins a text; stops[n] are ended by 0 and stay where they are. goes_on: the text has begun before. 0 when
// there are too many stop strings, one is empty, or they are too long together.
int eb_answer_init(eb_answer *a, const eb_tokenizer *t, char *room, const char *const *stops, uint32_t n,
                   int goes_on);
// Text that is complete with this token, whole characters, but for what may belong to a stop string. Returns
// bytes; *stopped becomes 1 at a stop string, which is not in the text.
int32_t eb_answer_push(eb_answer *a, int32_t id, char *out, int *stopped);
// The end of the text: what was held back.
int32_t eb_answer_end(eb_answer *a, char *out, int *stopped);

#endif
