// SPDX-License-Identifier: Apache-2.0
// What kernels of the dwconv3x3 families share in C: the law, and the clamp to less than int8.
#ifndef EDGEBIT_DWCONV3X3_ANY_H
#define EDGEBIT_DWCONV3X3_ANY_H

#include "dwconv3x3_s8/dwconv3x3_s8.h"

// in(r, v, c) of dwconv3x3_s8.h.
EB_INLINE int32_t eb_dwconv3x3_in(const eb_dwconv3x3_job *job, int32_t r, int32_t v, int32_t c) {
    int32_t at = v - job->lead;
    return at >= 0 && at < job->inside ? job->row[r].at[at * job->row[r].step + c] : job->padding;
}

// Fills `words` words of each record of the plane, `record` words long, whose column is padding. Channels do
// not touch them.
EB_INLINE void eb_dwconv3x3_sides(const eb_dwconv3x3_job *job, int32_t words, int32_t record, uint32_t pad) {
    uint32_t *to = job->plane;
    for (int32_t v = 0; v < job->columns; v++, to += record) {
        if (v == job->lead) {
            v += job->inside;
            to += record * job->inside;
            if (v == job->columns) {
                return;
            }
        }
        for (int32_t i = 0; i < words; i++) {
            to[i] = pad;
        }
    }
}

// `weight` gives w[tap][c]; it vanishes into the loop.
typedef int32_t eb_dwconv3x3_weight(const void *w, int32_t tap, int32_t c, int32_t channels);

EB_INLINE void eb_dwconv3x3_law(const void *w, const eb_requant_entry *entries, const eb_dwconv3x3_job *job,
                                eb_dwconv3x3_weight *weight) {
    for (int32_t u = 0; u < job->outs; u++) {
        for (int32_t i = 0; i < job->band; i++) {
            for (int32_t c = 0; c < job->channels; c++) {
                int32_t sum = 0;
                for (int32_t ky = 0; ky < 3; ky++) {
                    for (int32_t kx = 0; kx < 3; kx++) {
                        sum += weight(w, 3 * ky + kx, c, job->channels) *
                               eb_dwconv3x3_in(job, job->stride * i + ky, job->stride * u + kx, c);
                    }
                }
                job->y[i * job->y_row + u * job->y_pixel + c] = eb_requant(sum, &job->requant, &entries[c]);
            }
        }
    }
}

// Outputs clamped to int8 become those clamped to qmin..qmax, which lie inside.
EB_INLINE void eb_dwconv3x3_clamp(const eb_dwconv3x3_job *job) {
    const int32_t low = job->requant.qmin;
    const int32_t high = job->requant.qmax;
    if (low == -128 && high == 127) {
        return;
    }
    int8_t *y = job->y;
    int32_t bytes = (job->band - 1) * job->y_row + (job->outs - 1) * job->y_pixel + job->channels;
    for (const int8_t *end = y + bytes; y != end; y++) {
        *y = (int8_t)eb_clamp_s32(*y, low, high);
    }
}

#endif
