/* Tensors in planes, from the bytes that a file has of them to words: heads, checksums, streams and
 * planes in one go. docs/format.md, "Planes", has what is valid; container/planes.py and
 * coding/planes.py define what comes out.
 *
 * A share has some of the blocks of all tensors, in their order. It opens a tensor by walking over
 * its head, then gathers blocks until there are enough streams to be decoded side by side, be they
 * of one tensor or of several small ones, each with its own code. Their planes are merged while
 * they are in the cache. */
#include <string.h>

#include "bits/bitreader.h"
#include "crc/crc.h"
#include "deepcompress.h"
#include "huffman/huffman_rounds.h"
#include "planes/planes_head.h"
#include "pool/pool.h"
#include "tasks.h"

#define MOST_BLOCKS 8 /* that are gathered; and of streams, which one block may have as many of */

/* A block that waits to be decoded. */
struct waiting {
    size_t tensor;
    size_t words;
    uint8_t *out;
    int rotate;
    const uint8_t *planes[DC_MOST_PLANES];
    size_t streams; /* of those gathered, how many are before its own */
};

struct gathered {
    uint32_t tables[DC_MOST_CODES][TABLE_SIZE];
    uint8_t symbols[MOST_BLOCKS][1 << DC_MOST_BLOCK_BITS];
    uint8_t lengths[DC_MOST_CODES][DC_MAX_ALPHABET];
    struct dc_huffman_code codes[DC_MOST_CODES];
    struct dc_coded_stream streams[MOST_BLOCKS];
    struct waiting blocks[MOST_BLOCKS];
    struct dc_planes_head head;
    size_t code_count, stream_count, block_count;
};

_Static_assert(DC_MOST_PLANES <= MOST_BLOCKS && DC_MOST_PLANES <= DC_MOST_CODES, "a block fits");

/* Whether the CRC behind a chunk is its own. */
static int is_intact(enum dc_isa isa, const struct dc_planes *t, uint64_t chunk,
                     const uint8_t *begin, const uint8_t *end)
{
    const uint32_t start = dc_chunk_crc_start(isa, t->header_crc, chunk);
    return dc_crc32_of(isa, begin, (size_t)(end - begin), start) == dc_load4(end);
}

static int has_bools(const uint8_t *words, size_t count)
{
    uint8_t all = 0;
    for (size_t i = 0; i < count; i++)
        all |= words[i];
    return all <= 1;
}

/* Decodes and merges the blocks that were gathered. */
static void empty(struct gathered *g, enum dc_isa isa, const struct dc_planes *tensors,
                  uint8_t *failed)
{
    const struct dc_huffman_way *way = dc_huffman_way_of(isa);
    if (g->stream_count)
        dc_huffman_decode_by(way, g->codes, g->code_count, g->tables, g->streams,
                             g->stream_count);
    for (size_t b = 0; b < g->block_count; b++) {
        const struct waiting *block = &g->blocks[b];
        const struct dc_planes *t = &tensors[block->tensor];
        const size_t end = b + 1 < g->block_count ? block[1].streams : g->stream_count;
        for (size_t i = block->streams; i < end; i++)
            failed[block->tensor] |= g->streams[i].status != DC_OK;
        if (failed[block->tensor])
            continue;
        dc_merge_planes(isa, block->planes, block->words, t->word_bytes, block->rotate,
                        block->out);
        if (t->is_bool)
            failed[block->tensor] |= !has_bools(block->out, block->words);
    }
    g->code_count = g->stream_count = g->block_count = 0;
}

