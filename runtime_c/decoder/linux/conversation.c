// SPDX-License-Identifier: Apache-2.0
// Answers stand in the next prompt as the tokens that the model wrote, so that nothing of them is taken in
// again. Where the template shows a past answer in another way (trimmed, without its thoughts, or joined to
// what follows it), they are encoded anew, as the template has it.
#include <stdlib.h>
#include <string.h>

#include "conversation.h"

static int same_parts(const eb_tokenizer *t, uint32_t a, uint32_t b) {
    const uint32_t n = t->parts[a + 1] - t->parts[a];
    if (t->parts[b + 1] - t->parts[b] != n) {
        return 0;
    }
    for (uint32_t i = 0; i < n; i++) {
        const eb_chat_item *x = &t->items[t->parts[a] + i];
        const eb_chat_item *y = &t->items[t->parts[b] + i];
        if (x->id != y->id ||
            (x->id == EB_NO_TOKEN &&
             (x->length != y->length || memcmp(t->blob + x->at, t->blob + y->at, x->length) != 0))) {
            return 0;
        }
    }
    return 1;
}

int eb_conversation_open(eb_conversation *c, const eb_tokenizer *t, const char *system, int32_t context) {
    const size_t system_bytes = system == NULL ? 0 : strlen(system);
    memset(c, 0, sizeof *c);
    c->tokenizer = t;
    c->system = system;
    c->max_turns = context + 1;
    c->max_tokens = 2 * context + 2;
    c->text_cap = 65536 + 32 * (size_t)context;
    c->prompt.cap = (size_t)context + 1;
    c->prompt.text_cap = 2 * c->text_cap + system_bytes;
    c->prompt.scratch_bytes = eb_tokenizer_scratch(t, c->prompt.text_cap);
    c->turns = calloc((size_t)c->max_turns, sizeof *c->turns);
    c->texts = malloc(c->text_cap);
    c->answers = calloc((size_t)c->max_tokens, sizeof *c->answers);
    c->prompt.ids = calloc(c->prompt.cap, sizeof *c->prompt.ids);
    c->prompt.text = malloc(c->prompt.text_cap);
    c->prompt.scratch = malloc(c->prompt.scratch_bytes + 1);
    const uint32_t first = t->parts[EB_CHAT_NEXT];
    c->keeps = same_parts(t, EB_CHAT_ANSWER, EB_CHAT_REPLY) && t->parts[EB_CHAT_NEXT + 1] > first &&
               t->items[first].id != EB_NO_TOKEN;
    if (c->turns == NULL || c->texts == NULL || c->answers == NULL || c->prompt.ids == NULL ||
        c->prompt.text == NULL || c->prompt.scratch == NULL) {
        eb_conversation_close(c);
        return 0;
    }
    return 1;
}

void eb_conversation_close(eb_conversation *c) {
    free(c->turns);
    free(c->texts);
    free(c->answers);
    free(c->prompt.ids);
    free(c->prompt.text);
    free(c->prompt.scratch);
    memset(c, 0, sizeof *c);
}

static int add_text(eb_conversation *c, const char *text, size_t n, size_t *bytes) {
    if (n > c->text_cap - c->text_bytes) {
        return 0;
    }
    if (n > 0) {
        memcpy(c->texts + c->text_bytes, text, n);
    }
    c->text_bytes += n;
    *bytes += n;
    return 1;
}

int eb_conversation_ask(eb_conversation *c, const char *text, size_t n) {
    if (c->n_turns == c->max_turns) {
        return 0;
    }
    c->turns[c->n_turns] = (eb_turn){0};
    if (!add_text(c, text, n, &c->turns[c->n_turns].user_bytes)) {
        return 0;
    }
    c->n_turns++;
    return 1;
}

int eb_conversation_answer(eb_conversation *c, int32_t id) {
    if (c->tokens == c->max_tokens) {
        return 0;
    }
    c->answers[c->tokens++] = id;
    c->turns[c->n_turns - 1].tokens++;
    return 1;
}

