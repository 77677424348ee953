// SPDX-License-Identifier: Apache-2.0
// The packed layouts of trits, written a second time, so that the tester runs where there is no Python. The
// tests compare them with edgebit/layouts.
#include "check.h"

static int32_t trit_at(const int8_t *trits, int32_t rows, int32_t cols, int32_t r, int32_t k) {
    return r < rows && k < cols ? trits[r * cols + k] : 0;
}

static uint32_t no_scratch(int32_t rows, int32_t cols) {
    (void)rows;
    (void)cols;
    return 0;
}

static uint32_t pack_t2(const int8_t *trits, int32_t rows, int32_t cols, uint8_t *out) {
    uint8_t *p = out;
    for (int32_t r = 0; r < rows; r++) {
        for (int32_t k = 0; k < cols; k += 4) {
            uint32_t byte = 0;
            for (int32_t j = 0; j < 4; j++) {
                byte |= (uint32_t)(trit_at(trits, rows, cols, r, k + j) + 1) << (2 * j);
            }
            *p++ = (uint8_t)byte;
        }
    }
    return (uint32_t)(p - out);
}

static uint32_t pack_lut4(const int8_t *trits, int32_t rows, int32_t cols, uint8_t *out) {
    uint8_t *p = out;
    for (int32_t r = 0; r < rows; r += 8) {
        for (int32_t k = 0; k < cols; k += 4) {
            for (int32_t i = r; i < r + 8; i++) {
                int32_t d[4]; // trit + 1
                for (int32_t j = 0; j < 4; j++) {
                    d[j] = trit_at(trits, rows, cols, i, k + j) + 1;
                }
                int32_t place = d[3] < 2   ? 2 * (9 * d[0] + 3 * d[1] + d[2]) + d[3]
                                : d[2] < 2 ? 54 + 2 * (3 * d[0] + d[1]) + d[2]
                                : d[1] < 2 ? 72 + 2 * d[0] + d[1]
                                           : 78 + d[0];
                *p++ = (uint8_t)(2 * place);
            }
        }
    }
    return (uint32_t)(p - out);
}

static uint32_t scratch_lut4(int32_t rows, int32_t cols) {
    (void)rows;
    uint32_t groups = ((uint32_t)cols + 3) / 4;
    return (164 * (groups < 32 ? groups : 32) + 7) & ~7u;
}

// Header of one row block: byte 0 in words, then the lengths of the blocks of columns in steps of 16.
static uint8_t *pack_smlad2_header(const int8_t *trits, int32_t rows, int32_t cols, int32_t r, uint8_t *p) {
    uint8_t *header = p++;
    int32_t total[8] = {0};
    uint8_t length = 0;
    for (int32_t k = 0; k < cols; k += 16) {
        int32_t count[8] = {0};
        int fits = length < 255;
        for (int32_t i = 0; i < 8; i++) {
            for (int32_t j = k; j < k + 16; j++) {
                count[i] += trit_at(trits, rows, cols, r + i, j) != 0;
            }
            fits = fits && total[i] + count[i] <= (i < 4 ? 63 : 1023);
        }
        if (!fits) {
            *p++ = length;
            length = 0;
        }
        for (int32_t i = 0; i < 8; i++) {
            total[i] = fits ? total[i] + count[i] : count[i];
        }
        length++;
    }
    *p++ = length;
    *p++ = 0;
    while ((p - header) & 3) {
        *p++ = 0;
    }
    header[0] = (uint8_t)((p - header) / 4);
    return p;
}

static uint32_t pack_smlad2(const int8_t *trits, int32_t rows, int32_t cols, uint8_t *out) {
    uint8_t *p = out;
    int32_t width = (cols + 15) & ~15;
    for (int32_t r = 0; r < rows; r += 8) {
        p = pack_smlad2_header(trits, rows, cols, r, p);
        for (int32_t k = 0; k < width; k += 4) {
            for (int32_t odd = 0; odd < 2; odd++) {
                uint32_t word = 0;
                for (uint32_t i = 0; i < 4; i++) {
                    uint32_t field = 0;
                    for (int32_t lane = 0; lane < 2; lane++) {
                        int32_t at = k + odd + 2 * lane;
                        int32_t low = trit_at(trits, rows, cols, r + (int32_t)i, at) + 1;
                        int32_t high = trit_at(trits, rows, cols, r + (int32_t)i + 4, at) & 3;
                        field |= (uint32_t)(low | high << 14) << (16 * lane);
                    }
                    word |= i == 0 ? field : field << (4 * i) | field >> (32 - 4 * i);
                }
                for (int32_t b = 0; b < 4; b++) {
                    *p++ = (uint8_t)(word >> (8 * b));
                }
            }
        }
    }
    return (uint32_t)(p - out);
}

