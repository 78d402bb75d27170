/* Rounds of Huffman decoding in portable C. */
#include "huffman/huffman_rounds.h"

DC_INLINE void take_rounds(struct lane *lanes, const size_t n, size_t rounds, const int singles)
{
    const uint32_t *table[LANES];
    const uint8_t *next[LANES];
    uint8_t *out[LANES];
    uint64_t bits[LANES]; /* between rounds, how many of the next byte are read */
    for (size_t k = 0; k < n; k++) {
        table[k] = lanes[k].table;
        next[k] = lanes[k].next;
        out[k] = lanes[k].out;
        bits[k] = lanes[k].used;
    }
    for (; rounds > 0; rounds--) {
        for (size_t k = 0; k < n; k++)
            bits[k] = (dc_load8(next[k]) | MARK) >> bits[k];
        for (unsigned step = 0; step < STEPS; step++)
            for (size_t k = 0; k < n; k++) {
                const size_t index = bits[k] & (TABLE_SIZE - 1);
                const uint32_t entry = table[k][index];
                bits[k] >>= BITS(entry);
                if (singles) {
                    out[k][step] = FIRST(entry);
                } else {
                    dc_store4(out[k], entry >> 8);
                    out[k] += COUNT(entry);
                }
            }
        for (size_t k = 0; k < n; k++) {
            unsigned read = dc_leading_zeros(bits[k]);
            next[k] += read / 8;
            bits[k] = read % 8;
            out[k] += singles ? STEPS : 0;
        }
    }
    for (size_t k = 0; k < n; k++) {
        lanes[k].next = next[k];
        lanes[k].out = out[k];
        lanes[k].used = bits[k];
    }
}

DC_INLINE void take_rounds_of(struct lane *lanes, const size_t n, const struct rounds *rounds)
{
    if (rounds->singles)
        take_rounds(lanes, n, rounds->count, 1);
    else
        take_rounds(lanes, n, rounds->count, 0);
}

#define FOR_LANES(n) \
    case n: take_rounds_of(lanes, n, rounds); break;

static void take_any_rounds(struct lane *lanes, size_t n, const struct rounds *rounds)
{
    switch (n) {
        DC_CASES_6(FOR_LANES)
    }
}

/* More lanes than these, and what they need to know isn't in registers. */
const struct dc_huffman_way dc_huffman_scalar = {take_any_rounds, 6, {MOST_JOINED, 1}};
