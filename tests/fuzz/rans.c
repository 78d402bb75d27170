/* dc_rans_decode, against a decoder that searches; dc_rans_encode leads back. */
#include "fuzz.h"

#define TOTAL (1u << 14)
#define LOWEST (1u << 23)

/* Frequencies of sum 2**14: some from the input, and what they leave to the others evenly. */
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

/* `_decode` of rans.py. */
static enum dc_status decode_by_search(const uint8_t *payload, size_t size,
                                       const uint16_t *frequencies, uint8_t *symbols, size_t count,
                                       size_t *at)
{
    uint64_t state = 0;
    size_t place = 4;
    *at = 0;
    if (size < 4)
        return DC_TRUNCATED;
    for (unsigned k = 0; k < 4; k++)
        state |= (uint64_t)payload[k] << (8 * k);
    if (state < LOWEST || state >= (uint64_t)LOWEST << 8)
        return DC_BAD_START;
    for (size_t i = 0; i < count; i++) {
        uint64_t slot = state % TOTAL, start = 0;
        size_t s = 0;
        for (; start + frequencies[s] <= slot; s++)
            start += frequencies[s];
        symbols[i] = (uint8_t)s;
        state = frequencies[s] * (state / TOTAL) + slot - start;
        while (state < LOWEST) {
            if (place == size) {
                *at = i;
                return DC_TRUNCATED;
            }
            state = state << 8 | payload[place++];
        }
    }
    *at = place;
    return place < size ? DC_TRAILING : state == LOWEST ? DC_OK : DC_BAD_END;
}

static enum dc_status decode_alone(const uint8_t *payload, size_t size,
                                   const uint16_t *frequencies, size_t alphabet, uint8_t *symbols,
                                   size_t count, size_t *at)
{
    struct dc_rans_code codes[2] = {{frequencies, alphabet}};
    struct dc_coded_stream stream = {payload, size, symbols, count, 0, DC_STATUS_COUNT, SIZE_MAX};
    dc_rans_decode(codes, &stream, 1);
    *at = stream.at;
    return stream.status;
}

/* Symbols of the input, all of which have frequencies -> bytes -> the same symbols. */
static void there_and_back(struct input *in, const uint16_t *frequencies, size_t alphabet)
{
    size_t count = in->left, capacity = 4 + 2 * count, at = SIZE_MAX;
    uint8_t *symbols = take_exact(in, count);
    for (size_t i = 0; i < count; i++) {
        symbols[i] = (uint8_t)(symbols[i] % alphabet);
        while (!frequencies[symbols[i]])
            symbols[i] = (uint8_t)((symbols[i] + 1) % alphabet);
    }
    uint8_t *room = exact(capacity), *decoded = exact(count);
    size_t bytes = dc_rans_encode(symbols, count, frequencies, alphabet, room, capacity);
    require(4 <= bytes && bytes <= capacity);
    require(untouched(room, capacity - bytes));
    uint8_t *payload = exact(bytes);
    memcpy(payload, room + capacity - bytes, bytes);
    require(decode_alone(payload, bytes, frequencies, alphabet, decoded, count, &at) == DC_OK);
    require(memcmp(symbols, decoded, count) == 0);
    release(symbols, count);
    release(room, capacity);
    release(decoded, count);
    release(payload, bytes);
}

static void back_and_there(struct input *in, const uint16_t *frequencies, size_t alphabet,
                           size_t count)
{
    size_t size = in->left, at = SIZE_MAX, expected_at = SIZE_MAX;
    uint8_t *payload = take_exact(in, size), *symbols = exact(count), *expected = exact(count);
    enum dc_status status =
        decode_alone(payload, size, frequencies, alphabet, symbols, count, &at);
    require(status == decode_by_search(payload, size, frequencies, expected, count, &expected_at));
    require(memcmp(symbols, expected, count) == 0); /* as far as they were written, and beyond */
    require(at == expected_at);
    if (status == DC_OK) { /* the one form that a reader takes is the one that is written */
        uint8_t *again = exact(size);
        require(dc_rans_encode(symbols, count, frequencies, alphabet, again, size) == size);
        require(memcmp(payload, again, size) == 0);
        release(again, size);
    }
    release(payload, size);
    release(symbols, count);
    release(expected, count);
}

#define MAX_STREAMS 19 /* more than take turns at once */

/* The input dealt out to several streams, of this code and of one that is its mirror image. */
static void side_by_side(struct input *in, const uint16_t *frequencies, size_t alphabet,
                         size_t count)
{
    uint16_t *mirrored = exact(alphabet * sizeof *mirrored);
    for (size_t s = 0; s < alphabet; s++)
        mirrored[s] = frequencies[alphabet - 1 - s];
    struct dc_rans_code codes[2] = {{frequencies, alphabet}, {mirrored, alphabet}};
    struct dc_coded_stream streams[MAX_STREAMS];
    size_t n = take(in) % (MAX_STREAMS + 1);
    for (size_t i = 0; i < n; i++) {
        size_t size = i + 1 < n ? in->left / 3 : in->left, symbols = count / (i + 1) + 1;
        uint8_t *payload = take_exact(in, size);
        if (size > 3) /* a state that may be the first */
            payload[2] |= 0x80, payload[3] &= 0x7f;
        streams[i] = (struct dc_coded_stream){payload, size, exact(symbols), symbols, i % 2,
                                              DC_STATUS_COUNT, SIZE_MAX};
    }
    dc_rans_decode(codes, streams, n);
    for (size_t i = 0; i < n; i++) {
        struct dc_coded_stream *s = &streams[i];
        size_t at = SIZE_MAX;
        uint8_t *expected = exact(s->count);
        enum dc_status status = decode_by_search(s->payload, s->size, codes[s->code].frequencies,
                                                 expected, s->count, &at);
        require(s->status == status && s->at == at);
        require(memcmp(s->symbols, expected, s->count) == 0);
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
    unsigned direction = take(&in) % 4;
    size_t count = take(&in);
    uint16_t *frequencies = exact(alphabet * sizeof *frequencies);
    make_frequencies(&in, frequencies, alphabet);
    if (direction == 0)
        there_and_back(&in, frequencies, alphabet);
    else if (direction == 2)
        side_by_side(&in, frequencies, alphabet, count);
    else
        back_and_there(&in, frequencies, alphabet, count + 1); /* at least one symbol */
    release(frequencies, alphabet * sizeof *frequencies);
    return 0;
}