static uint32_t scratch_smlad2(int32_t rows, int32_t cols) {
    (void)rows;
    return (4 * (((uint32_t)cols + 15) / 16 + 1) + 7) & ~7u;
}

// Layouts of edgebit/layouts/fields.py.
typedef struct {
    int32_t fields; // 4: two bits each; 5: a fraction
    int32_t lanes;
    int32_t span;
    int32_t together;
    int32_t is_signed; // of 4 fields the last one, of 5 the byte
} field_order;

static uint32_t fields_byte(const field_order *o, const int32_t trit[5]) {
    uint32_t byte = 0;
    if (o->fields == 4) {
        for (int32_t f = 0; f < 4; f++) {
            byte |= (uint32_t)((f < 3 || !o->is_signed ? trit[f] + 1 : trit[f]) & 3) << (2 * f);
        }
        return byte;
    }
    int32_t v = 0;
    for (int32_t f = 0; f < 5; f++) {
        v = 3 * v + trit[f];
    }
    // The first number not below 256 v / 243 or, when signed, not below it less a half, from -256 up.
    const int32_t least = o->is_signed ? 512 * v - 243 : 512 * (v + 121);
    return eb_check_steps(least + 486 * 256, 486) & 0xFF;
}

static uint32_t pack_fields(const field_order *o, const int8_t *trits, int32_t rows, int32_t cols,
                            uint8_t *out) {
    uint8_t *p = out;
    int32_t width = (cols + 15) & ~15;
    int32_t block = o->fields * o->lanes;
    for (int32_t r = 0; r < rows; r += block * o->together) {
        for (int32_t k = 0; k < width; k += o->span) {
            for (int32_t turn = 0; turn < o->together; turn++) {
                for (int32_t lane = 0; lane < o->lanes; lane++) {
                    for (int32_t j = 0; j < o->span; j++) {
                        int32_t trit[5] = {0};
                        for (int32_t f = 0; f < o->fields; f++) {
                            trit[f] =
                                trit_at(trits, rows, cols, r + turn * block + f * o->lanes + lane, k + j);
                        }
                        *p++ = (uint8_t)fields_byte(o, trit);
                    }
                }
            }
        }
    }
    return (uint32_t)(p - out);
}

#define PACK_FIELDS(name, ...)                                                                               \
    static uint32_t pack_##name(const int8_t *trits, int32_t rows, int32_t cols, uint8_t *out) {             \
        static const field_order order = {__VA_ARGS__};                                                      \
        return pack_fields(&order, trits, rows, cols, out);                                                  \
    }

PACK_FIELDS(e2, 4, 4, 4, 1, 1)
PACK_FIELDS(e2k, 4, 1, 16, 2, 1)
PACK_FIELDS(e2r32, 4, 8, 4, 1, 0)
PACK_FIELDS(e2r64, 4, 16, 4, 1, 0)
PACK_FIELDS(e16, 5, 4, 4, 1, 1)
PACK_FIELDS(e16k, 5, 1, 16, 2, 1)
PACK_FIELDS(e16r80, 5, 16, 4, 1, 0)

// A byte of four rows' digits, of the rows from r below `end`.
static uint8_t digits(const int8_t *trits, int32_t rows, int32_t cols, int32_t r, int32_t end, int32_t k) {
    int32_t value = 0;
    for (int32_t i = 3; i >= 0; i--) {
        value = 4 * value + (r + i < end ? trit_at(trits, rows, cols, r + i, k) : 0);
    }
    return (uint8_t)value;
}

