/* Decoding of Huffman codes. `_decode` in huffman.py, one bit at a time, is the definition.
 *
 * As no code is longer than 12 bits, the next that many select from a table the symbols that
 * they begin with, up to three. Each such step depends on the one before, so several streams
 * take turns, step by step, and the processor overlaps them. A lane is a stream on its way; in
 * a round, each lane takes four steps from one load of eight bytes. How many rounds there is
 * room for, whatever the bits are, is found out before them. The last few symbols of a stream
 * are then read one by one, with a look at every bit. */
#include <string.h>

#include "bitreader.h"
#include "deepcompress.h"
#include "huffman.h"

#define TABLE_SIZE (1u << DC_MAX_CODE_BITS)
#define CODES 2
#define LANES 6 /* more than that, and what they need to know isn't in registers */
#define STEPS 4 /* of a round: 7 bits of a byte are read already, + 4 * 12 <= 64 */
#define MOST_SYMBOLS (3 * STEPS)
#define MOST_BYTES ((7 + STEPS * DC_MAX_CODE_BITS) / 8)
#define JOINING_PAYS 8192 /* symbols; to join them takes as long as to decode as many */

/* An entry of the table: bits 0-23 its symbols, the first one lowest; bits 24-29 how many bits
 * they take, 0 where no code begins like this; bits 30-31 how many symbols. So the highest
 * byte, summed up over the steps of a round, counts bits below symbols. */
#define FIRST(entry) ((uint8_t)(entry))
#define BITS(entry) ((entry) >> 24 & 63)
#define ONE_SYMBOL (1u << 30)

static void build_table(const struct dc_huffman_code *code, uint32_t *table)
{
    uint16_t codes[DC_MAX_ALPHABET];
    dc_reversed_codes(code->lengths, code->alphabet, codes);
    memset(table, 0, TABLE_SIZE * sizeof *table);
    for (size_t s = 0; s < code->alphabet; s++) {
        const unsigned length = code->lengths[s];
        if (length)
            for (unsigned i = codes[s]; i < TABLE_SIZE; i += 1u << length)
                table[i] = ONE_SYMBOL | length << 24 | (uint32_t)s;
    }
}

/* Whether every pattern begins with a code: not where a lone symbol has the code 0. */
static int is_complete(const uint32_t *table)
{
    return table[1] != 0;
}

/* Puts as many symbols into each entry as its bits spell. Those after the first are found in
 * entries of lower index, which as yet have one symbol, as the highest come first. */
static void join_symbols(uint32_t *table)
{
    for (unsigned i = TABLE_SIZE; i-- > 0;) {
        uint32_t entry = table[i], bits = BITS(entry);
        for (unsigned n = 1; n < 3; n++) {
            uint32_t next = table[i >> bits];
            if (bits + BITS(next) > DC_MAX_CODE_BITS)
                break;
            bits += BITS(next);
            entry += ONE_SYMBOL + (BITS(next) << 24) + ((uint32_t)FIRST(next) << 8 * n);
        }
        table[i] = entry;
    }
}

struct lane {
    const uint8_t *next; /* the byte in which the next bit is */
    size_t used;         /* bits of that byte that are read */
    uint8_t *out;
    const uint8_t *end;
    const uint8_t *out_end;
    const uint32_t *table;
    int gets_on; /* whatever the bits are, in each round */
    struct dc_huffman_stream *stream;
};

static size_t rounds_of(const struct lane *lane)
{
    size_t left = (size_t)(lane->end - lane->next), room = (size_t)(lane->out_end - lane->out);
    size_t in = left < 8 ? 0 : (left - 8) / MOST_BYTES + 1;
    /* The last step of a round stores four bytes, of which one may be no symbol. */
    size_t out = room ? (room - 1) / MOST_SYMBOLS : 0;
    return !lane->gets_on ? 0 : in < out ? in : out;
}

