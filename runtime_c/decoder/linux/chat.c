// SPDX-License-Identifier: Apache-2.0
// A chat: a message is a line of standard input. Keys and values stay from one message to the next, so that
// only what is new is taken in. Ctrl-C ends an answer; while the program waits for a message it ends the
// chat, when it is the second one.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conversation.h"
#include "program.h"

enum { LINE = 65536 };

typedef enum { END_STOP, END_LENGTH, END_FULL, END_INTERRUPTED } ending;
static const char *const endings[] = {"stop", "length", "full", "interrupted"};

typedef struct {
    const eb_options *o;
    eb_session *s;
    eb_conversation said;
    eb_answer answer;
    char *room, *out; // [eb_answer_room] each
    eb_rng rng;
    char line[LINE + 1]; // input, from `at` on not looked at yet
    size_t at, have;
    int at_end, at_terminal;
    FILE *notes;    // for what is no answer: a person at a terminal has one place to look at
    int interrupts; // Ctrl-C since the last message
} chat;

// What became of one message.
typedef struct {
    int32_t prompt, kept, taken, made, dropped;
    ending end;
    double prefill_seconds, decode_seconds;
} outcome;

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number) {
    (void)number;
    interrupted = 1;
}

// A terminal throws away what was written when it has sent the signal: what one is to read comes after that.
static void let_terminal_settle(void) {
    const struct timespec pause = {0, 30000000};
    (void)nanosleep(&pause, NULL);
}

static void prompt_person(const chat *c) {
    if (c->at_terminal) {
        (void)fputs("> ", stdout);
        (void)fflush(stdout);
    }
}

// More input behind what there is. 0 at the end of input, or when one wants to leave.
static int read_more(chat *c, const sigset_t *open) {
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    for (;;) {
        if (!interrupted && ppoll(&in, 1, NULL, open) > 0) {
            const ssize_t n = read(STDIN_FILENO, c->line + c->have, sizeof c->line - c->have);
            c->at_end = n <= 0;
            c->have += n > 0 ? (size_t)n : 0;
            return !c->at_end;
        }
        if (interrupted) {
            interrupted = 0;
            let_terminal_settle();
            if (++c->interrupts >= 2) {
                c->at_end = 1;
                c->have = c->at = 0;
                return 0;
            }
            c->have = c->at = 0;
            if (c->at_terminal) {
                (void)fputs("\n(Ctrl-C again, or Ctrl-D, ends the chat)\n", stdout);
            }
            prompt_person(c);
        } else if (errno != EINTR) {
            c->at_end = 1;
            return 0;
        }
    }
}

// The next line that says something: its place and length. NULL at the end of the chat; *too_long: it had
// more bytes than a message may have, and is gone.
static char *read_message(chat *c, size_t *n, int *too_long) {
    sigset_t interrupt, before;
    (void)sigemptyset(&interrupt);
    (void)sigaddset(&interrupt, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &interrupt, &before); // open while waiting only: none is missed
    char *found = NULL;
    *too_long = 0;
    prompt_person(c);
    while (found == NULL) {
        char *from = c->line + c->at;
        char *end = memchr(from, '\n', c->have - c->at);
        if (end == NULL && !c->at_end) {
            if (c->have == sizeof c->line && c->at == 0) {
                *too_long = 1;
                c->have = 0;
            }
            memmove(c->line, c->line + c->at, c->have - c->at);
            c->have -= c->at;
            c->at = 0;
            (void)read_more(c, &before);
            continue;
        }
        if (end == NULL && c->have == c->at) {
            *n = 0;
            found = *too_long ? from : NULL;
            break;
        }
        end = end != NULL ? end : c->line + c->have; // the last line may lack its end
        c->at = (size_t)(end - c->line) + (end < c->line + c->have);
        *n = (size_t)(end - from);
        *n -= *n > 0 && from[*n - 1] == '\r';
        if (*n > 0 || *too_long) {
            found = from;
        } else {
            prompt_person(c);
        }
    }
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return found;
}

static void show_json_text(const char *text, size_t n) {
    (void)putchar('"');
    for (size_t i = 0; i < n; i++) {
        const unsigned char b = (unsigned char)text[i];
        if (b == '"' || b == '\\') {
            (void)printf("\\%c", b);
        } else if (b < 0x20) {
            (void)printf("\\u%04x", b);
        } else {
            (void)putchar(b);
        }
    }
    (void)putchar('"');
}

