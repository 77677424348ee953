// SPDX-License-Identifier: Apache-2.0
// The command line.
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "program.h"
#include "text/utf8.h"

static const char help[] =
    "usage: " EB_D_PROGRAM_NAME " [options]\n"
    "  --prompt-ids \"1 2 3\"  tokens to start from\n"
    "  --prompt TEXT         text to start from\n"
    "  --chat                talk with the model: a message a line, Ctrl-D ends\n"
    "  --system TEXT         chat: what the model is told before the first message\n"
    "  --stop TEXT           chat: an answer ends before this text; may be given several times\n"
    "  --drop-oldest         chat: when the context is full, forget the oldest messages and go on\n"
    "  --tokens N            how many tokens to add [64], in a chat to each answer [all there is room for]\n"
    "  --context N           positions there is memory for, at most " EB_D_CONTEXT_TEXT " [all]\n"
    "  --temperature X       0 takes the most likely token [0]\n"
    "  --top-k N, --top-p X, --min-p X, --repetition-penalty X, --seed N\n"
    "  --threads N           [one for each processor]\n"
    "  --weights FILE        [" EB_D_WEIGHTS_NAME " beside the program]\n"
    "  --go-on               do not stop at an end-of-text token\n"
    "  --force               run even if memory is short\n"
    "  --check               look whether the weights file is damaged (reads all of it)\n"
    "  --json                print one JSON object with tokens and figures; in a chat one for each message\n"
    "  --trace               with --json: checksums of all layers' outputs\n"
    "  --logits              print the logits after every prompt token, binary32, and nothing else\n"
    "  --encode FILE         print the tokens of a text file, with the bytes of text up to the end of each\n";

_Noreturn void eb_die(int code, const char *format, ...) {
    va_list arguments;
    (void)fflush(stdout);
    (void)fputs(EB_D_PROGRAM_NAME ": ", stderr);
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fputc('\n', stderr);
    _exit(code);
}

static int32_t number(const char *option, const char *text, int32_t low, int32_t high) {
    char *end = NULL;
    errno = 0;
    const long v = text == NULL ? 0 : strtol(text, &end, 10);
    if (text == NULL || end == text || *end != '\0' || errno != 0 || v < low || v > high) {
        eb_die(EXIT_USAGE, "%s takes a number from %d to %d, not %s", option, (int)low, (int)high,
               text == NULL ? "nothing" : text);
    }
    return (int32_t)v;
}

static float fraction(const char *option, const char *text, float low, float high) {
    char *end = NULL;
    const float v = text == NULL ? 0.0f : strtof(text, &end);
    if (text == NULL || end == text || *end != '\0' || !(v >= low && v <= high)) {
        eb_die(EXIT_USAGE, "%s takes a number from %g to %g, not %s", option, (double)low, (double)high,
               text == NULL ? "nothing" : text);
    }
    return v;
}

// Numbers separated by spaces or commas.
static void read_ids(eb_options *o, const char *text) {
    o->ids = malloc((strlen(text) / 2 + 1) * sizeof *o->ids);
    if (o->ids == NULL) {
        eb_die(EXIT_FIT, "no memory for the prompt");
    }
    o->count = 0;
    for (const char *p = text; *p != '\0';) {
        if (*p == ' ' || *p == ',') {
            p++;
            continue;
        }
        char *end = NULL;
        errno = 0;
        const long v = strtol(p, &end, 10);
        if (end == p || errno != 0 || v < 0 || v >= EB_D_VOCAB ||
            (*end != '\0' && *end != ' ' && *end != ',')) {
            eb_die(EXIT_USAGE, "--prompt-ids takes numbers from 0 to %d, separated by spaces",
                   EB_D_VOCAB - 1);
        }
        o->ids[o->count++] = (int32_t)v;
        p = end;
    }
}

static const char *beside(const char *program) {
    static char path[4096];
    const char *slash = strrchr(program, '/');
    const int folder = slash == NULL ? 0 : (int)(slash - program + 1);
    const int n = snprintf(path, sizeof path, "%.*s%s", folder, program, EB_D_WEIGHTS_NAME);
    return n > 0 && n < (int)sizeof path ? path : EB_D_WEIGHTS_NAME;
}

static int take_flag(eb_options *o, const char *a) {
    const struct {
        const char *name;
        int *flag;
    } flags[] = {
        {"--force", &o->place.force}, {"--check", &o->place.check},       {"--json", &o->json},
        {"--trace", &o->trace},       {"--logits", &o->logits},           {"--go-on", &o->go_on},
        {"--chat", &o->chat},         {"--drop-oldest", &o->drop_oldest},
    };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        if (strcmp(a, flags[i].name) == 0) {
            *flags[i].flag = 1;
            return 1;
        }
    }
    return 0;
}

