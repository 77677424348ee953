// SPDX-License-Identifier: Apache-2.0
// Byte-pair merges: again and again the pair of neighbours with the lowest rank, the leftmost of equals,
// becomes one symbol. The next pair is the winner of a tournament over all symbols, so m symbols take O(m log
// m) steps whatever they are.
#include "text/internal.h"

#define NO_PAIR UINT32_MAX

typedef struct {
    const eb_tokenizer *t;
    uint32_t *ids;  // symbol i, while it lives
    uint32_t *prev; // neighbours; m when there is none
    uint32_t *next;
    uint32_t *rank;   // of the pair (i, next[i]); NO_PAIR when there is none
    uint32_t *result; // what the pair becomes
    uint32_t *winner; // [1 .. m - 1]: the better of 2 i and 2 i + 1; from m on, symbol i - m
    uint32_t m;
} eb_merging;

static const eb_text_pair *find_pair(const eb_tokenizer *t, uint32_t left, uint32_t right) {
    size_t lo = t->pair_starts[left], hi = t->pair_starts[left + 1];
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (t->pairs[mid].right < right) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < t->pair_starts[left + 1] && t->pairs[lo].right == right ? &t->pairs[lo] : NULL;
}

static void rate(eb_merging *g, uint32_t i) {
    const eb_text_pair *p = g->next[i] < g->m ? find_pair(g->t, g->ids[i], g->ids[g->next[i]]) : NULL;
    g->rank[i] = p != NULL ? p->rank : NO_PAIR;
    g->result[i] = p != NULL ? p->id : 0;
}

static uint32_t entrant(const eb_merging *g, uint32_t node) {
    return node >= g->m ? node - g->m : g->winner[node];
}

static uint32_t play(const eb_merging *g, uint32_t node) {
    uint32_t a = entrant(g, 2 * node), b = entrant(g, 2 * node + 1);
    if (g->rank[a] != g->rank[b]) {
        return g->rank[a] < g->rank[b] ? a : b;
    }
    return a < b ? a : b;
}

static void replay(eb_merging *g, uint32_t i) {
    for (uint32_t node = (i + g->m) / 2; node > 0; node /= 2) {
        g->winner[node] = play(g, node);
    }
}

size_t eb_merge(const eb_tokenizer *t, uint32_t *ids, size_t count, uint32_t *work) {
    uint32_t m = (uint32_t)count;
    if (m < 2 || t->n_pairs == 0) {
        return count;
    }
    eb_merging g = {t, ids, work, work + m, work + 2 * count, work + 3 * count, work + 4 * count, m};
    for (uint32_t i = 0; i < m; i++) {
        g.prev[i] = i > 0 ? i - 1 : m;
        g.next[i] = i + 1;
    }
    for (uint32_t i = 0; i < m; i++) {
        rate(&g, i);
    }
    for (uint32_t node = m - 1; node > 0; node--) {
        g.winner[node] = play(&g, node);
    }
    for (uint32_t i = g.winner[1]; g.rank[i] != NO_PAIR; i = g.winner[1]) {
        uint32_t gone = g.next[i];
        ids[i] = g.result[i];
        g.next[i] = g.next[gone];
        if (g.next[gone] < m) {
            g.prev[g.next[gone]] = i;
        }
        g.rank[gone] = NO_PAIR;
        replay(&g, gone);
        rate(&g, i);
        replay(&g, i);
        if (g.prev[i] < m) {
            rate(&g, g.prev[i]);
            replay(&g, g.prev[i]);
        }
    }
    size_t left = 0;
    for (uint32_t i = 0; i < m; i = g.next[i]) {
        ids[left++] = ids[i]; // left never overtakes i
    }
    return left;
}