static void show_outcome(const chat *c, const outcome *r) {
    const double prefill = r->prefill_seconds > 0 ? r->taken / r->prefill_seconds : 0;
    const double decode = r->made > 1 && r->decode_seconds > 0 ? (r->made - 1) / r->decode_seconds : 0;
    if (!c->o->json) {
        (void)fprintf(
            c->notes,
            "[%d tokens of prompt, %d kept, %d taken in at %.1f tokens/s; %d written at %.1f tokens/s",
            (int)r->prompt, (int)r->kept, (int)r->taken, prefill, (int)r->made, decode);
        if (r->dropped > 0) {
            (void)fprintf(c->notes, "; %d of the oldest messages forgotten", (int)r->dropped);
        }
        (void)fprintf(c->notes, "%s]\n",
                      r->end == END_LENGTH        ? "; cut at --tokens"
                      : r->end == END_FULL        ? "; cut at the end of the context"
                      : r->end == END_INTERRUPTED ? "; interrupted"
                                                  : "");
        return;
    }
    const eb_turn *t = &c->said.turns[c->said.n_turns - 1];
    (void)printf("{\"text\": ");
    show_json_text(c->said.texts + c->said.text_bytes - t->answer_bytes, t->answer_bytes);
    (void)printf(", \"tokens\": [");
    for (int32_t i = 0; i < t->tokens; i++) {
        (void)printf("%s%d", i == 0 ? "" : ", ", (int)c->said.answers[c->said.tokens - t->tokens + i]);
    }
    (void)printf(
        "], \"end\": \"%s\", \"prompt_tokens\": %d, \"kept\": %d, \"taken_in\": %d, \"written\": %d, "
        "\"dropped\": %d, \"prefill_seconds\": %.6f, \"decode_seconds\": %.6f}\n",
        endings[r->end], (int)r->prompt, (int)r->kept, (int)r->taken, (int)r->made, (int)r->dropped,
        r->prefill_seconds, r->decode_seconds);
    (void)fflush(stdout);
}

// A sentence about a message that has no answer.
static void complain(const chat *c, const char *words) {
    if (!c->o->json) {
        (void)fflush(stdout);
        (void)fprintf(c->notes, "[%s]\n", words);
        return;
    }
    (void)printf("{\"refused\": ");
    show_json_text(words, strlen(words));
    (void)printf("}\n");
    (void)fflush(stdout);
}

// Makes the conversation the session's sequence, and forgets the oldest turns for that if one may. Returns
// the number of tokens, or a negative status; EB_TEXT_IDS: too many.
static int32_t fit(chat *c, outcome *r) {
    const int32_t context = c->s->ctx.context;
    // What is left for the answer, so that not every word of it makes the conversation anew.
    const int32_t room = c->o->drop_oldest && c->said.n_turns > 1 ? context / 4 : 0;
    for (;;) {
        int32_t n = eb_conversation_prompt(&c->said);
        if (n == EB_TEXT_ROOM || n > context - (c->said.n_turns > 1 ? room : 0)) {
            n = EB_TEXT_IDS;
        }
        if (n != EB_TEXT_IDS || c->said.n_turns == 1 || !c->o->drop_oldest) {
            if (n > 0) {
                r->prompt = n;
                r->kept = eb_session_set(c->s, (const int32_t *)(const void *)c->said.prompt.ids, n);
            }
            return n;
        }
        eb_conversation_drop_first(&c->said);
        r->dropped++;
    }
}

// Takes in what is new; 0 when that was interrupted.
static int take_in(chat *c, outcome *r) {
    const double start = eb_now();
    while (c->s->taken < c->s->count && !interrupted) {
        const int32_t before = c->s->taken;
        if (eb_session_step(c->s) < 0) {
            eb_die_of_overflow();
        }
        r->taken += c->s->taken - before;
    }
    r->prefill_seconds += eb_now() - start;
    return c->s->taken == c->s->count;
}

static void put(chat *c, int32_t n) {
    if (!c->o->json && n > 0 && (fwrite(c->out, 1, (size_t)n, stdout) != (size_t)n || fflush(stdout) != 0)) {
        eb_die(EXIT_WRITE, "the answer cannot be written");
    }
}

// The context ends within the answer: forgets the oldest turns if one may and goes on. 0 when that cannot be.
static int make_room(chat *c, outcome *r) {
    return c->o->drop_oldest && c->said.n_turns > 1 && fit(c, r) > 0 && take_in(c, r);
}

// Token by token, until something ends it; shows the text and keeps both.
static ending write_answer(chat *c, outcome *r) {
    int stopped = 0;
    for (;;) {
        if (interrupted) {
            return END_INTERRUPTED;
        }
        const int32_t id = eb_session_draw(c->s, &c->o->sampling, &c->rng);
        if (id < 0) {
            eb_die(EXIT_MODEL, "the logits are not finite: the weights are damaged; run with --check");
        }
        r->made++;
        if (eb_session_is_end(c->s, id) && !c->o->go_on) {
            return END_STOP;
        }
        const int32_t n = eb_answer_push(&c->answer, id, c->out, &stopped);
        put(c, n);
        if (!eb_conversation_answer(&c->said, id) ||
            !eb_conversation_answer_text(&c->said, c->out, (size_t)n)) {
            return END_FULL;
        }
        if (stopped) {
            return END_STOP;
        }
        if (r->made == c->o->tokens) {
            return END_LENGTH;
        }
        if (c->s->count > c->s->ctx.context) {
            if (!make_room(c, r)) {
                return interrupted ? END_INTERRUPTED : END_FULL;
            }
        } else if (eb_session_step(c->s) < 0) {
            eb_die_of_overflow();
        }
    }
}