/* Has the blocks from `first` up to `stop` of a tensor decoded; returns 1 as far as they are valid. */
static int take_blocks(struct gathered *g, enum dc_isa isa, const struct dc_planes *tensors,
                       size_t number, uint64_t first, uint64_t stop, uint8_t *failed)
{
    const struct dc_planes *t = &tensors[number];
    struct dc_planes_head *head = &g->head;
    if (!dc_open_planes(t, head))
        return 0;
    const uint64_t blocks = head->block_count;
    unsigned coded = 0;
    for (unsigned p = 0; p < t->word_bytes; p++)
        coded += head->coders[p] != 0;
    const uint8_t *sizes = head->sizes, *at = head->end, *const end = t->data + t->size;
    if (blocks > 1 && (size_t)(end - at) < DC_CRC_BYTES)
        return 0;
    if (blocks > 1 && first == 0 && !is_intact(isa, t, 0, t->data, at))
        return 0;
    size_t codes[DC_MOST_PLANES] = {0};
    int have_codes = 0;
    for (uint64_t b = 0; b < blocks; b++) {
        const size_t words = (size_t)dc_block_words(t->words, head->block_bits, b);
        uint64_t own[DC_MOST_PLANES];
        if (blocks > 1)
            at += DC_CRC_BYTES; /* of the chunk before, which was looked at */
        const uint8_t *const begin = at;
        for (unsigned p = 0; p < t->word_bytes; p++) {
            own[p] = words;
            if (head->coders[p])
                dc_read_varint(&sizes, head->end, &own[p]);
            if (own[p] > (size_t)(end - at))
                return 0;
            at += own[p];
        }
        if ((size_t)(end - at) < DC_CRC_BYTES || (b + 1 == blocks && (size_t)(end - at) > DC_CRC_BYTES))
            return 0;
        if (b < first || b >= stop)
            continue;
        if (!is_intact(isa, t, blocks > 1 ? b + 1 : 0, blocks > 1 ? begin : t->data, at))
            return 0;
        if (g->block_count == MOST_BLOCKS || g->stream_count + coded > MOST_BLOCKS ||
            (!have_codes && g->code_count + coded > DC_MOST_CODES)) {
            empty(g, isa, tensors, failed);
            have_codes = 0;
        }
        struct waiting *block = &g->blocks[g->block_count++];
        *block = (struct waiting){.tensor = number, .words = words, .rotate = head->rotate,
                                  .streams = g->stream_count};
        block->out = t->words_out + (b << head->block_bits) * t->word_bytes;
        const uint8_t *plane = begin;
        for (unsigned p = 0; p < t->word_bytes; plane += own[p], p++) {
            block->planes[p] = plane;
            if (!head->coders[p])
                continue;
            if (!have_codes) {
                codes[p] = g->code_count++;
                memcpy(g->lengths[codes[p]], head->lengths[p], DC_MAX_ALPHABET);
                g->codes[codes[p]] =
                    (struct dc_huffman_code){g->lengths[codes[p]], DC_MAX_ALPHABET};
            }
            uint8_t *symbols = g->symbols[g->stream_count];
            block->planes[p] = symbols;
            g->streams[g->stream_count++] = (struct dc_coded_stream){
                plane, (size_t)own[p], symbols, words, codes[p], DC_OK, 0};
        }
        have_codes = 1;
    }
    return 1;
}

/* A tensor weighs a word more than it has, so that one without any has its turn. */
static uint64_t weight_of(const struct dc_planes *t)
{
    return t->words + 1;
}

/* Decodes the blocks whose first words lie from `begin` up to `end` of all that there are. */
static void take_share(struct gathered *g, enum dc_isa isa, const struct dc_planes *tensors,
                       size_t count, uint64_t begin, uint64_t end, uint8_t *failed)
{
    g->code_count = g->stream_count = g->block_count = 0;
    uint64_t at = 0;
    for (size_t i = 0; i < count; at += weight_of(&tensors[i]), i++) {
        const uint64_t own_end = at + weight_of(&tensors[i]);
        if (own_end <= begin || at >= end)
            continue;
        const unsigned bits = tensors[i].size ? tensors[i].data[0] & 0x7f : 0;
        const uint64_t block = (uint64_t)1 << (bits < DC_MOST_BLOCK_BITS ? bits : DC_MOST_BLOCK_BITS);
        const uint64_t from = begin > at ? begin - at : 0, to = end - at;
        const uint64_t first = from / block + (from % block != 0);
        const uint64_t stop = to / block + (to % block != 0);
        if (!take_blocks(g, isa, tensors, i, first, stop, failed))
            failed[i] = 1;
    }
    empty(g, isa, tensors, failed);
}

size_t dc_planes_scratch(size_t count)
{
    return (sizeof(struct gathered) + count + 63) / 64 * 64;
}

struct decoding {
    enum dc_isa isa;
    struct dc_planes *tensors;
    size_t count, tasks;
    uint64_t total;
    uint8_t *scratch; /* for each thread: what it gathers, and which tensors failed */
};

static uint8_t *scratch_of(const struct decoding *d, size_t thread)
{
    return d->scratch + thread * dc_planes_scratch(d->count);
}

static void take_shares(void *context, size_t first, size_t end, size_t thread)
{
    const struct decoding *d = context;
    uint8_t *own = scratch_of(d, thread);
    take_share((struct gathered *)own, d->isa, d->tensors, d->count,
               dc_begin(d->total, first, d->tasks), dc_begin(d->total, end, d->tasks),
               own + sizeof(struct gathered));
}

void dc_planes_decode(enum dc_isa isa, struct dc_planes *tensors, size_t count,
                      const struct dc_team *team, void *scratch)
{
    struct decoding d = {isa, tensors, count, 0, 0, scratch};
    for (size_t i = 0; i < count; i++)
        d.total += weight_of(&tensors[i]);
    const size_t threads = dc_threads_of(team);
    for (size_t k = 0; k < threads; k++)
        memset(scratch_of(&d, k) + sizeof(struct gathered), 0, count);
    d.tasks = dc_tasks_of(team, d.total < UINT32_MAX ? (size_t)d.total : UINT32_MAX);
    dc_deal(team, d.tasks, take_shares, &d);
    for (size_t i = 0; i < count; i++) {
        tensors[i].is_valid = 1;
        for (size_t k = 0; k < threads; k++)
            if (scratch_of(&d, k)[sizeof(struct gathered) + i])
                tensors[i].is_valid = 0;
    }
}
