// SPDX-License-Identifier: Apache-2.0
// The layouts of edgebit/layouts/ofs16.py and list8.py, written a second time.
#include "check.h"

enum {
    CHUNKS = 49,
    CHUNK_CODE = 26,
    ENTRY_CODE = 6,
    BIAS = 1024,
    TABLE_LIMIT = 16384,
    MAX_ENTRIES = 4 * CHUNKS
};
enum { NEGATIVE_CODE = CHUNKS * CHUNK_CODE, BACK = 2 * NEGATIVE_CODE + 24, MAX_MAP = 243 };

typedef struct {
    int16_t offset;
    int8_t sign;
} place;

static const int8_t three[14][3] = {{1, 0, 0},   {0, 1, 0},  {1, 0, 1},  {0, 1, 1}, {-1, 0, 1},
                                    {0, -1, 1},  {1, 1, 0},  {-1, 1, 0}, {1, 1, 1}, {-1, 1, 1},
                                    {-1, -1, 1}, {1, -1, 1}, {0, 0, 1},  {0, 0, 0}};
// Where the words of that order lie in the table of 3 columns.
static const uint8_t order_of_three[7] = {6, 0, 1, 3, 4, 2, 5};

static uint32_t words_of(uint32_t g) {
    return g == 3 ? 7 : g == 4 ? 21 : 63;
}

// The trits of half word `half` of a table of g columns.
static void table_trits(uint32_t g, uint32_t half, int32_t *t) {
    uint32_t word = half >> 1;
    uint32_t kind[2] = {0, 0};
    for (uint32_t level = g; level > 3; level--) {
        uint32_t third = word * 171 >> 9;
        kind[level - 4] = word - 3 * third;
        word = third;
    }
    if (g == 3) {
        word = order_of_three[word];
    }
    for (uint32_t j = 0; j < 3; j++) {
        t[j] = three[2 * word + (half & 1)][j];
    }
    for (uint32_t level = 4; level <= g; level++) {
        for (uint32_t j = 0; kind[level - 4] == 2 && j < level - 1; j++) {
            t[j] = -t[j];
        }
        t[level - 1] = kind[level - 4] != 0;
    }
}

// By digits (trit + 1, the first column counts most): where a group's sum is, with which sign.
static void make_map(uint32_t g, place *map) {
    for (uint32_t i = 0; i < MAX_MAP; i++) {
        map[i] = (place){0, 0};
    }
    if (g == 1) {
        map[0].sign = -1;
        map[2].sign = 1;
        return;
    }
    for (uint32_t half = 2 * words_of(g); half-- > 0;) { // the first of equal ones stays
        int32_t t[5] = {0};
        table_trits(g, half, t);
        int32_t plus = 0;
        int32_t minus = 0;
        for (uint32_t j = 0; j < g; j++) {
            plus = 3 * plus + 1 + t[j];
            minus = 3 * minus + 1 - t[j];
        }
        if (plus != minus) {
            map[plus] = (place){(int16_t)(2 * half), 1};
            map[minus] = (place){(int16_t)(2 * half), -1};
        }
    }
}

static const place *place_of(const place *map, uint32_t g, const int8_t *row, int32_t cols, int32_t k) {
    int32_t digits = 0;
    for (uint32_t j = 0; j < g; j++, k++) {
        digits = 3 * digits + 1 + (k < cols ? row[k] : 0);
    }
    return &map[digits];
}

static uint8_t *put(uint8_t *p, uint32_t value, uint32_t bytes) {
    for (uint32_t i = 0; i < bytes; i++) {
        *p++ = (uint8_t)(value >> (8 * i));
    }
    return p;
}

static uint32_t enter(uint32_t n, uint32_t all) {
    uint32_t chunks = (n + 3) >> 2;
    return n == 0 ? all : NEGATIVE_CODE - CHUNK_CODE * chunks + ENTRY_CODE * (4 * chunks - n);
}

static uint8_t *pack_row(const place *map, uint32_t g, const int8_t *row, int32_t cols, int32_t first,
                         int32_t length, uint32_t stride, uint8_t *p) {
    static uint16_t list[2][MAX_ENTRIES + 4];
    uint32_t count[2] = {0, 0};
    for (int32_t i = 0; i < length; i++) {
        const place *at = place_of(map, g, row, cols, (first + i) * (int32_t)g);
        if (at->sign != 0) {
            int positive = at->sign > 0;
            list[positive][count[positive]++] = (uint16_t)((uint32_t)i * stride + (uint32_t)at->offset);
        }
    }
    uint8_t *head = p;
    p += 8; // the first chunk is split round the start
    uint8_t *body = p + 8;
    uint8_t *q = p;
    for (uint32_t s = 0; s < 2; s++) {
        uint32_t places = (count[s] + 3) & ~3u;
        places = s == 1 && places == 0 ? 4 : places;
        for (uint32_t i = 0; i < places; i++) {
            uint32_t skipped = places - count[s];
            q = put(q, i < skipped ? 0 : list[s][i - skipped], 2);
        }
    }
    uint32_t jumps = (enter(count[0], NEGATIVE_CODE) - BACK) & 0xFFFF;
    jumps |= enter(count[1], NEGATIVE_CODE - 2) << 16;
    uint32_t start = g == 1 ? 0 : BIAS * (count[1] - count[0]);
    // So far the chunks lie at p; the first one's words go to head + 4 and head + 12, the others follow.
    uint8_t first_chunk[8];
    for (uint32_t i = 0; i < 8; i++) {
        first_chunk[i] = p[i];
    }
    uint32_t rest = (uint32_t)(q - body);
    put(head, jumps, 4);
    for (uint32_t i = 0; i < 4; i++) {
        head[4 + i] = first_chunk[i];
        head[12 + i] = first_chunk[4 + i];
    }
    put(head + 8, start, 4);
    return body + rest;
}

