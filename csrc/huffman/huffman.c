/* Canonical Huffman codes: the encoder, and what it shares with the decoder.
 *
 * A code is written from its most significant bit into bit strings that are read from the
 * least significant, so both directions work with reversed codes. `_encode` in huffman.py is
 * the definition. Four codes of at most 12 bits fit beside the bits that a flush leaves over,
 * so a word is written once for four symbols. */
#include <string.h>

#include "huffman/huffman.h"
#include "bits/bitreader.h"
#include "deepcompress.h"
#include "platform.h"

#define MOST_AT_ONCE ((size_t)1 << 30) /* symbols that are counted in 32 bits */

static unsigned reverse(unsigned code, unsigned length)
{
    unsigned reversed = 0;
    for (; length > 0; length--, code >>= 1)
        reversed = reversed << 1 | (code & 1);
    return reversed;
}

void dc_reversed_codes(const uint8_t *lengths, size_t alphabet, uint16_t *codes)
{
    unsigned used[DC_MAX_CODE_BITS + 1] = {0}, next[DC_MAX_CODE_BITS + 1] = {0};
    for (size_t s = 0; s < alphabet; s++)
        used[lengths[s]]++;
    used[0] = 0;
    for (unsigned length = 1; length <= DC_MAX_CODE_BITS; length++)
        next[length] = (next[length - 1] + used[length - 1]) << 1;
    for (size_t s = 0; s < alphabet; s++)
        codes[s] = (uint16_t)(lengths[s] ? reverse(next[lengths[s]]++, lengths[s]) : 0);
}

void dc_histogram(const uint8_t *symbols, size_t count, uint64_t *counts)
{
    /* Four counters to a symbol, as the same one is wanted again before it is stored. Symbols are
     * loaded by eights, which takes half the time of one by one. */
    memset(counts, 0, DC_MAX_ALPHABET * sizeof *counts);
    while (count) {
        size_t some = count < MOST_AT_ONCE ? count : MOST_AT_ONCE, i = 0;
        uint32_t parts[4][DC_MAX_ALPHABET] = {{0}};
        for (; i + 8 <= some; i += 8) {
            uint64_t eight;
            memcpy(&eight, symbols + i, sizeof eight);
            DC_UNROLL
            for (unsigned j = 0; j < 8; j++)
                parts[j % 4][(uint8_t)(eight >> (8 * j))]++;
        }
        for (; i < some; i++)
            parts[0][symbols[i]]++;
        for (size_t s = 0; s < DC_MAX_ALPHABET; s++)
            counts[s] += (uint64_t)parts[0][s] + parts[1][s] + parts[2][s] + parts[3][s];
        symbols += some;
        count -= some;
    }
}

int dc_occurs(const uint8_t *symbols, size_t count, const uint8_t *flags)
{
    unsigned any = 0;
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        uint64_t eight;
        memcpy(&eight, symbols + i, sizeof eight);
        DC_UNROLL
        for (unsigned j = 0; j < 8; j++)
            any |= flags[(uint8_t)(eight >> (8 * j))];
    }
    for (; i < count; i++)
        any |= flags[symbols[i]];
    return any != 0;
}

/* A code and how long it is, in one load. */
struct word {
    uint16_t code;
    uint16_t length;
};

#define SYMBOLS_PER_FLUSH 4 /* 7 bits left over + 4 * 12 <= 64 */

size_t dc_huffman_encode(const uint8_t *symbols, size_t count, const uint8_t *lengths,
                         size_t alphabet, uint8_t *payload, size_t size)
{
    const uint8_t *const begin = payload;
    uint16_t codes[DC_MAX_ALPHABET];
    struct word words[DC_MAX_ALPHABET];
    dc_reversed_codes(lengths, alphabet, codes);
    for (size_t s = 0; s < alphabet; s++)
        words[s] = (struct word){codes[s], lengths[s]};
    const uint8_t *const end = payload + size;
    uint64_t bits = 0;
    unsigned have = 0;
    size_t i = 0;
    for (; count - i >= SYMBOLS_PER_FLUSH && end - payload >= 8; i += SYMBOLS_PER_FLUSH) {
        for (size_t k = 0; k < SYMBOLS_PER_FLUSH; k++) {
            struct word w = words[symbols[i + k]];
            bits |= (uint64_t)w.code << have;
            have += w.length;
        }
        dc_store8(payload, bits);
        payload += have / 8;
        bits >>= have & ~7u;
        have %= 8;
    }
    for (; i < count; i++) {
        struct word w = words[symbols[i]];
        bits |= (uint64_t)w.code << have;
        have += w.length;
        for (; have >= 8; have -= 8, bits >>= 8)
            *payload++ = (uint8_t)bits;
    }
    if (have > 0)
        *payload++ = (uint8_t)bits;
    return (size_t)(payload - begin);
}
