// SPDX-License-Identifier: Apache-2.0
// The Linux program round a decoder: what its files share.
#ifndef EDGEBIT_DECODER_PROGRAM_H
#define EDGEBIT_DECODER_PROGRAM_H

#include <stdint.h>
#include <stdio.h>

#include "session.h"

// Prints "<program>: <sentence>" to stderr and ends with `code`.
_Noreturn void eb_die(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

// What the command line says.
typedef struct {
    eb_place place;
    const char *prompt; // text; NULL when ids are given
    const char *encode; // a file of text to list the tokens of, or NULL
    const char *system; // of a chat, or NULL
    const char *stops[EB_ANSWER_STOPS];
    uint32_t n_stops;
    int32_t *ids; // of the prompt
    int32_t count;
    int32_t tokens; // to add, at most; -1: not said
    int json, trace, logits, go_on, chat, drop_oldest;
    eb_sampling sampling;
    uint64_t seed;
} eb_options;

void eb_read_options(int argc, char **argv, eb_options *o);

// Seconds from some moment on.
double eb_now(void);

// Text to and from tokens, for a session that has a tokenizer.
void eb_text_encode(eb_options *o, const eb_tokenizer *t); // o->prompt to o->ids
// The tokens of the file o->encode, to stdout: on each line a token and how many bytes of text end with it.
void eb_text_list(eb_options *o, const eb_tokenizer *t);

// A chat on stdin and stdout until one ends it; the program's exit code.
int eb_chat(const eb_options *o, eb_session *s);

// What a Raspberry Pi's firmware says of its supply and temperature; 0: nothing is known. Bits 0 to 3: now;
// 16 to 19: since the board was started; see throttle.c.
int eb_throttled(uint32_t *bits);
// A line, when there is something to say.
void eb_throttle_warn(FILE *to);

// What a negative status of eb_session_step or _draw means: the program ends.
_Noreturn void eb_die_of_overflow(void);

#endif