// Four rows a byte, and 16 bytes that are read and ignored.
static uint32_t pack_digits4(const int8_t *trits, int32_t rows, int32_t cols, uint8_t *out) {
    uint8_t *p = out;
    for (int32_t r = 0; r < rows; r += 4) {
        for (int32_t k = 0; k < ((cols + 15) & ~15); k++) {
            *p++ = digits(trits, rows, cols, r, rows, k);
        }
    }
    memset(p, 0, 16);
    return (uint32_t)(p - out) + 16;
}

// Seven rows in two bytes while 28 rows are left, then digits4.
static uint32_t pack_digits7(const int8_t *trits, int32_t rows, int32_t cols, uint8_t *out) {
    uint8_t *p = out;
    int32_t r = 0;
    for (; rows - r > 24; r += 28) {
        for (int32_t block = r; block < r + 28; block += 7) {
            for (int32_t k = 0; k < ((cols + 15) & ~15); k += 16, p += 32) {
                for (int32_t j = 0; j < 16; j++) {
                    p[j] = digits(trits, rows, cols, block, rows, k + j);
                    p[16 + j] = digits(trits, rows, cols, block + 4, block + 7, k + j);
                }
            }
        }
    }
    memset(p, 0, 32);
    p += r < rows ? pack_digits4(trits + r * cols, rows - r, cols, p) : 16;
    memset(p, 0, 16);
    return (uint32_t)(p - out) + 16;
}

static uint32_t pack_t2r8(const int8_t *trits, int32_t rows, int32_t cols, uint8_t *out) {
    uint8_t *p = out;
    for (int32_t r = 0; r < rows; r += 8) {
        for (int32_t k = 0; k < cols; k += 16) {
            for (int32_t i = r; i < r + 8; i++) {
                for (int32_t j = k; j < k + 16; j += 4) {
                    uint32_t byte = 0;
                    for (int32_t b = 0; b < 4; b++) {
                        byte |= (uint32_t)(trit_at(trits, rows, cols, i, j + b) & 3) << (2 * b);
                    }
                    *p++ = (uint8_t)byte;
                }
            }
        }
    }
    return (uint32_t)(p - out);
}

// What the largest user, tmatvec_f32__avx2, needs.
static uint32_t scratch_t2r8(int32_t rows, int32_t cols) {
    (void)rows;
    return 16 * (((uint32_t)cols + 15) & ~15u);
}

static const eb_check_layout layouts[] = {
    {"t2", 1, INT32_MAX, pack_t2, no_scratch},
    {"lut4", 8, 65536, pack_lut4, scratch_lut4},
    {"smlad2", 8, 32768, pack_smlad2, scratch_smlad2},
    {"e2", 16, 131072, pack_e2, no_scratch},
    {"e2k", 8, 131072, pack_e2k, no_scratch},
    {"e2r32", 32, 131072, pack_e2r32, no_scratch},
    {"e2r64", 64, 131072, pack_e2r64, no_scratch},
    {"e16", 20, 65535, pack_e16, no_scratch},
    {"list8", 1, 65536, eb_check_pack_list8, no_scratch},
    {"list16", 4, 1 << 24, eb_check_pack_list16, no_scratch},
    {"ofs16g3", 4, 65536, eb_check_pack_ofs16g3, eb_check_scratch_ofs16g3},
    {"ofs16g4", 4, 65536, eb_check_pack_ofs16g4, eb_check_scratch_ofs16g4},
    {"ofs16g5", 4, 65536, eb_check_pack_ofs16g5, eb_check_scratch_ofs16g5},
    {"e16k", 10, 65535, pack_e16k, no_scratch},
    {"e16r80", 80, 65535, pack_e16r80, no_scratch},
    {"digits4", 4, 131072, pack_digits4, no_scratch},
    {"digits7", 4, 131072, pack_digits7, no_scratch},
    {"t2r8", 8, INT32_MAX, pack_t2r8, scratch_t2r8},
};

const eb_check_layout *eb_check_find_layout(const char *name) {
    for (uint32_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++) {
        if (eb_check_equal(layouts[i].name, name)) {
            return &layouts[i];
        }
    }
    return NULL;
}
