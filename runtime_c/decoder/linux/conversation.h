// SPDX-License-Identifier: Apache-2.0
// What has been said in a chat, and the tokens that the chat template makes of it.
#ifndef EDGEBIT_DECODER_CONVERSATION_H
#define EDGEBIT_DECODER_CONVERSATION_H

#include "session.h"

// A message and its answer. The texts lie one after the other, and so do the tokens of the answers.
typedef struct {
    size_t user_bytes, answer_bytes;
    int32_t tokens; // of the answer
    int as_text;    // the template shows the answer in another way than the model wrote it
} eb_turn;

typedef struct {
    const eb_tokenizer *tokenizer;
    const char *system; // or NULL
    eb_turn *turns;     // [max_turns]
    int32_t n_turns, max_turns;
    char *texts; // [text_cap]
    size_t text_bytes, text_cap;
    int32_t *answers; // [max_tokens]
    int32_t tokens, max_tokens;
    eb_prompt prompt; // scratch of it
    int keeps;        // an answer's tokens may stand in the prompt as they are
} eb_conversation;

// For prompts of `context` tokens. 0 when there is no memory. Texts beyond the memory do not fit the context.
int eb_conversation_open(eb_conversation *c, const eb_tokenizer *t, const char *system, int32_t context);
void eb_conversation_close(eb_conversation *c);

// Each adds to the last turn, or begins one; 0 when there is no room.
int eb_conversation_ask(eb_conversation *c, const char *text, size_t n);
int eb_conversation_answer(eb_conversation *c, int32_t id);
int eb_conversation_answer_text(eb_conversation *c, const char *text, size_t n);
// The last answer is whole; cut: the text leaves out some of its tokens.
void eb_conversation_answered(eb_conversation *c, int cut);
// Forgets the first turn, or the last one.
void eb_conversation_drop_first(eb_conversation *c);
void eb_conversation_drop_last(eb_conversation *c);

// The tokens of all turns, the last one's answer being written: c->prompt.ids. How many, at most context + 1,
// or a negative eb_text_status; EB_TEXT_IDS and EB_TEXT_ROOM: too many.
int32_t eb_conversation_prompt(eb_conversation *c);

#endif
