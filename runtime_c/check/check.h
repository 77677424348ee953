// SPDX-License-Identifier: Apache-2.0
// The kernel tester: runs every registered kernel variant on random and adversarial inputs, compares it byte
// for byte with the family's reference variant, and looks for writes outside its buffers.
//
// Freestanding: a port supplies the three functions at the end. Link it with every kernel file of a build,
// all compiled with -DEB_CHECK; EB_KERNEL lines register themselves in the section "eb_kernels".
//
// Arguments: [--list] [--bench] [--seed N] [name of a variant or a family]...
// Exit status: 0 all variants agree, 1 a variant differs or wrote outside, 2 nothing was tested or bad usage.
#ifndef EDGEBIT_CHECK_H
#define EDGEBIT_CHECK_H

#include "edgebit/eb_types.h"

#ifndef EB_CHECK
#error "compile the tester and the kernels with -DEB_CHECK"
#endif

// The widest matrix tried; buffers are static, so small boards may lower it (at least 528).
#ifndef EB_CHECK_MAX_COLS
#define EB_CHECK_MAX_COLS 2048
#endif
// The most rows, after rounding up to the layout's multiple; vectors of 64-bit machines are longer.
#ifndef EB_CHECK_MAX_ROWS
#define EB_CHECK_MAX_ROWS (sizeof(void *) > 4 ? 256 : 48)
#endif
enum {
    EB_CHECK_MAX_WEIGHTS = 16 * EB_CHECK_MAX_COLS, // rows and columns rounded up to 16
    // of any layout, headers included: for one row block of the widest matrix
    EB_CHECK_PACKED = (EB_CHECK_MAX_ROWS > 48 ? 16 : 9) * EB_CHECK_MAX_COLS,
    EB_CHECK_SCRATCH = 16384 + EB_CHECK_MAX_COLS,
    EB_CHECK_GUARD = 64,
};

// One packed layout of trits, as edgebit/layouts defines it.
typedef struct {
    const char *name;
    int32_t row_multiple;
    int32_t max_cols;
    // Packs (rows, cols) row-major trits; returns the number of bytes written.
    uint32_t (*pack)(const int8_t *trits, int32_t rows, int32_t cols, uint8_t *out);
    uint32_t (*scratch)(int32_t rows, int32_t cols);
} eb_check_layout;

// Packers and scratch of list layouts (pack_lists.c).
typedef uint32_t eb_check_packer(const int8_t *trits, int32_t rows, int32_t cols, uint8_t *out);
typedef uint32_t eb_check_scratch(int32_t rows, int32_t cols);
eb_check_packer eb_check_pack_list8, eb_check_pack_list16;
eb_check_packer eb_check_pack_ofs16g3, eb_check_pack_ofs16g4, eb_check_pack_ofs16g5;
eb_check_scratch eb_check_scratch_ofs16g3, eb_check_scratch_ofs16g4, eb_check_scratch_ofs16g5;

// The layout of that name, or null.
const eb_check_layout *eb_check_find_layout(const char *name);

// Random numbers (xorshift32) that are the same everywhere.
uint32_t eb_check_random(uint32_t *state);
uint32_t eb_check_below(uint32_t *state, uint32_t n); // 0..n-1, n <= 65536

// value / step, rounded up, for small quotients: Armv6-M has no division.
uint32_t eb_check_steps(int32_t value, int32_t step);

int eb_check_equal(const char *a, const char *b);
void eb_check_print_u32(uint32_t value);
void eb_check_print_s32(int32_t value);
void eb_check_print_ticks(uint64_t ticks); // with their unit, and the end of the line; 0: there is no counter

// A buffer with guard bytes on both sides. `data` lies EB_CHECK_GUARD bytes into `block`.
typedef struct {
    uint8_t *data;
    uint32_t bytes;
} eb_check_buffer;

// A buffer of `bytes` in block, starting `offset` bytes after its natural place; writes the guards.
eb_check_buffer eb_check_guard(uint8_t *block, uint32_t offset, uint32_t bytes);
int eb_check_intact(const eb_check_buffer *b);
uint32_t eb_check_hash(const uint8_t *data, uint32_t bytes);

typedef struct {
    uint32_t cases;
    uint32_t failed;
} eb_check_result;

// A variant under test.
typedef struct {
    const eb_kernel_descriptor *kernel;
    const eb_kernel_descriptor *ref;
    const eb_check_layout *layout;
    uint32_t random;
    eb_check_result result;
} eb_check_run;

// rows, rounded up to what the layout packs.
int32_t eb_check_height(int32_t rows, const eb_check_layout *layout);
// Starts a run (seed 0: 1); 0, said and counted as a failure, without a reference or a packer for the layout.
int eb_check_open(eb_check_run *t, const eb_kernel_descriptor *kernel, const eb_kernel_descriptor *ref,
                  uint32_t seed);

// The buffers of one call, and what the ones that it only reads held before.
typedef struct {
    eb_check_buffer weights;
    eb_check_buffer x;
    eb_check_buffer acc;
    eb_check_buffer scratch;
    uint32_t input_hash;
    uint32_t weight_hash; // of the first `hashed` bytes
    uint32_t hashed;
} eb_check_call;

// Fills acc with 0x5A and scratch with 0xC3; remembers x and the weights.
void eb_check_begin(eb_check_call *c);
// Counts a case. what: how acc differs, or null. Damage to any buffer goes before it. 1: a failure of which
// the beginning of a line was written, up to rows and columns; the caller ends it.
int eb_check_end(eb_check_run *t, const eb_check_call *c, const char *what, int32_t rows, int32_t cols);

// Test or time one variant of a family against its reference.
typedef struct {
    const char *family;
    eb_check_result (*test)(const eb_kernel_descriptor *kernel, const eb_kernel_descriptor *ref,
                            uint32_t seed);
    void (*bench)(const eb_kernel_descriptor *kernel, uint32_t seed);
} eb_check_family;

extern const eb_check_family eb_check_tmatvec_s8;
extern const eb_check_family eb_check_tmatmat_s8;
extern const eb_check_family eb_check_tmatvec_f32;
extern const eb_check_family eb_check_tgroups_s8;
extern const eb_check_family eb_check_tgroups_f32;

int eb_check_main(int argc, const char *const *argv);

// Supplied by the port.
void eb_check_write(const char *text);
// A counter of time or work in units of eb_check_tick_unit, or 0 always when there is none.
uint64_t eb_check_ticks(void);
extern const char *const eb_check_tick_unit;

#endif
