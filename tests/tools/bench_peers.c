// SPDX-License-Identifier: Apache-2.0
// Loops over the rows of a matrix, for bench_peers.py: the peer's dot product of one row is called through
// the pointer that its library gave.
#include <stddef.h>
#include <stdint.h>

typedef void peer_dot(int n, float *sum, size_t sum_step, const void *w, size_t w_step, const void *x,
                      size_t x_step, int columns);

void peer_product(peer_dot *dot, int cols, int rows, const uint8_t *w, size_t row_bytes, const void *x,
                  float *y);

// y[r] = the dot product of row r of w, row_bytes apart, with x.
void peer_product(peer_dot *dot, int cols, int rows, const uint8_t *w, size_t row_bytes, const void *x,
                  float *y) {
    for (int r = 0; r < rows; r++) {
        dot(cols, y + r, 0, w + (size_t)r * row_bytes, 0, x, 0, 1);
    }
}
