/* rANS with several states that take turns: what its two directions and all instruction sets share.
 * rans_states.py is the definition.
 *
 * Symbol i belongs to state i % states, and a row is a symbol of each. The states of a row don't
 * depend on each other, but for where their words are: each may lack one of 16 bits, and takes the
 * next. So a row is done by vectors, and the states of a vector find their words by a mask. */
#ifndef DC_RANS_STATES_H
#define DC_RANS_STATES_H

#include <stddef.h>
#include <stdint.h>

#include "deepcompress.h"
#include "platform.h"

#define DC_MOST_STATES 32
#define DC_SHARE_BITS 12
#define DC_SHARES (1u << DC_SHARE_BITS)
#define DC_WORD_BITS 16
#define DC_LEAST_STATE (1u << 15)
#define DC_SYMBOLS 256 /* at most */

/* What is in the table of a slot, for decoding: its symbol, the first slot of that, and
 * 2**12 - f. What becomes of the state x is f * (x >> 12) + slot - start, that is
 * x - start - (x >> 12) * rest. */
#define DC_SLOT(symbol, start, rest) ((uint32_t)(symbol) | (uint32_t)(start) << 8 | (rest) << 20)

struct dc_rans_table {
    uint32_t slots[DC_SHARES];
};

struct dc_rans_lane {
    const uint8_t *next, *end;
    uint8_t *out, *out_end;
    const struct dc_rans_table *table;
    struct dc_coded_stream *stream;
    uint32_t state[DC_MOST_STATES];
};

/* What is in the table of a symbol of frequency f, for encoding: below, a reciprocal; above, rest,
 * 2**12 - f, of 12 bits; base, of 13; and shift. x / f is x * reciprocal >> 32 >> shift, and x
 * becomes x + base + x / f * rest. The reciprocal is 2**(32 + shift) / f, rounded up by less than
 * 1, with 2**(shift + 1) >= f: the product with a state of 31 bits is too large by less than
 * 2**31, which is at most 2**(32 + shift) / f. For f of 1 it would be 2**32; with one less,
 * x / f is x - 1, and base makes up for it. */
#define DC_REST(entry) ((uint32_t)((entry) >> 32) & (DC_SHARES - 1))
#define DC_BASE(entry) ((uint32_t)((entry) >> 44) & (2 * DC_SHARES - 1))
#define DC_SHIFT(entry) ((unsigned)((entry) >> 57))

/* How an instruction set does rows. */
struct dc_rans_way {
    /* Decodes rows of `n` lanes of `states` states each; there is room for them, whatever the bytes
     * are. Lanes have `most` states together, or it is one. */
    void (*decode)(struct dc_rans_lane *lanes, size_t n, unsigned states, size_t rows,
                   const void *workspace);
    /* Encodes rows, from the last to the first; returns where their words begin. There are 16
     * bytes before those that may be written. */
    uint8_t *(*encode)(const uint8_t *symbols, size_t rows, unsigned states, const uint64_t *table,
                       uint32_t *state, uint8_t *end, const void *workspace);
    unsigned most;
    /* What prepares workspaces, which lanes of so many states need. */
    unsigned prepared;
    void (*prepare_decode)(void *workspace);
    void (*prepare_encode)(void *workspace);
};

/* The cases of a switch over numbers of states. */
#define DC_RANS_CASES(CASE) CASE(1) CASE(2) CASE(4) CASE(8) CASE(16) CASE(32)

#define DC_RANS_WORKSPACE (256 * 32)

extern const struct dc_rans_way dc_rans_scalar, dc_rans_avx2;

/* Gives off the word that a state can't hold beside a symbol, and takes that. */
DC_INLINE uint8_t *dc_rans_put(uint32_t *state, uint64_t entry, uint8_t *front)
{
    const unsigned gives = (*state >> (31 - DC_SHARE_BITS)) + DC_REST(entry) >= DC_SHARES;
    /* Whether it is given off or not: there are still states to be put there. */
    front[-1] = (uint8_t)(*state >> 8);
    front[-2] = (uint8_t)*state;
    const uint32_t x = *state >> (DC_WORD_BITS * gives);
    const uint32_t quotient = (uint32_t)((uint64_t)x * (uint32_t)entry >> 32) >> DC_SHIFT(entry);
    *state = x + DC_BASE(entry) + quotient * DC_REST(entry);
    return front - 2 * gives;
}

#endif
