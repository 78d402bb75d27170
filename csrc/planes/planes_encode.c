/* Words to coded planes: which planes gain by a Huffman code, its tables, and the tensor's chunks with
 * their checksums. `_choose` and `_encode` of coding/planes.py and `planes_chunks` of
 * container/writer.py are the definition. Two calls: after the first, the caller knows how many bytes
 * the second one writes, and where these are to be: a copy of them would take half as long again, most
 * of it for memory that wasn't touched before. Both split the words, block by block in the cache, as
 * that takes less than to keep the planes. */
#include <math.h>
#include <string.h>

#include "bits/bitreader.h"
#include "crc/crc.h"
#include "deepcompress.h"
#include "huffman/huffman.h"
#include "planes/planes_head.h"
#include "pool/pool.h"

#define MOST_TABLE_BYTES 512 /* of 256 lengths, each by a token of at most 14 bits */
#define FIRST_PREVIOUS 4

static size_t block_words(const struct dc_plane_codes *c, size_t block)
{
    const size_t left = c->words - (block << c->block_bits), most = (size_t)1 << c->block_bits;
    return left < most ? left : most;
}

/* Bits that are written one after the other. */
struct bit_writer {
    uint8_t *bytes;
    size_t place;
};

/* The lowest bits of a number, the lowest first. */
static void put_bits(struct bit_writer *w, unsigned bits, unsigned count)
{
    for (unsigned i = 0; i < count; i++, w->place++)
        w->bytes[w->place / 8] |= (uint8_t)((bits >> i & 1) << w->place % 8);
}

static void put_run(struct bit_writer *w, unsigned run)
{
    unsigned digits = 0;
    while (run >> digits)
        digits++;
    put_bits(w, 3, 3);
    put_bits(w, 0, digits - 1);
    for (unsigned i = digits; i-- > 0;)
        put_bits(w, run >> i & 1, 1);
}

/* As `encode_deltas` of tokens.py; returns the bytes. */
static size_t write_table(const uint8_t *lengths, uint8_t *table)
{
    struct bit_writer w = {table, 0};
    unsigned previous = FIRST_PREVIOUS, run = 0;
    memset(table, 0, MOST_TABLE_BYTES);
    for (size_t s = 0; s < DC_MAX_ALPHABET; s++) {
        if (!lengths[s]) {
            run++;
            continue;
        }
        if (run)
            put_run(&w, run);
        run = 0;
        const unsigned down = lengths[s] < previous;
        const unsigned step = down ? previous - lengths[s] : lengths[s] - previous;
        if (step == 0) {
            put_bits(&w, 0, 1);
        } else if (step == 1) {
            put_bits(&w, 1 | down << 2, 3);
        } else {
            put_bits(&w, 7 | down << 3, 4);
            put_bits(&w, (1u << (step - 2)) - 1, step - 1);
        }
        previous = lengths[s];
    }
    if (run)
        put_run(&w, run);
    return (w.place + 7) / 8;
}

static size_t varint_bytes(uint64_t value)
{
    size_t bytes = 1;
    for (; value >= 0x80; value >>= 7)
        bytes++;
    return bytes;
}

/* The bytes that no code falls below. */
static double entropy_bytes(const int64_t *counts, size_t total)
{
    double bits = 0;
    for (size_t s = 0; s < DC_MAX_ALPHABET; s++)
        if (counts[s])
            bits += (double)counts[s] * log2((double)total / (double)counts[s]);
    return bits / 8;
}

/* Chooses the coder of a plane whose parts are counted, and makes its table. */
static void choose_plane(struct dc_plane_codes *c, size_t blocks, unsigned plane)
{
    const unsigned planes = c->word_bytes;
    const size_t gain = c->words / c->least_gain > 1 ? c->words / c->least_gain : 1;
    int64_t counts[DC_MAX_ALPHABET] = {0};
    uint8_t *lengths = c->lengths + plane * DC_MAX_ALPHABET;
    uint64_t size;
    for (size_t b = 0; b < blocks; b++)
        for (size_t s = 0; s < DC_MAX_ALPHABET; s++)
            counts[s] += c->counts[(b * planes + plane) * DC_MAX_ALPHABET + s];
    c->coders[plane] = 0;
    for (size_t b = 0; b < blocks; b++)
        c->block_bytes[b * planes + plane] = block_words(c, b);
    if (entropy_bytes(counts, c->words) + (double)gain > (double)c->words)
        return;
    dc_code_lengths(counts, DC_MAX_ALPHABET, DC_MAX_CODE_BITS, lengths);
    c->table_bytes[plane] = write_table(lengths, c->tables + plane * MOST_TABLE_BYTES);
    size = c->table_bytes[plane] + varint_bytes(c->table_bytes[plane]);
    for (size_t b = 0; b < blocks; b++) {
        const uint32_t *own = c->counts + (b * planes + plane) * DC_MAX_ALPHABET;
        uint64_t bits = 0;
        for (size_t s = 0; s < DC_MAX_ALPHABET; s++)
            bits += (uint64_t)own[s] * lengths[s];
        const uint64_t bytes = (bits + 7) / 8;
        size += bytes + varint_bytes(bytes);
        c->block_bytes[b * planes + plane] = bytes;
    }
    if (size + gain <= c->words) {
        c->coders[plane] = 1;
        return;
    }
    c->table_bytes[plane] = 0;
    for (size_t b = 0; b < blocks; b++)
        c->block_bytes[b * planes + plane] = block_words(c, b);
}

