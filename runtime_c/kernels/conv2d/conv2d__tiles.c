// SPDX-License-Identifier: Apache-2.0
// Where the pixels of a tile are.
#include "conv2d/conv2d_tiles.h"

void eb_conv2d__tiles_take(const eb_conv2d_tiles_params *p, eb_tile *t, int32_t count, int32_t pixels) {
    eb_corner now = t->next;
    const int32_t first = eb_tile_first(count, pixels);
    eb_corner *to = t->corner + first;
    int32_t left = t->left;
    int32_t step = p->stride_w;
    int32_t bytes = step * p->c;
    t->min_y = now.y;
    t->min_x = now.x;
    t->max_x = now.x + (count - 1) * step;
    for (const eb_corner *end = to + count; to != end; to++) {
        *to = now;
        now.x += step;
        now.at += bytes;
        if (--left == 0) {
            left = p->ow;
            now.y += p->stride_h;
            now.x = -p->pad_left;
            now.at = (now.y * p->w + now.x) * p->c;
            if (to + 1 != end) { // the tile goes on in the next row: it has the last column and the first
                t->min_x = now.x;
                t->max_x = now.x + (left - 1) * step;
            }
        }
    }
    for (const eb_corner *end = t->corner + pixels; to != end; to++) {
        *to = to[-1];
    }
    for (int32_t i = 0; i < first; i++) {
        t->corner[i] = t->corner[first];
    }
    t->max_y = to[-1].y;
    t->next = now;
    t->left = left;
}

void eb_conv2d__tiles_point(const eb_tile *t, int32_t y, int32_t x, int32_t at, const int8_t **from,
                            int32_t pixels) {
    const eb_corner *corner = t->corner;
    const int8_t *image = t->image;
    uint32_t h = (uint32_t)t->h;
    uint32_t w = (uint32_t)t->w;
    for (const int8_t **end = from + pixels; from != end; from++, corner++) {
        *from = t->pad;
        if ((uint32_t)(corner->y + y) < h && (uint32_t)(corner->x + x) < w) {
            *from = image + (corner->at + at);
        }
    }
}

#if defined(__thumb__) && defined(__ARM_ARCH_6M__)
enum { EB_TILES_UNROLLED = 31 };

// Copies rows of n bytes, 1 <= n <= EB_TILES_UNROLLED, rows >= 1; steps: bytes from a row to the next.
void eb_conv2d__tiles_rows(int8_t *to, const int8_t *from, int32_t rows, int32_t n, int32_t to_step,
                           int32_t from_step);

// clang-format off
// r0 to, r1 from, r2 rows, r3 where a row begins, r4 a byte, r5 r6 steps.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_conv2d__tiles_rows, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_conv2d__tiles_rows\n"
        ".hidden eb_conv2d__tiles_rows\n"
        ".type eb_conv2d__tiles_rows, %function\n"
        ".thumb_func\n"
        "eb_conv2d__tiles_rows:\n"
        "push {r4-r6, lr}\n"
        "ldr r5, [sp, #16]\n ldr r6, [sp, #20]\n"
        "adr r4, 2f\n lsls r3, r3, #2\n subs r3, r4, r3\n"
        "1:\n"
        "mov pc, r3\n"
        ".p2align 2\n"
        ".set .Leb_tiles_at, 30\n"
        ".rept 31\n"
        "ldrb r4, [r1, #.Leb_tiles_at]\n strb r4, [r0, #.Leb_tiles_at]\n"
        ".set .Leb_tiles_at, .Leb_tiles_at - 1\n"
        ".endr\n"
        "2:\n"
        "adds r1, r1, r6\n adds r0, r0, r5\n subs r2, #1\n"
        "bne 1b\n"
        "pop {r4-r6, pc}\n"
        ".size eb_conv2d__tiles_rows, . - eb_conv2d__tiles_rows\n"
        ".popsection\n");
// clang-format on

// Fills the words from `to` up to `end`, at least one, with a byte.
static void fill(uint32_t *to, const uint32_t *end, int32_t padding) {
    const uint32_t word = (uint32_t)(padding & 255) * 0x01010101u;
    do {
        *to++ = word;
        __asm__("" : "+r"(to)); // keeps compilers from calling memset
    } while (to != end);
}

void eb_conv2d__tiles_copy(const eb_conv2d_tiles_params *p, const eb_tile *t, int8_t *to, int32_t pixels) {
    const eb_corner *corner = t->corner;
    const int32_t all = p->kw * p->c;
    const int32_t dilation = p->dilation_h;
    const int32_t step = dilation * p->w * p->c;
    for (const eb_corner *end = corner + pixels; corner != end; corner++, to += p->copy) {
        int32_t x = corner->x;
        int32_t y = corner->y;
        const int8_t *from = t->image + corner->at;
        int8_t *row = to;
        int32_t rows = p->kh;
        int32_t n = all;
        if (x < 0 || x + p->kw > p->w || y < 0 || y + (rows - 1) * dilation >= p->h) {
            fill((void *)to, (void *)(to + p->copy), p->padding);
            int32_t lead = eb_clamp_s32(-x, 0, p->kw) * p->c;
            n = eb_clamp_s32(p->w - x, 0, p->kw) * p->c - lead;
            row += lead;
            from += lead;
            for (; rows > 0 && y < 0; rows--, y += dilation) {
                row += all;
                from += step;
            }
            while (rows > 0 && y + (rows - 1) * dilation >= p->h) {
                rows--;
            }
        }
        for (; rows > 0 && n > EB_TILES_UNROLLED; rows--, row += all, from += step) {
            memcpy(row, from, (size_t)n);
        }
        if (rows > 0 && n > 0) {
            eb_conv2d__tiles_rows(row, from, rows, n, all, step);
        }
    }
}
#endif
