/* A range asymmetric numeral system: the encoder. `_encode` in rans.py is the definition.
 *
 * Each state is found from the one before, so that chain of steps is kept short: there is no
 * division in it, and no branch that would depend on symbols. */
#include "deepcompress.h"
#include "rans/rans.h"

/* What a symbol of frequency f makes of a state x, once that is below f << 17. */
struct step {
    uint32_t one, two;   /* states from which on a byte, or two, are given off before */
    uint32_t reciprocal; /* x / f is x * reciprocal >> shift */
    uint32_t shift;
    uint32_t rest; /* 2**14 - f: (x / f << 14) + x % f is x + x / f * rest */
    uint32_t start;
};

/* With 2**l >= f the reciprocal is 2**(31 + l) / f, rounded up by less than 1: the product with
 * a state of 31 bits is too large by less than 2**31, which is at most 2**(31 + l) / f. */
static struct step step_of(uint32_t f, uint32_t start)
{
    const uint64_t two = (uint64_t)f << (DC_STATE_BITS - DC_PROBABILITY_BITS + 8);
    unsigned l = 0;
    while (1u << l < f)
        l++;
    return (struct step){
        .one = f << (DC_STATE_BITS - DC_PROBABILITY_BITS),
        .two = two < UINT32_MAX ? (uint32_t)two : UINT32_MAX,
        .reciprocal = (uint32_t)((((uint64_t)1 << (DC_STATE_BITS + l)) + f - 1) / f),
        .shift = DC_STATE_BITS + l,
        .rest = DC_SLOTS - f,
        .start = start,
    };
}

size_t dc_rans_encode(const uint8_t *symbols, size_t count, const uint16_t *frequencies,
                      size_t alphabet, uint8_t *payload, size_t capacity)
{
    struct step steps[DC_RANS_ALPHABET];
    uint32_t start = 0;
    for (size_t s = 0; s < alphabet; start += frequencies[s], s++)
        if (frequencies[s])
            steps[s] = step_of(frequencies[s], start);
    uint8_t *front = payload + capacity;
    uint32_t state = DC_LOWEST_STATE;
    for (size_t i = count; i-- > 0;) {
        const struct step *s = &steps[symbols[i]];
        const unsigned bytes = (unsigned)(state >= s->one) + (unsigned)(state >= s->two);
        /* Both, whether they are given off or not: there is still the state to be put there. */
        front[-1] = (uint8_t)state;
        front[-2] = (uint8_t)(state >> 8);
        front -= bytes;
        state >>= 8 * bytes;
        state += (uint32_t)((uint64_t)state * s->reciprocal >> s->shift) * s->rest + s->start;
    }
    for (unsigned k = DC_STATE_BYTES; k-- > 0;)
        *--front = (uint8_t)(state >> (8 * k));
    return (size_t)(payload + capacity - front);
}
