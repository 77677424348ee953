// SPDX-License-Identifier: Apache-2.0
#include "text/sample.h"
#include "edgebit/eb_math.h"

#define ONE 2147483648.0f // the weight of the likeliest token, 2^31
#define FEW 128u          // up to this k a heap finds the k largest

void eb_rng_seed(eb_rng *r, uint64_t seed) {
    *r = (eb_rng){0, (54u << 1) | 1u};
    (void)eb_rng_next(r);
    r->state += seed;
    (void)eb_rng_next(r);
}

uint32_t eb_rng_next(eb_rng *r) {
    uint64_t old = r->state;
    r->state = old * 6364136223846793005u + r->increment;
    uint32_t x = (uint32_t)(((old >> 18) ^ old) >> 27);
    uint32_t turn = (uint32_t)(old >> 59);
    return (x >> turn) | (x << ((32u - turn) & 31u));
}

// floor(a * b / 2^64)
static uint64_t multiply_high(uint64_t a, uint64_t b) {
    uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    uint64_t middle = a1 * b0 + ((a0 * b0) >> 32);
    uint64_t other = a0 * b1 + (uint32_t)middle;
    return a1 * b1 + (middle >> 32) + (other >> 32);
}

// Weights lie where the logits were.
static uint32_t weight_at(const float *v, uint32_t i) {
    return eb_bits_of_f32(v[i]);
}

static void set_weight(float *v, uint32_t i, uint32_t q) {
    memcpy(&v[i], &q, sizeof q);
}

// An integer in the order of the float; the two zeros are one.
static uint32_t key_of(float x) {
    uint32_t u = eb_bits_of_f32(x);
    u = u == 0x80000000u ? 0u : u;
    return u ^ (u >> 31 != 0 ? 0xffffffffu : 0x80000000u);
}

static void penalise(float *v, uint32_t n, const uint32_t *history, size_t count, float penalty,
                     uint32_t *seen) {
    memset(seen, 0, ((size_t)n + 31) / 32 * 4);
    for (size_t i = 0; i < count; i++) {
        uint32_t id = history[i];
        if (id < n && !(seen[id >> 5] >> (id & 31u) & 1u)) {
            seen[id >> 5] |= 1u << (id & 31u);
            v[id] = v[id] > 0.0f ? eb_div_f32(v[id], penalty) : v[id] * penalty;
        }
    }
}

// What stays of a ranking: everything above `border`, and the first `ties` elements that are equal to it.
typedef struct {
    uint32_t border, ties;
} eb_cut;

// The k best so far, the worst of them at the root: the lowest key, of equals the highest id.
typedef struct {
    uint32_t keys[FEW], ids[FEW];
    uint32_t k;
} eb_few;

static int is_worse(const eb_few *f, uint32_t a, uint32_t b) {
    return f->keys[a] != f->keys[b] ? f->keys[a] < f->keys[b] : f->ids[a] > f->ids[b];
}

// Element `at` goes down until neither below it is worse.
static void sift(eb_few *f, uint32_t at) {
    for (uint32_t child = 2 * at + 1; child < f->k; child = 2 * at + 1) {
        if (child + 1 < f->k && is_worse(f, child + 1, child)) {
            child++;
        }
        if (!is_worse(f, child, at)) {
            return;
        }
        uint32_t key = f->keys[at], id = f->ids[at];
        f->keys[at] = f->keys[child];
        f->ids[at] = f->ids[child];
        f->keys[child] = key;
        f->ids[child] = id;
        at = child;
    }
}

// The same cut as cut_top_k for k <= FEW < n, in one pass: most elements meet one comparison.
static eb_cut cut_few(const float *v, uint32_t n, uint32_t k) {
    eb_few f;
    f.k = k;
    f.keys[0] = key_of(v[0]); // k is at least 1
    for (uint32_t i = 0; i < k; i++) {
        f.keys[i] = key_of(v[i]);
        f.ids[i] = i;
    }
    for (uint32_t i = k / 2; i-- > 0;) {
        sift(&f, i);
    }
    for (uint32_t i = k; i < n; i++) {
        uint32_t key = key_of(v[i]);
        if (key > f.keys[0]) {
            f.keys[0] = key;
            f.ids[0] = i;
            sift(&f, 0);
        }
    }
    uint32_t ties = 0;
    for (uint32_t i = 0; i < k; i++) {
        ties += f.keys[i] == f.keys[0];
    }
    return (eb_cut){f.keys[0], ties};
}

