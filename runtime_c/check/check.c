// SPDX-License-Identifier: Apache-2.0
// Arguments, the list of variants, the summary, and the small things the tests share.
#include "check.h"

extern const eb_kernel_descriptor __start_eb_kernels[];
extern const eb_kernel_descriptor __stop_eb_kernels[];

static const eb_check_family *const families[] = {&eb_check_tmatvec_s8, &eb_check_tmatmat_s8,
                                                  &eb_check_tmatvec_f32, &eb_check_tgroups_s8,
                                                  &eb_check_tgroups_f32};

uint32_t eb_check_random(uint32_t *state) {
    uint32_t s = *state;
    s ^= s << 13;
    s ^= s >> 17;
    s ^= s << 5;
    *state = s;
    return s;
}

uint32_t eb_check_below(uint32_t *state, uint32_t n) {
    return ((eb_check_random(state) >> 16) * n) >> 16;
}

uint32_t eb_check_steps(int32_t value, int32_t step) {
    uint32_t n = 0;
    for (int32_t at = 0; at < value; at += step) {
        n++;
        __asm__("" : "+r"(n)); // or the compiler makes this a division
    }
    return n;
}

int eb_check_equal(const char *a, const char *b) {
    while (*a != 0 && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

void eb_check_print_u32(uint32_t value) {
    static const uint32_t tens[] = {1000000000, 100000000, 10000000, 1000000, 100000,
                                    10000,      1000,      100,      10,      1};
    char text[11];
    uint32_t n = 0;
    for (uint32_t i = 0; i < 10; i++) { // no division: Armv6-M has none
        char digit = '0';
        while (value >= tens[i]) {
            value -= tens[i];
            digit++;
        }
        if (n > 0 || digit != '0' || i == 9) {
            text[n++] = digit;
        }
    }
    text[n] = 0;
    eb_check_write(text);
}

void eb_check_print_s32(int32_t value) {
    eb_check_write(value < 0 ? "-" : "");
    eb_check_print_u32(value < 0 ? 0u - (uint32_t)value : (uint32_t)value);
}

void eb_check_print_ticks(uint64_t ticks) {
    if (ticks == 0) {
        eb_check_write("no counter here\n");
        return;
    }
    eb_check_print_u32(ticks < UINT32_MAX ? (uint32_t)ticks : UINT32_MAX);
    eb_check_write(" ");
    eb_check_write(eb_check_tick_unit);
    eb_check_write("\n");
}

static uint8_t guard_byte(uint32_t i) {
    return (uint8_t)(0xA5 ^ (i * 29));
}

eb_check_buffer eb_check_guard(uint8_t *block, uint32_t offset, uint32_t bytes) {
    eb_check_buffer b = {block + EB_CHECK_GUARD + offset, bytes};
    for (uint32_t i = 0; i < EB_CHECK_GUARD; i++) {
        (b.data - EB_CHECK_GUARD)[i] = guard_byte(i);
        (b.data + bytes)[i] = guard_byte(i);
    }
    return b;
}

int eb_check_intact(const eb_check_buffer *b) {
    for (uint32_t i = 0; i < EB_CHECK_GUARD; i++) {
        if ((b->data - EB_CHECK_GUARD)[i] != guard_byte(i) || (b->data + b->bytes)[i] != guard_byte(i)) {
            return 0;
        }
    }
    return 1;
}

uint32_t eb_check_hash(const uint8_t *data, uint32_t bytes) {
    uint32_t h = 2166136261u;
    for (uint32_t i = 0; i < bytes; i++) {
        h = (h ^ data[i]) * 16777619u;
    }
    return h;
}

static void print_name(const eb_kernel_descriptor *k) {
    eb_check_write(k->family);
    eb_check_write("__");
    eb_check_write(k->variant);
}

static const eb_kernel_descriptor *reference_of(const eb_check_family *family) {
    for (const eb_kernel_descriptor *k = __start_eb_kernels; k < __stop_eb_kernels; k++) {
        if (eb_check_equal(k->family, family->family) && eb_check_equal(k->variant, "ref")) {
            return k;
        }
    }
    return NULL;
}

// Whether "family__variant" or "family" is `name`.
static int is_named(const eb_kernel_descriptor *k, const char *name) {
    const char *f = k->family;
    while (*f != 0 && *f == *name) {
        f++;
        name++;
    }
    if (*f != 0) {
        return 0;
    }
    return *name == 0 || (name[0] == '_' && name[1] == '_' && eb_check_equal(name + 2, k->variant));
}

typedef struct {
    int list;
    int bench;
    uint32_t seed;
    int names; // first of the names in argv
    int argc;
    const char *const *argv;
} options;

static int parse(options *o) {
    int i = 1;
    for (; i < o->argc && o->argv[i][0] == '-'; i++) {
        if (eb_check_equal(o->argv[i], "--list")) {
            o->list = 1;
        } else if (eb_check_equal(o->argv[i], "--bench")) {
            o->bench = 1;
        } else if (eb_check_equal(o->argv[i], "--seed") && i + 1 < o->argc) {
            o->seed = 0;
            for (const char *c = o->argv[++i]; *c >= '0' && *c <= '9'; c++) {
                o->seed = o->seed * 10 + (uint32_t)(*c - '0');
            }
        } else {
            return 0;
        }
    }
    o->names = i;
    return 1;
}

static int wanted(const options *o, const eb_kernel_descriptor *k) {
    int hit = o->names == o->argc;
    for (int i = o->names; i < o->argc; i++) {
        hit = hit || is_named(k, o->argv[i]);
    }
    return hit;
}

static uint32_t test(const eb_check_family *family, const eb_kernel_descriptor *k, uint32_t seed) {
    eb_check_result r = family->test(k, reference_of(family), seed == 0 ? 1 : seed);
    print_name(k);
    eb_check_write(r.failed == 0 ? " ok " : " FAIL ");
    eb_check_print_u32(r.cases);
    eb_check_write(" cases ");
    eb_check_print_u32(r.failed);
    eb_check_write(" failed\n");
    return r.failed;
}

int eb_check_main(int argc, const char *const *argv) {
    options o = {.seed = 1, .argc = argc, .argv = argv};
    uint32_t seen = 0;
    uint32_t failed = 0;
    if (!parse(&o)) {
        eb_check_write("usage: check [--list] [--bench] [--seed N] [family or family__variant]...\n");
        return 2;
    }
    eb_check_write("seed ");
    eb_check_print_u32(o.seed);
    eb_check_write("\n");
    for (uint32_t f = 0; f < sizeof families / sizeof families[0]; f++) {
        for (const eb_kernel_descriptor *k = __start_eb_kernels; k < __stop_eb_kernels; k++) {
            if (!eb_check_equal(k->family, families[f]->family) || !wanted(&o, k)) {
                continue;
            }
            seen++;
            if (o.list) {
                print_name(k);
                eb_check_write(" ");
                eb_check_write(k->layout);
                eb_check_write("\n");
            } else if (o.bench) {
                print_name(k);
                families[f]->bench(k, o.seed);
            } else {
                failed += test(families[f], k, o.seed) != 0;
            }
        }
    }
    if (seen == 0) {
        eb_check_write("no such variant in this build\n");
        return 2;
    }
    eb_check_print_u32(seen);
    eb_check_write(o.list || o.bench ? " variants\n"
                   : failed == 0     ? " variants, all ok\n"
                                     : " variants, FAILED\n");
    return failed != 0;
}
