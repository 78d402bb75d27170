/* The head of a tensor in planes, with its code tables. `parse_head` of container/planes.py and
 * `decode_deltas` of tokens.py define what is valid; who wants to know why something isn't asks these.
 */
#include <string.h>

#include "bits/bitreader.h"
#include "crc/crc.h"
#include "huffman/huffman.h"
#include "planes/planes_head.h"

#define MOST_LEVEL DC_MAX_CODE_BITS
#define WHOLE (1u << DC_MAX_CODE_BITS)
#define FIRST_PREVIOUS 4
#define SYMBOLS_PER_BYTE 64
#define UNROTATED 128

enum { FIXED_WIDTH = 0, HUFFMAN };

uint32_t dc_chunk_crc_start(enum dc_isa isa, uint32_t header_crc, uint64_t chunk)
{
    uint8_t number[DC_MOST_VARINT_BYTES + 1];
    size_t bytes = 0;
    for (uint64_t left = chunk; left; left >>= 7)
        number[bytes++] = (uint8_t)((left & 0x7f) | (left >> 7 ? 0x80 : 0));
    return dc_crc32_of(isa, number, bytes, header_crc);
}

int dc_read_varint(const uint8_t **next, const uint8_t *end, uint64_t *value)
{
    *value = 0;
    for (unsigned i = 0; i < DC_MOST_VARINT_BYTES && *next < end; i++) {
        const uint8_t group = *(*next)++;
        *value |= (uint64_t)(group & 0x7f) << 7 * i;
        if (group < 0x80)
            return group > 0 || i == 0;
    }
    return 0;
}

/* How many bits there are before the next one that is `stop`, which is passed, too; or too many. */
static unsigned read_unary(struct dc_bitreader *r, unsigned stop)
{
    unsigned count = 0;
    while (count < MOST_LEVEL && r->have > 0) {
        const unsigned bit = (unsigned)r->bits & 1;
        dc_skip(r, 1);
        if (bit == stop)
            return count;
        count++;
    }
    return MOST_LEVEL;
}

/* Whether a code has the lengths: a complete one, a lone symbol's, or none. */
static int is_code(const uint8_t *lengths)
{
    uint32_t share = 0, used = 0;
    for (size_t s = 0; s < DC_MAX_ALPHABET; s++) {
        used += lengths[s] != 0;
        share += lengths[s] ? WHOLE >> lengths[s] : 0;
    }
    return share == WHOLE || used == 0 || (used == 1 && share == WHOLE / 2);
}

/* As `decode_deltas` of tokens.py; 1 if the whole table is a valid one. */
static int read_lengths(const uint8_t *table, size_t size, uint8_t *lengths)
{
    struct dc_bitreader r = {table, table + size, 0, 0};
    unsigned count = 0, previous = FIRST_PREVIOUS, after_run = 0;
    while (count < DC_MAX_ALPHABET) {
        int step = 0;
        dc_refill(&r); /* the longest token has 26 bits */
        const unsigned least = (r.bits & 7) == 7 ? 4 : r.bits & 1 ? 3 : 1;
        if (r.have < least)
            return 0;
        if (!(r.bits & 1)) {
            dc_skip(&r, 1);
        } else if (!(r.bits & 2)) {
            step = r.bits & 4 ? -1 : 1;
            dc_skip(&r, 3);
        } else if (r.bits & 4) {
            const int sign = r.bits & 8 ? -1 : 1;
            dc_skip(&r, 4);
            const unsigned more = read_unary(&r, 0);
            if (more == MOST_LEVEL)
                return 0;
            step = sign * (int)(2 + more);
        } else {
            dc_skip(&r, 3);
            const unsigned digits = read_unary(&r, 1);
            if (digits == MOST_LEVEL || digits > r.have)
                return 0;
            unsigned run = 1;
            for (unsigned i = 0; i < digits; i++, dc_skip(&r, 1))
                run = 2 * run + ((unsigned)r.bits & 1);
            if (after_run || run > DC_MAX_ALPHABET - count)
                return 0;
            memset(lengths + count, 0, run);
            count += run;
            after_run = 1;
            continue;
        }
        const int level = (int)previous + step;
        if (level < 1 || level > MOST_LEVEL)
            return 0;
        previous = (unsigned)level;
        lengths[count++] = (uint8_t)level;
        after_run = 0;
    }
    return r.next == r.end && r.have < 8 && r.bits == 0 && is_code(lengths);
}

int dc_open_planes(const struct dc_planes *t, struct dc_planes_head *head)
{
    const uint8_t *next = t->data, *const end = t->data + t->size;
    uint64_t tables[DC_MOST_PLANES] = {0}, size;
    if (t->size < 1 + (size_t)t->word_bytes)
        return 0;
    const unsigned first = *next++;
    const int unrotated = t->may_stay && (first & UNROTATED);
    head->block_bits = first - (unrotated ? UNROTATED : 0);
    head->rotate = t->is_float && !unrotated;
    if (head->block_bits > DC_MOST_BLOCK_BITS)
        return 0;
    for (unsigned p = 0; p < t->word_bytes; p++)
        if ((head->coders[p] = *next++) > HUFFMAN)
            return 0;
    for (unsigned p = 0; p < t->word_bytes; p++)
        if (head->coders[p] && (!dc_read_varint(&next, end, &tables[p]) || tables[p] > t->size))
            return 0;
    const uint64_t blocks = t->words ? ((t->words - 1) >> head->block_bits) + 1 : 1;
    head->block_count = blocks;
    if (blocks > 1 && blocks > (size_t)(end - next) / (1 + DC_CRC_BYTES))
        return 0;
    head->sizes = next;
    for (uint64_t b = 0; b < blocks; b++) {
        const uint64_t words = dc_block_words(t->words, head->block_bits, b);
        for (unsigned p = 0; p < t->word_bytes; p++) {
            if (!head->coders[p])
                continue;
            if (!dc_read_varint(&next, end, &size) || size > t->size)
                return 0;
            if (words > SYMBOLS_PER_BYTE * size)
                return 0;
        }
    }
    for (unsigned p = 0; p < t->word_bytes; p++) {
        if (tables[p] > (size_t)(end - next))
            return 0;
        if (head->coders[p] && !read_lengths(next, (size_t)tables[p], head->lengths[p]))
            return 0;
        next += tables[p];
    }
    head->end = next;
    return 1;
}
