// SPDX-License-Identifier: Apache-2.0
// The next token from logits. edgebit/decoder/sampling.py has the same meaning in NumPy, id for id.
//
//     1. Repetition penalty: each token of the history, once: l > 0 ? l / penalty : l * penalty.
//     2. Temperature 0: the largest logit, the lowest id of equals. Otherwise:
//     3. Top-k: the k largest logits stay; of equals at the border the lowest ids.
//     4. Weights q = floor(2^31 e^((l - max) / temperature)), as integers; below min_p * 2^31 they become 0
//     (min-p).
//     5. Top-p: the heaviest weights whose sum first reaches the share top_p of all stay, of equals the
//     lowest ids.
//     6. A token is drawn with a probability proportional to its weight.
//
// Sums of weights are exact, so nothing depends on the order of additions. A token less likely than the
// likeliest by more than 2^31 is never drawn. No step sorts: borders are found by counting, in four passes
// over the vocabulary. The stack use is below 4 KB.
#ifndef EDGEBIT_TEXT_SAMPLE_H
#define EDGEBIT_TEXT_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// PCG32 (O'Neill 2014, XSH RR 64/32) on stream 54: the same numbers as pcg32_srandom(seed, 54) of the
// reference code.
typedef struct {
    uint64_t state, increment;
} eb_rng;

void eb_rng_seed(eb_rng *r, uint64_t seed);
uint32_t eb_rng_next(eb_rng *r);

// edgebit/serve/library.py reads these lines.
typedef struct {
    float temperature;        // >= 0; 0: the likeliest token
    float top_p;              // 0 < p <= 1; 1: all
    float min_p;              // 0 <= p <= 1; 0: all
    float repetition_penalty; // > 0; 1: none
    uint32_t top_k;           // 0: all
} eb_sampling;

enum {
    EB_SAMPLE_ARGUMENT = -25,   // a null pointer, n of 0 or above 2^24, a setting outside its range
    EB_SAMPLE_NOT_FINITE = -26, // a logit is NaN or +infinity, or all are -infinity
};

// The id of the next token, 0 .. n - 1, or a negative status. logits[n] are overwritten. history: ids whose
// logits are penalised; ids >= n are left out. seen: (n + 31) / 32 words of scratch, may be null when there
// is no penalty. rng may be null when the temperature is 0; it advances by two numbers otherwise.
int32_t eb_sample(const eb_sampling *s, float *logits, uint32_t n, const uint32_t *history, size_t n_history,
                  uint32_t *seen, eb_rng *rng);

#ifdef __cplusplus
}
#endif

#endif
