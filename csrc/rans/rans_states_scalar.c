/* Rows of rANS with several states in portable C. */
#include "bits/bitreader.h"
#include "rans/rans_states.h"

DC_INLINE void decode_rows(struct dc_rans_lane *lane, const unsigned states, size_t rows)
{
    const uint32_t *slots = lane->table->slots;
    const uint8_t *next = lane->next;
    uint32_t state[DC_MOST_STATES];
    for (unsigned k = 0; k < states; k++)
        state[k] = lane->state[k];
    for (; rows > 0; rows--, lane->out += states)
        for (unsigned k = 0; k < states; k++) {
            const uint32_t x = state[k], entry = slots[x % DC_SHARES];
            const uint32_t word = (uint32_t)next[1] << 8 | next[0];
            lane->out[k] = (uint8_t)entry;
            const uint32_t y =
                x - (entry >> 8) % DC_SHARES - (x >> DC_SHARE_BITS) * (entry >> 20);
            const uint32_t lacks = y < DC_LEAST_STATE;
            /* By a mask, as nobody could predict a branch. */
            state[k] = y << (DC_WORD_BITS * lacks) | (word & (0u - lacks));
            next += 2 * lacks;
        }
    for (unsigned k = 0; k < states; k++)
        lane->state[k] = state[k];
    lane->next = next;
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

#define DECODE(n) \
    case n: decode_rows(lane, n, rows); break;
#define ENCODE(n) \
    case n: return encode_rows(symbols, rows, n, table, state, end);

static void decode(struct dc_rans_lane *lanes, size_t n, unsigned states, size_t rows,
                   const void *workspace)
{
    (void)workspace;
    for (struct dc_rans_lane *lane = lanes; lane < lanes + n; lane++)
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

const struct dc_rans_way dc_rans_scalar = {decode, encode, 1, 0, 0, 0};
