/* Decoding of Huffman codes. `_decode` in huffman.py, one bit at a time, is the definition.
 *
 * As no code is longer than 12 bits, the next that many select from a table the symbols that
 * they begin with, up to three; or just the first one, from a smaller table, where a second
 * seldom fits. Each such step depends on the one before, so several streams take turns, step by
 * step, and the processor overlaps them. A lane is a stream on its way; huffman_rounds.h has a
 * round of them. How many rounds there is room for, whatever the bits are, is found out before
 * them. The last few symbols of a stream are then read one by one, with a look at every bit. */
#include <string.h>

#include "bitreader.h"
#include "deepcompress.h"
#include "huffman.h"
#include "huffman_rounds.h"

#define CODES 2
#define JOINING_PAYS 8192 /* symbols; to join them takes as long as to decode as many */
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

/* Whether a second symbol is in at least every fourth entry of a table with as many as fit. */
static int pairs_pay(const struct dc_huffman_code *code)
{
    uint32_t share[DC_MAX_CODE_BITS + 1] = {0}, pairs = 0; /* of TABLE_SIZE, of its square */
    for (size_t s = 0; s < code->alphabet; s++)
        if (code->lengths[s])
            share[code->lengths[s]] += TABLE_SIZE >> code->lengths[s];
    for (unsigned a = 1; a < DC_MAX_CODE_BITS; a++)
        for (unsigned b = 1; a + b <= DC_MAX_CODE_BITS; b++)
            pairs += share[a] * share[b];
    return pairs >= TABLE_SIZE * TABLE_SIZE / 4;
}

/* A table of one symbol an entry, as take_singles reads it. */
static void narrow_table(const uint32_t *table, uint16_t *narrow)
{
    for (unsigned i = 0; i < TABLE_SIZE; i++)
        narrow[i] = (uint16_t)(FIRST(table[i]) << 8 | BITS(table[i]));
}

static size_t rounds_of(const struct lane *lane, int singles)
{
    size_t left = (size_t)(lane->end - lane->next), room = (size_t)(lane->out_end - lane->out);
    size_t in = left < 8 ? 0 : (left - 8) / MOST_BYTES + 1;
    /* The last step of a round of joined symbols stores four bytes, of which one may be none. */
    size_t out = singles ? room / STEPS : room ? (room - 1) / MOST_SYMBOLS : 0;
    return !lane->gets_on ? 0 : in < out ? in : out;
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

/* Decodes the streams on one path. `narrow` is the table of single symbols that all of them
 * have, or null. */
ROUNDS_INLINE void take_turns(const struct dc_huffman_code *codes, uint32_t (*tables)[TABLE_SIZE],
                       const uint16_t *narrow, struct dc_huffman_stream *streams, size_t count,
                       const int *on_path)
{
    size_t waiting = 0;
    for (size_t i = 0; i < count; i++)
        waiting += on_path[streams[i].code] != 0;
    /* Streams of one size end at once: with eight of them, two times four are better than six
     * and two. */
    const size_t turns = (waiting + LANES - 1) / LANES;
    const size_t most = turns ? (waiting - 1) / turns + 1 : 0;
    struct lane lanes[LANES];
    size_t live = 0, next = 0;
    while (live > 0 || waiting > 0) {
        for (; live < most && waiting > 0; next++)
            if (on_path[streams[next].code]) {
                lanes[live++] = start(&streams[next], tables[streams[next].code]);
                waiting--;
            }
        size_t rounds = SIZE_MAX;
        for (size_t k = live; k-- > 0;) {
            size_t mine = rounds_of(&lanes[k], narrow != 0);
            if (mine == 0) {
                finish(&lanes[k], codes[lanes[k].stream->code].lengths);
                lanes[k] = lanes[--live];
            }
            rounds = mine < rounds ? mine : rounds;
        }
        if (rounds > 0)
            take_best_rounds(lanes, live, rounds, narrow);
    }
}

void dc_huffman_decode(const struct dc_huffman_code *codes, struct dc_huffman_stream *streams,
                       size_t count)
{
    uint32_t tables[CODES][TABLE_SIZE];
    size_t symbols[CODES] = {0};
    int wide[CODES] = {0};
    for (size_t i = 0; i < count; i++)
        symbols[streams[i].code] += streams[i].count;
    for (size_t c = 0; c < CODES; c++) {
        wide[c] = 1;
        if (symbols[c] == 0)
            continue; /* each of its streams is at its end: the table isn't looked at */
        build_table(&codes[c], tables[c]);
        if (symbols[c] < JOINING_PAYS || !is_complete(tables[c]))
            continue;
        wide[c] = pairs_pay(&codes[c]);
        if (wide[c]) {
            join_symbols(tables[c]);
        } else {
            uint16_t narrow[TABLE_SIZE];
            int only[CODES] = {0};
            only[c] = 1;
            narrow_table(tables[c], narrow);
            take_turns(codes, tables, narrow, streams, count, only);
        }
    }
    take_turns(codes, tables, 0, streams, count, wide);
}