// Whether a message would fit the context if nothing else were said.
static int fits_alone(chat *c, const char *text, size_t n) {
    eb_prompt *p = &c->said.prompt;
    size_t count = 0;
    return n <= p->text_cap && eb_tokenizer_encode(c->said.tokenizer, text, n, 0, p->ids, p->cap, p->scratch,
                                                   p->scratch_bytes, &count) != EB_TEXT_IDS;
}

// One message; 0 when the chat ends over it.
static int answer(chat *c, const char *text, size_t n) {
    static const char too_long[] =
        "this message is longer than the context that is left; say it in fewer words";
    outcome r = {0};
    if (!fits_alone(c, text, n)) {
        complain(c, too_long);
        return 1;
    }
    int asked = eb_conversation_ask(&c->said, text, n);
    while (!asked && c->o->drop_oldest && c->said.n_turns > 0) {
        eb_conversation_drop_first(&c->said);
        r.dropped++;
        asked = eb_conversation_ask(&c->said, text, n);
    }
    const int32_t tokens = asked ? fit(c, &r) : EB_TEXT_IDS;
    if (tokens < 0) {
        if (asked) {
            eb_conversation_drop_last(&c->said);
        }
        if (tokens == EB_TEXT_IDS && c->said.n_turns > 0) {
            return 0; // the context is full of what has been said before
        }
        complain(c, tokens == EB_TEXT_IDS ? too_long
                    : tokens == EB_TEXT_CHARACTER
                        ? "this message has a character that the model's vocabulary lacks; say it without"
                        : "this message cannot be turned into tokens");
        return 1;
    }
    (void)eb_answer_init(&c->answer, c->said.tokenizer, c->room, c->o->stops, c->o->n_stops, 0);
    const int ready = take_in(c, &r);
    const double start = eb_now();
    const double before = r.prefill_seconds;
    r.end = ready && c->o->tokens != 0 ? write_answer(c, &r) : ready ? END_LENGTH : END_INTERRUPTED;
    r.decode_seconds = eb_now() - start - (r.prefill_seconds - before);
    int stopped = 0;
    const int32_t rest = eb_answer_end(&c->answer, c->out, &stopped);
    put(c, rest);
    (void)eb_conversation_answer_text(&c->said, c->out, (size_t)rest);
    eb_conversation_answered(&c->said, c->answer.stopper.stopped != 0);
    if (r.end == END_INTERRUPTED) {
        let_terminal_settle();
    }
    if (!c->o->json) {
        (void)putchar('\n');
        (void)fflush(stdout);
    }
    show_outcome(c, &r);
    c->interrupts = r.end == END_INTERRUPTED;
    interrupted = 0;
    return r.end != END_FULL || c->o->drop_oldest;
}

static void open_chat(chat *c) {
    const eb_tokenizer *t = &c->s->tokenizer;
    if (t->parts == NULL) {
        eb_die(EXIT_USAGE,
               "the model came without a chat template that could be taken over (edgebit.json says "
               "why, if it had one); to go on from a text use --prompt, or edgebit run");
    }
    if (c->o->system != NULL && (t->chat_flags & EB_CHAT_HAS_SYSTEM) == 0) {
        eb_die(EXIT_USAGE, "the model's chat template has no place for a system text; leave out --system");
    }
    c->room = malloc(eb_answer_room(t));
    c->out = malloc(eb_answer_room(t));
    if (c->room == NULL || c->out == NULL ||
        !eb_conversation_open(&c->said, t, c->o->system, c->s->ctx.context)) {
        eb_die(EXIT_FIT, "no memory for a chat of %d tokens; give a smaller --context",
               (int)c->s->ctx.context);
    }
    c->at_terminal = !c->o->json && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    c->notes = c->at_terminal ? stdout : stderr;
    eb_rng_seed(&c->rng, c->o->seed);
    const struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
    (void)sigaction(SIGINT, &action, NULL);
}

int eb_chat(const eb_options *o, eb_session *s) {
    static chat c;
    c.o = o;
    c.s = s;
    open_chat(&c);
    int code = 0;
    size_t n = 0;
    int too_long = 0;
    for (char *text; code == 0 && (text = read_message(&c, &n, &too_long)) != NULL;) {
        c.interrupts = 0;
        if (too_long) {
            complain(&c, "a message may have 65536 bytes; this one is left out");
        } else if (!answer(&c, text, n)) {
            code = EXIT_FIT;
        }
    }
    eb_conversation_close(&c.said);
    free(c.room);
    free(c.out);
    if (code != 0) {
        (void)fflush(stdout);
        (void)fprintf(stderr,
                      EB_D_PROGRAM_NAME
                      ": the context of %d tokens is full, so the chat ends; start anew, give a "
                      "larger --context (at most " EB_D_CONTEXT_TEXT
                      ", or export with more), or --drop-oldest to forget the oldest messages\n",
                      (int)s->ctx.context);
    } else if (c.at_terminal) {
        (void)putchar('\n');
    }
    return code;
}
