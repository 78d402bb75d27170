/* dc_huffman_decode, against a decoder that reads bit by bit; dc_huffman_encode leads back. */
#include "fuzz.h"

#define MAX_BITS 12
#define MAX_ALPHABET 256

/* The lengths of a complete code: one leaf after the other is split. No leaf: no symbol; one:
 * the lone symbol of length 1. Returns the number of leaves, which are spread over the alphabet. */
static size_t make_lengths(struct input *in, uint8_t *lengths, size_t alphabet)
{
    size_t wanted = take(in) % (alphabet + 1), leaves = wanted ? 1 : 0;
    uint8_t leaf[MAX_ALPHABET] = {0};
    unsigned seed = take(in), mode = take(in) % 3;
    while (leaves && leaves < wanted) {
        /* A byte for each split, or splits that need none: even, or ever deeper. */
        size_t which = mode == 0 ? take(in) % leaves : mode == 1 ? leaves * seed % 251 % leaves : 0;
        size_t tried = 0;
        for (; tried < leaves && leaf[which] == MAX_BITS; tried++)
            which = (which + 1) % leaves;
        if (tried == leaves)
            break;
        leaf[leaves++] = ++leaf[which];
    }
    if (leaves == 1)
        leaf[0] = 1;
    memset(lengths, 0, alphabet);
    for (size_t i = 0, place = seed % alphabet; i < leaves; i++) {
        lengths[place] = leaf[i];
        /* Leaves without a gap, or every third symbol where there is room. */
        for (size_t step = alphabet > 3 * wanted ? 3 : 1; step > 0; step--)
            place = (place + 1) % alphabet;
    }
    return leaves;
}

/* An instruction set that runs here, by the input. */
static enum dc_isa take_isa(struct input *in)
{
    enum dc_isa isa = (enum dc_isa)(take(in) % DC_ISA_COUNT);
    return dc_isa_available(isa) ? isa : DC_SCALAR;
}

/* `_decode` of huffman.py. */
static enum dc_status decode_by_bits(const uint8_t *payload, size_t size, const uint8_t *lengths,
                                     size_t alphabet, uint8_t *symbols, size_t count, size_t *at)
{
    size_t used[MAX_BITS + 1] = {0}, starts[MAX_BITS + 2] = {0}, place = 0;
    uint8_t in_order[MAX_ALPHABET];
    for (size_t s = 0; s < alphabet; s++)
        used[lengths[s]]++;
    used[0] = 0;
    for (unsigned length = 1; length <= MAX_BITS; length++)
        starts[length + 1] = starts[length] + used[length];
    for (size_t s = 0; s < alphabet; s++)
        if (lengths[s])
            in_order[starts[lengths[s]]++] = (uint8_t)s;
    for (size_t i = 0; i < count; i++) {
        size_t code = 0, first = 0, index = 0;
        unsigned length = 1;
        for (; length <= MAX_BITS; length++) {
            if (!used[length] && index == starts[MAX_BITS])
                break; /* beyond the longest code */
            *at = i;
            if (place == 8 * size)
                return DC_TRUNCATED;
            code |= payload[place / 8] >> place % 8 & 1u;
            place++;
            if (code - first < used[length]) {
                symbols[i] = in_order[index + code - first];
                break;
            }
            index += used[length];
            first = (first + used[length]) << 1;
            code <<= 1;
            if (length == MAX_BITS || index == starts[MAX_BITS])
                return DC_BAD_CODE;
        }
    }
    *at = (place + 7) / 8;
    if (*at < size)
        return DC_TRAILING;
    for (; place < 8 * size; place++)
        if (payload[place / 8] >> place % 8 & 1) {
            *at = size - 1;
            return DC_BAD_PADDING;
        }
    return DC_OK;
}

static enum dc_status decode_alone(enum dc_isa isa, const uint8_t *payload, size_t size,
                                   const uint8_t *lengths, size_t alphabet, uint8_t *symbols,
                                   size_t count, size_t *at)
{
    struct dc_huffman_code codes[2] = {{lengths, alphabet}};
    struct dc_coded_stream stream = {payload, size, symbols, count, 0, DC_STATUS_COUNT, SIZE_MAX};
    dc_huffman_decode(isa, codes, &stream, 1);
    *at = stream.at;
    return stream.status;
}

