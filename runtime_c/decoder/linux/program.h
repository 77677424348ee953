// SPDX-License-Identifier: Apache-2.0
// The Linux program round a decoder: what its files share.
#ifndef EDGEBIT_DECODER_PROGRAM_H
#define EDGEBIT_DECODER_PROGRAM_H

#include <stdint.h>
#include <stdio.h>

#include "../decoder.h"
#include "text/sample.h"

// Exit codes, those of the edgebit command.
enum { EXIT_USAGE = 2, EXIT_MODEL = 3, EXIT_FIT = 4, EXIT_PROCESSOR = 7, EXIT_OUTPUT = 9, EXIT_WRITE = 11 };

// NULL, or why this processor cannot run the program.
const char *eb_unfit_processor(void);

// Prints "<program>: <sentence>" to stderr and ends with `code`.
_Noreturn void eb_die(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

// What the command line says.
typedef struct {
    const char *weights;
    const char *prompt; // text; NULL when ids are given
    const char *encode; // a file of text to list the tokens of, or NULL
    int32_t *ids;       // of the prompt
    int32_t count;
    int32_t tokens;
    int32_t context;
    int32_t threads;
    int force, json, trace, check, logits, go_on;
    eb_sampling sampling;
    uint64_t seed;
} eb_options;

void eb_read_options(int argc, char **argv, eb_options *o);

// Memory: the weights mapped and checked against this program, kv and scratch zero.
void eb_take_memory(const eb_options *o, eb_d_context *ctx);

// Threads: jobs of one tile, and the logits after its last token or NULL. eb_pool_start once, before.
void eb_pool_start(eb_d_context *ctx);
float *eb_pool_run(const int32_t *ids, int32_t n, int32_t first, int head);
// The logits after another token of the last tile.
float *eb_pool_head(int32_t index);
void eb_pool_stop(void);

// Text. eb_text_open: 0 when the model came without a tokenizer; then none of the others is called, but
// eb_text_is_end.
int eb_text_open(const uint8_t *weights);
void eb_text_encode(eb_options *o); // o->prompt to o->ids
// The tokens of the file o->encode, to stdout: on each line a token and how many bytes of text end with it.
void eb_text_list(eb_options *o);
void eb_text_show(int32_t id); // what the token completes, to stdout
void eb_text_end(void);
int eb_text_is_end(int32_t id);

// CRC-32 of zlib.
uint32_t eb_crc32(uint32_t crc, const void *data, size_t n);

#endif