static void take_stop(eb_options *o, const char *text) {
    size_t bytes = 0;
    for (size_t n = strlen(text); bytes < n;) {
        const eb_utf8 c = eb_utf8_read((const uint8_t *)text + bytes, n - bytes);
        if (c.ok != 1) {
            eb_die(EXIT_USAGE, "--stop takes a text in UTF-8");
        }
        bytes += c.bytes;
    }
    for (uint32_t i = 0; i < o->n_stops; i++) {
        bytes += strlen(o->stops[i]);
    }
    if (text[0] == '\0' || o->n_stops == EB_ANSWER_STOPS || bytes > EB_ANSWER_STOP_BYTES) {
        eb_die(EXIT_USAGE, "--stop takes a text of at least one byte; there may be %d of %d bytes together",
               (int)EB_ANSWER_STOPS, (int)EB_ANSWER_STOP_BYTES);
    }
    o->stops[o->n_stops++] = text;
}

void eb_read_options(int argc, char **argv, eb_options *o) {
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    *o = (eb_options){.tokens = -1, .place.context = EB_D_CONTEXT};
    o->sampling = (eb_sampling){.top_p = 1.0f, .repetition_penalty = 1.0f};
    o->place.threads = processors < 1                  ? 1
                       : processors > EB_D_MAX_THREADS ? EB_D_MAX_THREADS
                                                       : (int32_t)processors;
    o->place.weights = beside(argc > 0 ? argv[0] : "");
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (take_flag(o, a)) {
            continue;
        }
        if (strcmp(a, "--help") == 0 || strcmp(a, "-h") == 0) {
            (void)fputs(help, stdout);
            exit(0);
        }
        if (strcmp(a, "--tokens") == 0) {
            o->tokens = number(a, value, 0, INT32_MAX);
        } else if (strcmp(a, "--context") == 0) {
            o->place.context = number(a, value, 1, EB_D_CONTEXT);
        } else if (strcmp(a, "--threads") == 0) {
            o->place.threads = number(a, value, 1, EB_D_MAX_THREADS);
        } else if (strcmp(a, "--temperature") == 0) {
            o->sampling.temperature = fraction(a, value, 0.0f, 100.0f);
        } else if (strcmp(a, "--top-k") == 0) {
            o->sampling.top_k = (uint32_t)number(a, value, 0, INT32_MAX);
        } else if (strcmp(a, "--top-p") == 0) {
            o->sampling.top_p = fraction(a, value, 0x1p-20f, 1.0f);
        } else if (strcmp(a, "--min-p") == 0) {
            o->sampling.min_p = fraction(a, value, 0.0f, 1.0f);
        } else if (strcmp(a, "--repetition-penalty") == 0) {
            o->sampling.repetition_penalty = fraction(a, value, 0x1p-10f, 0x1p10f);
        } else if (strcmp(a, "--seed") == 0) {
            o->seed = (uint64_t)number(a, value, 0, INT32_MAX);
        } else if (value != NULL && strcmp(a, "--weights") == 0) {
            o->place.weights = value;
        } else if (value != NULL && strcmp(a, "--prompt") == 0) {
            o->prompt = value;
        } else if (value != NULL && strcmp(a, "--system") == 0) {
            o->system = value;
        } else if (value != NULL && strcmp(a, "--stop") == 0) {
            take_stop(o, value);
        } else if (value != NULL && strcmp(a, "--encode") == 0) {
            o->encode = value;
        } else if (value != NULL && strcmp(a, "--prompt-ids") == 0) {
            read_ids(o, value);
        } else {
            eb_die(EXIT_USAGE, "%s: no such option, or its value is missing; see --help", a);
        }
        i++;
    }
    if (o->prompt != NULL && o->ids != NULL) {
        eb_die(EXIT_USAGE, "--prompt and --prompt-ids exclude each other");
    }
    if (o->chat && (o->prompt != NULL || o->ids != NULL || o->encode != NULL || o->logits || o->trace)) {
        eb_die(EXIT_USAGE, "--chat takes its messages from standard input; leave out --prompt, --prompt-ids, "
                           "--encode, --logits and --trace");
    }
    if (!o->chat && (o->system != NULL || o->n_stops > 0 || o->drop_oldest)) {
        eb_die(EXIT_USAGE, "--system, --stop and --drop-oldest belong to --chat");
    }
}