size_t dc_plane_codes_scratch(const struct dc_plane_codes *c)
{
    return block_words(c, 0) * c->word_bytes;
}

/* Splits a block into the planes of a thread; returns them. */
static const uint8_t *split_block(enum dc_isa isa, const struct dc_plane_codes *c, size_t block,
                                  size_t thread)
{
    uint8_t *planes = c->scratch + thread * dc_plane_codes_scratch(c);
    dc_split_planes(isa, c->data + (block << c->block_bits) * c->word_bytes,
                    block_words(c, block), c->word_bytes, c->rotate, planes);
    return planes;
}

static void count_block(enum dc_isa isa, struct dc_plane_codes *c, size_t block, size_t thread)
{
    const size_t words = block_words(c, block);
    const uint8_t *planes = split_block(isa, c, block, thread);
    for (unsigned p = 0; p < c->word_bytes; p++) {
        uint64_t counts[DC_MAX_ALPHABET];
        uint32_t *own = c->counts + (block * c->word_bytes + p) * DC_MAX_ALPHABET;
        dc_histogram(planes + p * words, words, counts);
        for (size_t s = 0; s < DC_MAX_ALPHABET; s++)
            own[s] = (uint32_t)counts[s];
    }
}

struct counting {
    enum dc_isa isa;
    struct dc_plane_codes *codes;
};

static size_t blocks_of(const struct dc_plane_codes *c)
{
    return ((c->words - 1) >> c->block_bits) + 1;
}

static void count_blocks(void *context, size_t first, size_t end, size_t thread)
{
    const struct counting *d = context;
    for (size_t b = first; b < end; b++)
        count_block(d->isa, d->codes, b, thread);
}

void dc_plane_codes_choose(enum dc_isa isa, struct dc_plane_codes *c, const struct dc_team *team)
{
    struct counting d = {isa, c};
    dc_deal(team, blocks_of(c), count_blocks, &d);
    for (unsigned p = 0; p < c->word_bytes; p++)
        choose_plane(c, blocks_of(c), p);
}

struct writing {
    enum dc_isa isa;
    const struct dc_plane_codes *codes;
    uint32_t header_crc;
    uint8_t *out;      /* of all chunks */
    size_t head_bytes; /* which are there */
};

/* Writes the CRC of a chunk behind it; returns where that ends. */
static uint8_t *end_chunk(const struct writing *d, uint64_t chunk, const uint8_t *begin, uint8_t *end)
{
    const uint32_t start = dc_chunk_crc_start(d->isa, d->header_crc, chunk);
    dc_store4(end, dc_crc32_of(d->isa, begin, (size_t)(end - begin), start));
    return end + DC_CRC_BYTES;
}

/* Writes a block's planes; returns where they end. */
static uint8_t *write_block(const struct writing *d, size_t block, size_t thread, uint8_t *out)
{
    const struct dc_plane_codes *c = d->codes;
    const size_t words = block_words(c, block);
    const uint8_t *plane = split_block(d->isa, c, block, thread);
    for (unsigned p = 0; p < c->word_bytes; p++, plane += words) {
        const size_t bytes = (size_t)c->block_bytes[block * c->word_bytes + p];
        if (c->coders[p])
            dc_huffman_encode(plane, words, c->lengths + p * DC_MAX_ALPHABET, DC_MAX_ALPHABET, out,
                              bytes);
        else
            memcpy(out, plane, words);
        out += bytes;
    }
    return out;
}

/* Writes blocks to where those before them end: each is a chunk, but a lone one is one with the head. */
static void write_blocks(void *context, size_t first, size_t end, size_t thread)
{
    const struct writing *d = context;
    const struct dc_plane_codes *c = d->codes;
    uint8_t *out = d->out + d->head_bytes;
    if (blocks_of(c) == 1) {
        end_chunk(d, 0, d->out, write_block(d, 0, thread, out));
        return;
    }
    out += (1 + first) * DC_CRC_BYTES;
    for (size_t k = 0; k < first * c->word_bytes; k++)
        out += c->block_bytes[k];
    for (size_t b = first; b < end; b++)
        out = end_chunk(d, b + 1, out, write_block(d, b, thread, out));
}

void dc_plane_codes_write(enum dc_isa isa, const struct dc_plane_codes *c, const uint8_t *head,
                          size_t head_bytes, uint32_t header_crc, uint8_t *out,
                          const struct dc_team *team)
{
    struct writing d = {isa, c, header_crc, out, head_bytes};
    memcpy(out, head, head_bytes);
    if (blocks_of(c) > 1)
        end_chunk(&d, 0, out, out + head_bytes);
    dc_deal(team, blocks_of(c), write_blocks, &d);
}
