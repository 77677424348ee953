// SPDX-License-Identifier: Apache-2.0
// What the library of a language model offers; library.c says how it is called. edgebit/serve/library.py
// reads the declarations from here.
#ifndef EDGEBIT_LM_LIBRARY_H
#define EDGEBIT_LM_LIBRARY_H

#include <stddef.h>
#include <stdint.h>

#include "text/sample.h"

// Of the model, for who calls. Bytes; chat: 0 without a chat template, 1 without a system text, else 2.
typedef struct {
    int32_t vocab, context, chat;
    uint32_t text_room; // the most that draw and end write
    uint64_t kv_bytes, weight_bytes;
    uint8_t model[32];
} eb_lm_facts;

// Why an answer ends: it goes on, a token or a string that ends it, the context is full.
enum { EB_LM_ON, EB_LM_STOP, EB_LM_FULL };

const char *eb_lm_unfit(void);
size_t eb_lm_bytes(void);
int32_t eb_lm_open(void *room, const char *weights, int32_t context, int32_t threads, int32_t force,
                   char *why, size_t why_bytes);
void eb_lm_close(void *room);
void eb_lm_about(const void *room, eb_lm_facts *facts);
void eb_lm_prompt_room(const void *room, size_t text_bytes, int32_t n, size_t *ids, size_t *text,
                       size_t *scratch);
int32_t eb_lm_prompt(const void *room, const char *const *texts, const size_t *bytes, int32_t n,
                     int32_t system, uint32_t *ids, size_t ids_cap, char *text, size_t text_cap,
                     void *scratch, size_t scratch_bytes, size_t *count);
int32_t eb_lm_begin(void *room, const int32_t *ids, int32_t n, const eb_sampling *how, uint64_t seed,
                    const char *stops, int32_t n_stops);
int32_t eb_lm_step(void *room);
int32_t eb_lm_draw(void *room, char *out, int32_t *end);
int32_t eb_lm_end(void *room, char *out, int32_t *end);

#endif
