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
