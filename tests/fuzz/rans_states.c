/* dc_rans_states_decode with each instruction set, against a decoder that searches;
 * dc_rans_states_encode leads back. A few symbols have many states here. */
#include "fuzz.h"

#define TOTAL (1u << 12)
#define LOWEST (1u << 15)
#define MOST_STATES 32

static enum dc_isa take_isa(struct input *in)
{
    enum dc_isa isa = (enum dc_isa)(take(in) % DC_ISA_COUNT);
    return dc_isa_available(isa) ? isa : DC_SCALAR;
}

/* Frequencies of sum 2**12: some from the input, and what they leave to the others evenly. */
static void make_frequencies(struct input *in, uint16_t *frequencies, size_t alphabet)
{
    size_t given = take(in) % alphabet;
    unsigned left = TOTAL;
    for (size_t s = 0; s < alphabet; s++) {
        unsigned f = s < given ? take16(in) % (left + 1) : left / (unsigned)(alphabet - s);
        frequencies[s] = (uint16_t)f;
        left -= f;
    }
}

/* How streams are read and written: what is the same for all. */
struct how {
    enum dc_isa isa;
    unsigned symbols_bits;
    struct dc_rans_code code;
};

static size_t states_of(size_t count, unsigned symbols_bits)
{
    size_t states = 1;
    while (states < MOST_STATES && 2 * states << symbols_bits <= count)
        states *= 2;
    return states;
}

/* `_decode` of rans_states.py. */
static enum dc_status decode_by_search(const uint8_t *payload, size_t size, const struct how *how,
                                       uint8_t *symbols, size_t count, size_t *at)
{
    const size_t states = states_of(count, how->symbols_bits);
    uint64_t state[MOST_STATES];
    size_t place = 4 * states;
    *at = 0;
    if (size < place)
        return DC_TRUNCATED;
    for (size_t j = 0; j < states; j++) {
        state[j] = 0;
        for (unsigned k = 0; k < 4; k++)
            state[j] |= (uint64_t)payload[4 * j + k] << (8 * k);
        *at = 4 * j;
        if (state[j] < LOWEST || state[j] >= (uint64_t)LOWEST << 16)
            return DC_BAD_START;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t *x = &state[i % states], slot = *x % TOTAL, start = 0;
        size_t s = 0;
        for (; start + how->code.frequencies[s] <= slot; s++)
            start += how->code.frequencies[s];
        symbols[i] = (uint8_t)s;
        *x = how->code.frequencies[s] * (*x / TOTAL) + slot - start;
        if (*x < LOWEST) {
            if (size - place < 2) {
                *at = i;
                return DC_TRUNCATED;
            }
            *x = *x << 16 | (uint64_t)payload[place + 1] << 8 | payload[place];
            place += 2;
        }
    }
    *at = place;
    if (place < size)
        return DC_TRAILING;
    for (size_t j = 0; j < states; j++)
        if (state[j] != LOWEST)
            return DC_BAD_END;
    return DC_OK;
}

static enum dc_status decode_alone(const uint8_t *payload, size_t size, const struct how *how,
                                   uint8_t *symbols, size_t count, size_t *at)
{
    struct dc_rans_code codes[2] = {how->code};
    struct dc_coded_stream stream = {payload, size, symbols, count, 0, DC_STATUS_COUNT, SIZE_MAX};
    dc_rans_states_decode(how->isa, codes, &stream, 1, how->symbols_bits);
    *at = stream.at;
    return stream.status;
}

/* How far symbols are written that a stream has. */
static size_t written(enum dc_status status, size_t at, size_t count)
{
    return status == DC_TRUNCATED ? at : status == DC_BAD_START ? 0 : count;
}

/* Returns the bytes of symbols; their size at *size. */
static uint8_t *encode(const uint8_t *symbols, size_t count, const struct how *how, size_t *size)
{
    size_t capacity = 4 * dc_rans_states(count, how->symbols_bits) + 2 * count;
    uint8_t *room = exact(capacity);
    *size = dc_rans_states_encode(how->isa, symbols, count, how->code.frequencies,
                                  how->code.alphabet, how->symbols_bits, room, capacity);
    require(*size <= capacity);
    uint8_t *payload = exact(*size);
    memcpy(payload, room + capacity - *size, *size);
    release(room, capacity);
    return payload;
}

