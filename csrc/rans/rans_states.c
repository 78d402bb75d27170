/* rANS with several states: the encoder. `_encode` in rans_states.py is the definition. */
#include "rans/rans_states.h"
#include "dispatch.h"

#define WORD_BYTES 2
#define STATE_BYTES 4

size_t dc_rans_states(size_t count, unsigned symbols_bits)
{
    size_t states = 1;
    while (states < DC_MOST_STATES && count >> symbols_bits >= 2 * states)
        states *= 2;
    return states;
}

static uint64_t entry_of(uint32_t f, uint32_t start)
{
    unsigned shift = 0;
    while (2u << shift < f)
        shift++;
    const uint64_t reciprocal = f == 1 ? UINT32_MAX : (((uint64_t)1 << (32 + shift)) + f - 1) / f;
    const uint64_t base = f == 1 ? start + DC_SHARES - 1 : start;
    return reciprocal | (uint64_t)(DC_SHARES - f) << 32 | base << 44 | (uint64_t)shift << 57;
}

size_t dc_rans_states_encode(enum dc_isa isa, const uint8_t *symbols, size_t count,
                             const uint16_t *frequencies, size_t alphabet, unsigned symbols_bits,
                             uint8_t *payload, size_t capacity)
{
    const struct dc_rans_way *way = dc_kernels_of(dc_isa_available(isa) ? isa : DC_SCALAR)->rans;
    const size_t states = dc_rans_states(count, symbols_bits), rows = count / states;
    _Alignas(64) uint8_t workspace[DC_RANS_WORKSPACE];
    uint64_t table[DC_SYMBOLS];
    uint32_t state[DC_MOST_STATES], start = 0;
    for (size_t s = 0; s < alphabet; start += frequencies[s], s++)
        if (frequencies[s])
            table[s] = entry_of(frequencies[s], start);
    for (size_t k = 0; k < states; k++)
        state[k] = DC_LEAST_STATE;
    uint8_t *front = payload + capacity;
    for (size_t i = count; i-- > rows * states;)
        front = dc_rans_put(&state[i % states], table[symbols[i]], front);
    if (way->prepare_encode && states >= way->prepared)
        way->prepare_encode(workspace);
    front = way->encode(symbols, rows, (unsigned)states, table, state, front, workspace);
    for (size_t k = states; k-- > 0;)
        for (unsigned byte = STATE_BYTES; byte-- > 0;)
            *--front = (uint8_t)(state[k] >> (8 * byte));
    return (size_t)(payload + capacity - front);
}