int eb_conversation_answer_text(eb_conversation *c, const char *text, size_t n) {
    return add_text(c, text, n, &c->turns[c->n_turns - 1].answer_bytes);
}

void eb_conversation_answered(eb_conversation *c, int cut) {
    eb_turn *t = &c->turns[c->n_turns - 1];
    const char *text = c->texts + c->text_bytes - t->answer_bytes;
    t->as_text = cut || !c->keeps ||
                 eb_prompt_shown(c->tokenizer, text, t->answer_bytes, EB_CHAT_TRIM_ANSWER) != t->answer_bytes;
}

void eb_conversation_drop_first(eb_conversation *c) {
    const eb_turn t = c->turns[0];
    c->text_bytes -= t.user_bytes + t.answer_bytes;
    c->tokens -= t.tokens;
    c->n_turns--;
    memmove(c->texts, c->texts + t.user_bytes + t.answer_bytes, c->text_bytes);
    memmove(c->answers, c->answers + t.tokens, (size_t)c->tokens * sizeof *c->answers);
    memmove(c->turns, c->turns + 1, (size_t)c->n_turns * sizeof *c->turns);
}

void eb_conversation_drop_last(eb_conversation *c) {
    const eb_turn *t = &c->turns[--c->n_turns];
    c->text_bytes -= t->user_bytes + t->answer_bytes;
    c->tokens -= t->tokens;
}

// Adds one turn; the answer's place in texts and answers.
static int32_t add_turn(eb_conversation *c, const eb_turn *t, uint32_t trim, int last, const char *text,
                        const int32_t *ids) {
    eb_prompt *p = &c->prompt;
    int32_t status = eb_prompt_text(p, text, t->user_bytes, trim);
    if (status == EB_TEXT_OK) {
        status = eb_prompt_part(p, last ? EB_CHAT_ANSWER : EB_CHAT_REPLY);
    }
    if (status == EB_TEXT_OK && t->as_text) {
        status = eb_prompt_text(p, text + t->user_bytes, t->answer_bytes, EB_CHAT_TRIM_ANSWER);
    }
    for (int32_t i = 0; i < t->tokens && !t->as_text && status == EB_TEXT_OK; i++) {
        status = eb_prompt_token(p, (uint32_t)ids[i]);
    }
    return status == EB_TEXT_OK && !last ? eb_prompt_part(p, EB_CHAT_NEXT) : status;
}

int32_t eb_conversation_prompt(eb_conversation *c) {
    eb_prompt *p = &c->prompt;
    p->tokenizer = c->tokenizer;
    p->count = 0;
    p->text_bytes = 0;
    p->flags = EB_TEXT_START;
    int32_t status;
    if (c->system != NULL) {
        status = eb_prompt_part(p, EB_CHAT_SYSTEM);
        status = status != EB_TEXT_OK ? status
                                      : eb_prompt_text(p, c->system, strlen(c->system), EB_CHAT_TRIM_SYSTEM);
        status = status != EB_TEXT_OK ? status : eb_prompt_part(p, EB_CHAT_SYSTEM_END);
    } else {
        status = eb_prompt_part(p, EB_CHAT_START);
    }
    const char *text = c->texts;
    const int32_t *ids = c->answers;
    for (int32_t i = 0; i < c->n_turns && status == EB_TEXT_OK; i++) {
        const eb_turn *t = &c->turns[i];
        const uint32_t trim = i == 0 && c->system != NULL ? EB_CHAT_TRIM_FIRST : EB_CHAT_TRIM_USER;
        status = add_turn(c, t, trim, i + 1 == c->n_turns, text, ids);
        text += t->user_bytes + t->answer_bytes;
        ids += t->tokens;
    }
    if (status == EB_TEXT_OK) {
        status = eb_prompt_end(p);
    }
    return status == EB_TEXT_OK ? (int32_t)p->count : status;
}
