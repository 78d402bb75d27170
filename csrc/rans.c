/* A range asymmetric numeral system. `encode` and `decode` in rans.py are the definition.
 *
 * Decoding is one chain of dependent steps, so it is kept short: a slot selects its
 * symbol from a table of 2**14 bytes, and the symbol its slots from a second one; both
 * stay in the L1 cache. Taking bytes without a branch lengthens the chain by more
 * than the branches that are predicted wrongly cost. */
#include <string.h>

#include "deepcompress.h"

#define PROBABILITY_BITS 14
#define SLOTS (1u << PROBABILITY_BITS)
#define MAX_ALPHABET 256
#define LOWEST_STATE (1u << 23)
#define STATE_BYTES 4

struct share {
    uint16_t frequency;
    uint16_t start; /* the first slot; of no consequence without a frequency */
};

static void find_shares(const uint16_t *frequencies, size_t alphabet, struct share *shares)
{
    unsigned start = 0;
    for (size_t s = 0; s < alphabet; s++) {
        shares[s] = (struct share){frequencies[s], (uint16_t)start};
        start += frequencies[s];
    }
}

size_t dc_rans_encode(const uint8_t *symbols, size_t count, const uint16_t *frequencies,
                      size_t alphabet, uint8_t *payload, size_t capacity)
{
    struct share shares[MAX_ALPHABET];
    find_shares(frequencies, alphabet, shares);
    uint8_t *front = payload + capacity;
    uint32_t state = LOWEST_STATE;
    for (size_t i = count; i-- > 0;) {
        uint32_t f = shares[symbols[i]].frequency;
        for (; state >= f << (23 - PROBABILITY_BITS + 8); state >>= 8)
            *--front = (uint8_t)state;
        state = (state / f << PROBABILITY_BITS) + state % f + shares[symbols[i]].start;
    }
    for (unsigned k = STATE_BYTES; k-- > 0;)
        *--front = (uint8_t)(state >> (8 * k));
    return (size_t)(payload + capacity - front);
}

enum dc_status dc_rans_decode(const uint8_t *payload, size_t size, const uint16_t *frequencies,
                              size_t alphabet, uint8_t *symbols, size_t count, size_t *at)
{
    *at = 0;
    if (size < STATE_BYTES)
        return DC_TRUNCATED;
    uint32_t state = (uint32_t)payload[0] | (uint32_t)payload[1] << 8 |
                     (uint32_t)payload[2] << 16 | (uint32_t)payload[3] << 24;
    if (state < LOWEST_STATE || state >= LOWEST_STATE << 8)
        return DC_BAD_START;

    struct share shares[MAX_ALPHABET];
    find_shares(frequencies, alphabet, shares);
    uint8_t symbol_of[SLOTS];
    for (size_t s = 0; s < alphabet; s++)
        memset(symbol_of + shares[s].start, (int)s, shares[s].frequency);

    const uint8_t *next = payload + STATE_BYTES, *end = payload + size;
    for (size_t i = 0; i < count; i++) {
        uint32_t slot = state & (SLOTS - 1);
        uint8_t symbol = symbol_of[slot];
        struct share share = shares[symbol];
        symbols[i] = symbol;
        state = share.frequency * (state >> PROBABILITY_BITS) + (slot - share.start);
        for (; state < LOWEST_STATE; state = state << 8 | *next++)
            if (next == end) {
                *at = i;
                return DC_TRUNCATED;
            }
    }

    *at = (size_t)(next - payload);
    if (next < end)
        return DC_TRAILING;
    return state == LOWEST_STATE ? DC_OK : DC_BAD_END;
}
