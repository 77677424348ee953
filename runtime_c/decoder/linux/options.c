// SPDX-License-Identifier: Apache-2.0
// The command line.
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "program.h"

static const char help[] =
    "usage: " EB_D_PROGRAM_NAME " [options]\n"
    "  --prompt-ids \"1 2 3\"  tokens to start from\n"
    "  --prompt TEXT         text to start from\n"
    "  --tokens N            how many tokens to add [64]\n"
    "  --context N           positions there is memory for, at most " EB_D_CONTEXT_TEXT " [all]\n"
    "  --temperature X       0 takes the most likely token [0]\n"
    "  --top-k N, --top-p X, --min-p X, --repetition-penalty X, --seed N\n"
    "  --threads N           [one for each processor]\n"
    "  --weights FILE        [" EB_D_WEIGHTS_NAME " beside the program]\n"
    "  --go-on               do not stop at an end-of-text token\n"
    "  --force               run even if memory is short\n"
    "  --check               look whether the weights file is damaged (reads all of it)\n"
    "  --json                print one JSON object with tokens and figures\n"
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

void eb_read_options(int argc, char **argv, eb_options *o) {
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    *o = (eb_options){.tokens = 64, .context = EB_D_CONTEXT};
    o->sampling = (eb_sampling){.top_p = 1.0f, .repetition_penalty = 1.0f};
    o->threads = processors < 1 ? 1 : processors > EB_D_MAX_THREADS ? EB_D_MAX_THREADS : (int32_t)processors;
    o->weights = beside(argc > 0 ? argv[0] : "");
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        int *flag = strcmp(a, "--force") == 0    ? &o->force
                    : strcmp(a, "--json") == 0   ? &o->json
                    : strcmp(a, "--trace") == 0  ? &o->trace
                    : strcmp(a, "--check") == 0  ? &o->check
                    : strcmp(a, "--logits") == 0 ? &o->logits
                    : strcmp(a, "--go-on") == 0  ? &o->go_on
                                                 : NULL;
        if (flag != NULL) {
            *flag = 1;
            continue;
        }
        if (strcmp(a, "--help") == 0 || strcmp(a, "-h") == 0) {
            (void)fputs(help, stdout);
            exit(0);
        }
        if (strcmp(a, "--tokens") == 0) {
            o->tokens = number(a, value, 0, INT32_MAX);
        } else if (strcmp(a, "--context") == 0) {
            o->context = number(a, value, 1, EB_D_CONTEXT);
        } else if (strcmp(a, "--threads") == 0) {
            o->threads = number(a, value, 1, EB_D_MAX_THREADS);
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
            o->weights = value;
        } else if (value != NULL && strcmp(a, "--prompt") == 0) {
            o->prompt = value;
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
}