static eb_cut cut_top_k(const float *v, uint32_t n, uint32_t k) {
    uint32_t border = 0;
    for (uint32_t shift = 32; shift > 0;) {
        uint32_t counts[256] = {0}, digit = 255;
        uint64_t above = shift < 32 ? (uint64_t)border >> shift : 0;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t key = key_of(v[i]);
            if ((uint64_t)key >> shift == above) {
                counts[key >> (shift - 8) & 255u]++;
            }
        }
        while (k > counts[digit]) {
            k -= counts[digit--];
        }
        shift -= 8;
        border |= digit << shift;
    }
    return (eb_cut){border, k};
}

// The cut after which the sum of what stays is at least `target`, 1 .. the sum of all weights.
static eb_cut cut_top_p(const float *v, uint32_t n, uint64_t target) {
    uint32_t border = 0;
    for (uint32_t shift = 32; shift > 0;) {
        uint64_t sums[256] = {0};
        uint32_t digit = 255;
        uint64_t above = shift < 32 ? (uint64_t)border >> shift : 0;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t q = weight_at(v, i);
            if (q != 0 && (uint64_t)q >> shift == above) {
                sums[q >> (shift - 8) & 255u] += q;
            }
        }
        while (target > sums[digit]) {
            target -= sums[digit--];
        }
        shift -= 8;
        border |= digit << shift;
    }
    return (eb_cut){border, (uint32_t)((target - 1) / border) + 1};
}

static int stays(eb_cut *c, uint32_t key) {
    if (key != c->border) {
        return key > c->border;
    }
    if (c->ties == 0) {
        return 0;
    }
    c->ties--;
    return 1;
}

// Replaces logits by weights; returns their sum.
static uint64_t weigh(const eb_sampling *s, float *v, uint32_t n, float max) {
    eb_cut cut = {0, n};
    if (s->top_k > 0 && s->top_k < n) {
        cut = s->top_k <= FEW ? cut_few(v, n, s->top_k) : cut_top_k(v, n, s->top_k);
    }
    float scale = eb_div_f32(1.0f, s->temperature);
    uint64_t total = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t q = 0;
        if (stays(&cut, key_of(v[i]))) {
            float x = v[i] == max ? 0.0f : (v[i] - max) * scale;
            float w = x < -22.0f ? 0.0f : eb_exp_f32(x); // 2^31 e^-22 < 1
            q = w >= s->min_p ? (uint32_t)(w * ONE) : 0;
        }
        set_weight(v, i, q);
        total += q;
    }
    return total;
}

static uint64_t keep_top_p(const eb_sampling *s, float *v, uint32_t n, uint64_t total) {
    uint64_t share = (uint64_t)(s->top_p * 16777216.0f);
    uint64_t target = (total >> 24) * share + (((total & 0xffffffu) * share) >> 24);
    eb_cut cut = cut_top_p(v, n, target > 0 ? target : 1);
    total = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!stays(&cut, weight_at(v, i))) {
            set_weight(v, i, 0);
        }
        total += weight_at(v, i);
    }
    return total;
}

int32_t eb_sample(const eb_sampling *s, float *logits, uint32_t n, const uint32_t *history, size_t n_history,
                  uint32_t *seen, eb_rng *rng) {
    if (s == NULL || logits == NULL || n == 0 || n > 1u << 24 || (history == NULL && n_history > 0) ||
        !(s->temperature >= 0.0f && s->temperature < EB_INFINITY) || !(s->top_p > 0.0f && s->top_p <= 1.0f) ||
        !(s->min_p >= 0.0f && s->min_p <= 1.0f) ||
        !(s->repetition_penalty > 0.0f && s->repetition_penalty < EB_INFINITY) ||
        (s->repetition_penalty != 1.0f && n_history > 0 && seen == NULL) ||
        (s->temperature > 0.0f && rng == NULL)) {
        return EB_SAMPLE_ARGUMENT;
    }
    if (s->repetition_penalty != 1.0f && n_history > 0) {
        penalise(logits, n, history, n_history, s->repetition_penalty, seen);
    }
    uint32_t best = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!(logits[i] < EB_INFINITY)) {
            return EB_SAMPLE_NOT_FINITE;
        }
        best = logits[i] > logits[best] ? i : best;
    }
    if (!(logits[best] > -EB_INFINITY)) {
        return EB_SAMPLE_NOT_FINITE;
    }
    if (s->temperature == 0.0f) {
        return (int32_t)best;
    }
    uint64_t total = weigh(s, logits, n, logits[best]);
    if (s->top_p < 1.0f) {
        total = keep_top_p(s, logits, n, total);
    }
    uint64_t high = eb_rng_next(rng);
    uint64_t left = multiply_high(high << 32 | eb_rng_next(rng), total);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t q = weight_at(logits, i);
        if (left < q) {
            return (int32_t)i;
        }
        left -= q;
    }
    return (int32_t)best; // not reached: left < total
}