/* Symbols of the input, all of which have codes -> bytes -> the same symbols. */
static void there_and_back(struct input *in, const uint8_t *lengths, size_t alphabet)
{
    enum dc_isa isa = take_isa(in);
    size_t count = in->left, bits = 0, at = SIZE_MAX;
    uint8_t *symbols = take_exact(in, count);
    for (size_t i = 0; i < count; i++) {
        symbols[i] = (uint8_t)(symbols[i] % alphabet);
        while (!lengths[symbols[i]])
            symbols[i] = (uint8_t)((symbols[i] + 1) % alphabet);
        bits += lengths[symbols[i]];
    }
    size_t bytes = (bits + 7) / 8;
    uint8_t *payload = exact(bytes), *decoded = exact(count);
    require(dc_huffman_encode(symbols, count, lengths, alphabet, payload, bytes) == bytes);
    require(decode_alone(isa, payload, bytes, lengths, alphabet, decoded, count, &at) == DC_OK);
    require(memcmp(symbols, decoded, count) == 0);
    release(symbols, count);
    release(payload, bytes);
    release(decoded, count);
}

/* How far symbols are written that a stream has. */
static size_t written(enum dc_status status, size_t at, size_t count)
{
    return status == DC_TRUNCATED || status == DC_BAD_CODE ? at : count;
}

static void back_and_there(struct input *in, const uint8_t *lengths, size_t alphabet, size_t count)
{
    enum dc_isa isa = take_isa(in);
    size_t size = in->left, at = SIZE_MAX, expected_at = SIZE_MAX;
    uint8_t *payload = take_exact(in, size), *symbols = exact(count), *expected = exact(count);
    enum dc_status status =
        decode_alone(isa, payload, size, lengths, alphabet, symbols, count, &at);
    require(status == decode_by_bits(payload, size, lengths, alphabet, expected, count,
                                     &expected_at));
    require(memcmp(symbols, expected, written(status, at, count)) == 0);
    if (status == DC_OK) {
        uint8_t *again = exact(size);
        require(dc_huffman_encode(symbols, count, lengths, alphabet, again, size) == size);
        require(memcmp(payload, again, size) == 0);
        release(again, size);
    } else {
        require(at == expected_at);
    }
    release(payload, size);
    release(symbols, count);
    release(expected, count);
}

#define MAX_STREAMS 19 /* more than take turns at once */

/* The input dealt out to several streams, of this code and of one that is its mirror image; the
 * contents of each again and again, so that some are long. */
static void side_by_side(struct input *in, const uint8_t *lengths, size_t alphabet, size_t count)
{
    uint8_t *mirrored = exact(alphabet);
    for (size_t s = 0; s < alphabet; s++)
        mirrored[s] = lengths[alphabet - 1 - s];
    struct dc_huffman_code codes[2] = {{lengths, alphabet}, {mirrored, alphabet}};
    struct dc_coded_stream streams[MAX_STREAMS];
    enum dc_isa isa = take_isa(in);
    size_t n = take(in) % (MAX_STREAMS + 1);
    /* With some symbols in the least, tables have several to an entry. */
    size_t times = take(in) % 2 ? 1 : 70;
    for (size_t i = 0; i < n; i++) {
        size_t one = i + 1 < n ? in->left / 2 : in->left, size = one * times;
        uint8_t *payload = exact(size), *part = take_exact(in, one);
        for (size_t k = 0; k < size; k++)
            payload[k] = part[k % one];
        release(part, one);
        size_t symbols = count * times / (i + 1);
        streams[i] = (struct dc_coded_stream){payload, size, exact(symbols), symbols, i % 2,
                                                DC_STATUS_COUNT, SIZE_MAX};
    }
    dc_huffman_decode(isa, codes, streams, n);
    for (size_t i = 0; i < n; i++) {
        struct dc_coded_stream *s = &streams[i];
        size_t at = SIZE_MAX;
        uint8_t *expected = exact(s->count);
        enum dc_status status = decode_by_bits(s->payload, s->size, codes[s->code].lengths,
                                               alphabet, expected, s->count, &at);
        require(s->status == status);
        require(status == DC_OK || s->at == at);
        require(memcmp(s->symbols, expected, written(status, at, s->count)) == 0);
        release(expected, s->count);
        release((uint8_t *)s->payload, s->size);
        release(s->symbols, s->count);
    }
    release(mirrored, alphabet);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    size_t alphabet = take(&in) + 1u;
    unsigned direction = take(&in) % 4;
    size_t count = take(&in);
    uint8_t *lengths = exact(alphabet);
    size_t leaves = make_lengths(&in, lengths, alphabet);
    if (leaves && direction == 0)
        there_and_back(&in, lengths, alphabet);
    else if (direction == 1)
        side_by_side(&in, lengths, alphabet, leaves ? count : 0);
    else
        back_and_there(&in, lengths, alphabet, leaves ? count : 0);
    release(lengths, alphabet);
    return 0;
}