// The number of columns from `first` on in which no row has more than MAX_ENTRIES trits of one sign.
static int32_t list_tile(const int8_t *trits, int32_t rows, int32_t cols, int32_t first) {
    int32_t length = cols - first < 0xFFFF ? cols - first : 0xFFFF;
    for (int32_t r = 0; r < rows; r++) {
        int32_t count[2] = {0, 0};
        for (int32_t i = 0; i < length; i++) {
            int8_t t = trits[r * cols + first + i];
            if (t != 0 && ++count[t > 0] > MAX_ENTRIES) {
                length = i;
            }
        }
    }
    return length;
}

static int32_t table_tile(int32_t cols, uint32_t g) {
    int32_t groups = (int32_t)eb_check_steps(cols, (int32_t)g);
    int32_t limit = g == 3 ? MAX_ENTRIES : g == 4 ? TABLE_LIMIT / 84 : TABLE_LIMIT / 252;
    return (int32_t)eb_check_steps(groups, (int32_t)eb_check_steps(groups, limit));
}

static uint32_t pack_lists(uint32_t g, const int8_t *trits, int32_t rows, int32_t cols, uint8_t *out) {
    static place map[MAX_MAP];
    make_map(g, map);
    uint8_t *p = out;
    int32_t groups = (int32_t)eb_check_steps(cols, (int32_t)g);
    uint32_t stride = g == 1 ? 1 : 4 * words_of(g);
    for (int32_t first = 0; first < groups;) {
        int32_t length = g == 1 ? list_tile(trits, rows, cols, first) : table_tile(cols, g);
        length = length < groups - first ? length : groups - first;
        int32_t past = groups * (int32_t)g - cols;
        uint32_t last = first + length == groups;
        uint32_t partial = last != 0 && past != 0 && g != 4 ? g - (uint32_t)past : 0;
        p = put(p, (uint32_t)length | partial << 16 | last << 31, 4);
        for (int32_t r = 0; r < rows; r++) {
            p = pack_row(map, g, trits + r * cols, cols, first, length, stride, p);
        }
        first += length;
    }
    return (uint32_t)(p - out);
}

uint32_t eb_check_pack_list16(const int8_t *trits, int32_t rows, int32_t cols, uint8_t *out) {
    return pack_lists(1, trits, rows, cols, out);
}

#define PACK_OFFSETS(g)                                                                                      \
    uint32_t eb_check_pack_ofs16g##g(const int8_t *trits, int32_t rows, int32_t cols, uint8_t *out) {        \
        return pack_lists(g, trits, rows, cols, out);                                                        \
    }                                                                                                        \
    uint32_t eb_check_scratch_ofs16g##g(int32_t rows, int32_t cols) {                                        \
        (void)rows;                                                                                          \
        return (4 * words_of(g) * (uint32_t)table_tile(cols, g) + 7) & ~7u;                                  \
    }

PACK_OFFSETS(3)
PACK_OFFSETS(4)
PACK_OFFSETS(5)

enum { LIST8_TILE = 256, LIST8_ENTRIES = 64 };

// Whether no row has more than LIST8_ENTRIES trits of one sign in a tile of `width` columns.
static int list8_fits(const int8_t *trits, int32_t rows, int32_t cols, int32_t width) {
    for (int32_t r = 0; r < rows; r++) {
        for (int32_t first = 0; first < cols; first += width) {
            int32_t count[3] = {0};
            for (int32_t k = first; k < cols && k < first + width; k++) {
                count[trits[r * cols + k] + 1]++;
            }
            if (count[0] > LIST8_ENTRIES || count[2] > LIST8_ENTRIES) {
                return 0;
            }
        }
    }
    return 1;
}

uint32_t eb_check_pack_list8(const int8_t *trits, int32_t rows, int32_t cols, uint8_t *out) {
    uint32_t tiles = eb_check_steps(cols, LIST8_TILE);
    int32_t width = (int32_t)eb_check_steps(cols, (int32_t)tiles);
    while (!list8_fits(trits, rows, cols, width)) {
        width = (int32_t)eb_check_steps(cols, (int32_t)++tiles);
    }
    uint8_t *p = put(put(out, eb_check_steps(cols, width), 2), (uint32_t)width, 2);
    for (int32_t r = 0; r < rows; r++) {
        for (int32_t first = 0; first < cols; first += width) {
            for (int8_t sign = -1; sign <= 1; sign = (int8_t)(sign + 2)) {
                uint8_t *place = p++;
                for (int32_t k = first; k < cols && k < first + width; k++) {
                    if (trits[r * cols + k] == sign) {
                        *p++ = (uint8_t)(k - first);
                    }
                }
                uint32_t n = (uint32_t)(p - place) - 1;
                *place = (uint8_t)(2 * n + (n & 1));
            }
        }
    }
    return (uint32_t)(p - out);
}
