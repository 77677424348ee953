// SPDX-License-Identifier: Apache-2.0
// What the families' tests share: how a variant's run begins, what a call may not touch, how a failure is
// told.
#include "check.h"

enum { COMPLAINTS = 3, HASHED_WEIGHTS = 4096 };

int32_t eb_check_height(int32_t rows, const eb_check_layout *layout) {
    return (int32_t)eb_check_steps(rows, layout->row_multiple) * layout->row_multiple;
}

int eb_check_open(eb_check_run *t, const eb_kernel_descriptor *kernel, const eb_kernel_descriptor *ref,
                  uint32_t seed) {
    *t = (eb_check_run){kernel, ref, eb_check_find_layout(kernel->layout), seed == 0 ? 1 : seed, {0, 0}};
    if (ref == NULL || t->layout == NULL) {
        eb_check_write("  no reference variant, or no packer for this layout\n");
        t->result.failed = 1;
        return 0;
    }
    return 1;
}

void eb_check_begin(eb_check_call *c) {
    memset(c->acc.data, 0x5A, c->acc.bytes);
    memset(c->scratch.data, 0xC3, c->scratch.bytes);
    c->input_hash = eb_check_hash(c->x.data, c->x.bytes);
    c->hashed = c->weights.bytes < HASHED_WEIGHTS ? c->weights.bytes : HASHED_WEIGHTS;
    c->weight_hash = eb_check_hash(c->weights.data, c->hashed);
}

static const char *damage(const eb_check_call *c) {
    if (!eb_check_intact(&c->acc)) {
        return "wrote outside acc";
    }
    if (!eb_check_intact(&c->scratch)) {
        return "wrote outside scratch";
    }
    if (!eb_check_intact(&c->x) || eb_check_hash(c->x.data, c->x.bytes) != c->input_hash) {
        return "wrote to x";
    }
    if (!eb_check_intact(&c->weights) || eb_check_hash(c->weights.data, c->hashed) != c->weight_hash) {
        return "wrote to w";
    }
    return NULL;
}

int eb_check_end(eb_check_run *t, const eb_check_call *c, const char *what, int32_t rows, int32_t cols) {
    const char *worse = damage(c);
    what = worse != NULL ? worse : what;
    t->result.cases++;
    if (what == NULL || t->result.failed++ >= COMPLAINTS) {
        return 0;
    }
    eb_check_write("  ");
    eb_check_write(t->kernel->variant);
    eb_check_write(": ");
    eb_check_write(what);
    eb_check_write(", ");
    eb_check_print_s32(rows);
    eb_check_write(" rows, ");
    eb_check_print_s32(cols);
    eb_check_write(" columns");
    return 1;
}
