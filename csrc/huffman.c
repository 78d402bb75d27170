/* Canonical Huffman codes. `decode` in huffman.py, one bit at a time, is the definition.
 *
 * A code is written from its most significant bit into bit strings that are read
 * from the least significant, so both directions work with reversed codes. As no
 * code is longer than MAX_CODE_BITS, the next that many bits select symbol and
 * length from a single table, in which a shorter code fills every entry that
 * begins with it. */
#include <string.h>

#include "bitreader.h"
#include "deepcompress.h"

#define MAX_CODE_BITS 12
#define MAX_ALPHABET 256
#define TABLE_SIZE (1u << MAX_CODE_BITS)
#define SYMBOLS_PER_REFILL 4 /* 4 * 12 <= 56 bits, the least that a refill promises */

struct entry {
    uint8_t symbol;
    uint8_t length; /* 0 where no code begins like this */
};

_Static_assert(SYMBOLS_PER_REFILL * MAX_CODE_BITS <= 56, "a refill must suffice");
_Static_assert(sizeof(struct entry) == 2, "the table is meant to stay in the L1 cache");

static unsigned reverse(unsigned code, unsigned length)
{
    unsigned reversed = 0;
    for (; length > 0; length--, code >>= 1)
        reversed = reversed << 1 | (code & 1);
    return reversed;
}

/* The code of each symbol, reversed; 0 for those of length 0. */
static void reversed_codes(const uint8_t *lengths, size_t alphabet, uint16_t *codes)
{
    unsigned used[MAX_CODE_BITS + 1] = {0}, next[MAX_CODE_BITS + 1] = {0};
    for (size_t s = 0; s < alphabet; s++)
        used[lengths[s]]++;
    used[0] = 0;
    for (unsigned length = 1; length <= MAX_CODE_BITS; length++)
        next[length] = (next[length - 1] + used[length - 1]) << 1;
    for (size_t s = 0; s < alphabet; s++)
        codes[s] = (uint16_t)(lengths[s] ? reverse(next[lengths[s]]++, lengths[s]) : 0);
}

static void build_table(const uint8_t *lengths, size_t alphabet, struct entry *table)
{
    uint16_t codes[MAX_ALPHABET];
    reversed_codes(lengths, alphabet, codes);
    memset(table, 0, TABLE_SIZE * sizeof *table);
    for (size_t s = 0; s < alphabet; s++)
        if (lengths[s])
            for (unsigned i = codes[s]; i < TABLE_SIZE; i += 1u << lengths[s])
                table[i] = (struct entry){(uint8_t)s, lengths[s]};
}

void dc_huffman_encode(const uint8_t *symbols, size_t count, const uint8_t *lengths,
                       size_t alphabet, uint8_t *payload)
{
    uint16_t codes[MAX_ALPHABET];
    reversed_codes(lengths, alphabet, codes);
    uint64_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < count; i++) {
        bits |= (uint64_t)codes[symbols[i]] << have;
        have += lengths[symbols[i]];
        for (; have >= 8; have -= 8, bits >>= 8)
            *payload++ = (uint8_t)bits;
    }
    if (have > 0)
        *payload = (uint8_t)bits;
}

enum dc_status dc_huffman_decode(const uint8_t *payload, size_t size, const uint8_t *lengths,
                                 size_t alphabet, uint8_t *symbols, size_t count, size_t *at)
{
    struct entry table[TABLE_SIZE];
    build_table(lengths, alphabet, table);

    struct dc_bitreader r = {payload, payload + size, 0, 0};
    size_t i = 0;
    while (i < count) {
        dc_refill(&r);
        size_t batch = count - i < SYMBOLS_PER_REFILL ? count - i : SYMBOLS_PER_REFILL;
        for (size_t last = i + batch; i < last; i++) {
            struct entry e = table[r.bits & (TABLE_SIZE - 1)];
            if (e.length == 0 || e.length > r.have) {
                *at = i;
                return e.length ? DC_TRUNCATED : DC_BAD_CODE;
            }
            symbols[i] = e.symbol;
            dc_skip(&r, e.length);
        }
    }

    size_t unread = (size_t)(r.end - r.next) + r.have / 8;
    *at = size - unread;
    if (unread > 0)
        return DC_TRAILING;
    if (r.bits != 0) {
        *at = size - 1;
        return DC_BAD_PADDING;
    }
    return DC_OK;
}
