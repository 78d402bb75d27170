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
    require(dc_rans_decode(payload, bytes, frequencies, alphabet, decoded, count, &at) == DC_OK);
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
        dc_rans_decode(payload, size, frequencies, alphabet, symbols, count, &at);
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
    else
        back_and_there(&in, frequencies, alphabet, count + 1); /* at least one symbol */
    release(frequencies, alphabet * sizeof *frequencies);
    return 0;
}