/* Symbols of the input, all of which have frequencies -> bytes -> the same symbols. */
static void there_and_back(struct input *in, const struct how *how)
{
    size_t count = in->left + 1, at = SIZE_MAX, bytes;
    uint8_t *symbols = take_exact(in, count), *decoded = exact(count);
    for (size_t i = 0; i < count; i++) {
        symbols[i] = (uint8_t)(symbols[i] % how->code.alphabet);
        while (!how->code.frequencies[symbols[i]])
            symbols[i] = (uint8_t)((symbols[i] + 1) % how->code.alphabet);
    }
    uint8_t *payload = encode(symbols, count, how, &bytes);
    require(decode_alone(payload, bytes, how, decoded, count, &at) == DC_OK);
    require(memcmp(symbols, decoded, count) == 0);
    release(symbols, count);
    release(decoded, count);
    release(payload, bytes);
}

static void back_and_there(struct input *in, const struct how *how, size_t count)
{
    size_t size = in->left, at = SIZE_MAX, expected_at = SIZE_MAX, bytes;
    uint8_t *payload = take_exact(in, size), *symbols = exact(count), *expected = exact(count);
    enum dc_status status = decode_alone(payload, size, how, symbols, count, &at);
    require(status == decode_by_search(payload, size, how, expected, count, &expected_at));
    require(memcmp(symbols, expected, written(status, at, count)) == 0);
    require(at == expected_at);
    if (status == DC_OK) { /* the one form that a reader takes is the one that is written */
        uint8_t *again = encode(symbols, count, how, &bytes);
        require(bytes == size && memcmp(payload, again, size) == 0);
        release(again, size);
    }
    release(payload, size);
    release(symbols, count);
    release(expected, count);
}

#define MAX_STREAMS 11 /* more than take turns at once */

/* The input dealt out to several streams, of this code and of one that is its mirror image. */
static void side_by_side(struct input *in, const struct how *how, size_t count)
{
    const size_t alphabet = how->code.alphabet;
    uint16_t *mirrored = exact(alphabet * sizeof *mirrored);
    for (size_t s = 0; s < alphabet; s++)
        mirrored[s] = how->code.frequencies[alphabet - 1 - s];
    struct dc_rans_code codes[2] = {how->code, {mirrored, alphabet}};
    struct dc_coded_stream streams[MAX_STREAMS];
    size_t n = take(in) % (MAX_STREAMS + 1);
    for (size_t i = 0; i < n; i++) {
        size_t size = i + 1 < n ? in->left / 3 : in->left, symbols = count / (i / 3 + 1) + 1;
        uint8_t *payload = take_exact(in, size);
        for (size_t j = 0; j < states_of(symbols, how->symbols_bits) && 4 * j + 3 < size; j++)
            payload[4 * j + 1] |= 0x80, payload[4 * j + 3] &= 0x7f; /* that may be the first */
        streams[i] = (struct dc_coded_stream){payload, size, exact(symbols), symbols, i % 2,
                                              DC_STATUS_COUNT, SIZE_MAX};
    }
    dc_rans_states_decode(how->isa, codes, streams, n, how->symbols_bits);
    for (size_t i = 0; i < n; i++) {
        struct dc_coded_stream *s = &streams[i];
        struct how own = {how->isa, how->symbols_bits, codes[s->code]};
        size_t at = SIZE_MAX;
        uint8_t *expected = exact(s->count);
        enum dc_status status =
            decode_by_search(s->payload, s->size, &own, expected, s->count, &at);
        require(s->status == status && s->at == at);
        require(memcmp(s->symbols, expected, written(status, at, s->count)) == 0);
        release(expected, s->count);
        release((uint8_t *)s->payload, s->size);
        release(s->symbols, s->count);
    }
    release(mirrored, alphabet * sizeof *mirrored);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    size_t alphabet = take(&in) + 1u;
    unsigned direction = take(&in);
    size_t count = take(&in);
    uint16_t *frequencies = exact(alphabet * sizeof *frequencies);
    struct how how = {take_isa(&in), direction / 4 % 8, {frequencies, alphabet}};
    make_frequencies(&in, frequencies, alphabet);
    if (direction % 4 == 0)
        there_and_back(&in, &how);
    else if (direction % 4 == 2)
        side_by_side(&in, &how, count);
    else
        back_and_there(&in, &how, count + 1); /* at least one symbol */
    release(frequencies, alphabet * sizeof *frequencies);
    return 0;
}