/* For a constant `n`, the arrays become registers. */
static inline void take_rounds(struct lane *lanes, const size_t n, size_t rounds)
{
    const uint32_t *table[LANES];
    const uint8_t *next[LANES];
    uint8_t *out[LANES];
    uint64_t bits[LANES];
    size_t sum[LANES]; /* symbols * 64 + bits */
    for (size_t k = 0; k < n; k++) {
        table[k] = lanes[k].table;
        next[k] = lanes[k].next;
        out[k] = lanes[k].out;
        sum[k] = lanes[k].used;
    }
    for (; rounds > 0; rounds--) {
        for (size_t k = 0; k < n; k++)
            bits[k] = dc_load8(next[k]) >> sum[k];
        for (unsigned step = 0; step < STEPS; step++)
            for (size_t k = 0; k < n; k++) {
                uint32_t entry = table[k][bits[k] & (TABLE_SIZE - 1)];
                dc_store4(out[k] + (sum[k] >> 6), entry);
                bits[k] >>= BITS(entry);
                sum[k] += entry >> 24;
            }
        for (size_t k = 0; k < n; k++) {
            out[k] += sum[k] >> 6;
            next[k] += sum[k] % 64 / 8;
            sum[k] %= 8;
        }
    }
    for (size_t k = 0; k < n; k++) {
        lanes[k].next = next[k];
        lanes[k].out = out[k];
        lanes[k].used = sum[k];
    }
}

static void take_rounds_of(struct lane *lanes, size_t n, size_t rounds)
{
    switch (n) {
    case 1: take_rounds(lanes, 1, rounds); break;
    case 2: take_rounds(lanes, 2, rounds); break;
    case 3: take_rounds(lanes, 3, rounds); break;
    case 4: take_rounds(lanes, 4, rounds); break;
    case 5: take_rounds(lanes, 5, rounds); break;
    case LANES: take_rounds(lanes, LANES, rounds); break;
    }
}

/* Reads what is left of a stream symbol by symbol, and says how it ended. */
static void finish(const struct lane *lane, const uint8_t *lengths)
{
    struct dc_huffman_stream *stream = lane->stream;
    struct dc_bitreader r = {lane->next, lane->end, 0, 0};
    uint8_t *out = lane->out;
    dc_refill(&r);
    dc_skip(&r, (unsigned)lane->used);
    while (out < lane->out_end) {
        if (r.have < DC_MAX_CODE_BITS)
            dc_refill(&r);
        uint32_t entry = lane->table[r.bits & (TABLE_SIZE - 1)];
        unsigned length = entry ? lengths[FIRST(entry)] : 0;
        if (length == 0 || length > r.have) {
            stream->at = (size_t)(out - stream->symbols);
            stream->status = length ? DC_TRUNCATED : DC_BAD_CODE;
            return;
        }
        *out++ = FIRST(entry);
        dc_skip(&r, length);
    }
    size_t unread = (size_t)(r.end - r.next) + r.have / 8;
    stream->at = stream->size - unread;
    stream->status = DC_OK;
    if (unread > 0) {
        stream->status = DC_TRAILING;
    } else if (r.bits != 0) {
        stream->at = stream->size - 1;
        stream->status = DC_BAD_PADDING;
    }
}

static struct lane start(struct dc_huffman_stream *stream, const uint32_t *table)
{
    return (struct lane){
        .next = stream->payload,
        .out = stream->symbols,
        .end = stream->payload + stream->size,
        .out_end = stream->symbols + stream->count,
        .table = table,
        .gets_on = stream->count > 0 && is_complete(table),
        .stream = stream,
    };
}

void dc_huffman_decode(const struct dc_huffman_code *codes, struct dc_huffman_stream *streams,
                       size_t count)
{
    uint32_t tables[CODES][TABLE_SIZE];
    size_t symbols[CODES] = {0};
    for (size_t i = 0; i < count; i++)
        symbols[streams[i].code] += streams[i].count;
    for (size_t c = 0; c < CODES; c++)
        if (symbols[c]) {
            build_table(&codes[c], tables[c]);
            if (symbols[c] >= JOINING_PAYS && is_complete(tables[c]))
                join_symbols(tables[c]);
        }
    /* Streams of one size end at once: with eight of them, two times four are better than six
     * and two. */
    const size_t turns = (count + LANES - 1) / LANES, most = turns ? (count - 1) / turns + 1 : 0;
    struct lane lanes[LANES];
    size_t live = 0, next = 0;
    while (live > 0 || next < count) {
        for (; live < most && next < count; next++)
            lanes[live++] = start(&streams[next], tables[streams[next].code]);
        size_t rounds = SIZE_MAX;
        for (size_t k = live; k-- > 0;) {
            size_t mine = rounds_of(&lanes[k]);
            if (mine == 0) {
                finish(&lanes[k], codes[lanes[k].stream->code].lengths);
                lanes[k] = lanes[--live];
            }
            rounds = mine < rounds ? mine : rounds;
        }
        if (rounds > 0)
            take_rounds_of(lanes, live, rounds);
    }
}
