/* Rows of rANS with several states in portable C. */
#include "bits/bitreader.h"
#include "rans/rans_states.h"

#define AT_ONCE 4 /* lanes of one state */

DC_INLINE void decode_rows(struct dc_rans_lane *lanes, const size_t n, const unsigned states,
                           size_t rows)
{
    const uint8_t *next[AT_ONCE];
    uint8_t *out[AT_ONCE];
    uint32_t state[AT_ONCE][DC_MOST_STATES];
    for (size_t k = 0; k < n; k++) {
        next[k] = lanes[k].next;
        out[k] = lanes[k].out;
        for (unsigned s = 0; s < states; s++)
            state[k][s] = lanes[k].state[s];
    }
    for (size_t at = 0; at < states * rows; at += states)
        for (unsigned s = 0; s < states; s++)
            for (size_t k = 0; k < n; k++) {
                const uint32_t x = state[k][s], entry = lanes[k].table->slots[x % DC_SHARES];
                const uint32_t word = (uint32_t)next[k][1] << 8 | next[k][0];
                out[k][at + s] = (uint8_t)entry;
                const uint32_t y =
                    x - (entry >> 8) % DC_SHARES - (x >> DC_SHARE_BITS) * (entry >> 20);
                const uint32_t lacks = y < DC_LEAST_STATE;
                /* By a mask, as nobody could predict a branch. */
                state[k][s] = y << (DC_WORD_BITS * lacks) | (word & (0u - lacks));
                next[k] += 2 * lacks;
            }
    for (size_t k = 0; k < n; k++) {
        lanes[k].next = next[k];
        lanes[k].out = out[k] + states * rows;
        for (unsigned s = 0; s < states; s++)
            lanes[k].state[s] = state[k][s];
    }
}

DC_INLINE uint8_t *encode_rows(const uint8_t *symbols, size_t rows, const unsigned states,
                               const uint64_t *table, uint32_t *into, uint8_t *front)
{
    uint32_t state[DC_MOST_STATES];
    for (unsigned k = 0; k < states; k++)
        state[k] = into[k];
    while (rows-- > 0)
        for (unsigned k = states; k-- > 0;)
            front = dc_rans_put(&state[k], table[symbols[rows * states + k]], front);
    for (unsigned k = 0; k < states; k++)
        into[k] = state[k];
    return front;
}

#define DECODE(states) \
    case states: decode_rows(lanes + k, 1, states, rows); break;
#define ENCODE(n) \
    case n: return encode_rows(symbols, rows, n, table, state, end);

static void decode(struct dc_rans_lane *lanes, size_t n, unsigned states, size_t rows,
                   const void *workspace)
{
    (void)workspace;
    if (states == 1 && n == AT_ONCE)
        decode_rows(lanes, AT_ONCE, 1, rows);
    else
        for (size_t k = 0; k < n; k++)
            switch (states) {
                DC_RANS_CASES(DECODE)
            }
}

static uint8_t *encode(const uint8_t *symbols, size_t rows, unsigned states, const uint64_t *table,
                       uint32_t *state, uint8_t *end, const void *workspace)
{
    (void)workspace;
    switch (states) {
        DC_RANS_CASES(ENCODE)
    }
    return end;
}

const struct dc_rans_way dc_rans_scalar = {decode, encode, AT_ONCE, 0, 0, 0};
