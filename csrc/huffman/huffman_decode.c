/* Decoding of Huffman codes. `_decode` in huffman.py, one bit at a time, is the definition.
 *
 * As no code is longer than 12 bits, the next that many select from a table the symbols that
 * they begin with, up to three; or just the first one, where a second seldom fits. Each such step
 * depends on the one before, so several streams take turns, step by step, and the processor
 * overlaps them. A lane is a stream on its way; huffman_scalar.c and huffman_avx2.c have rounds of
 * them. How many rounds there is room for, whatever the bits are, is found out before them. The
 * last few symbols of a stream are then read one by one, with a look at every bit. */
#include <string.h>

#include "dispatch.h"
#include "huffman/huffman_rounds.h"

#define CODES 2
#define JOINING_PAYS 8192 /* symbols; to join them takes as long as to decode as many */

static void build_table(const struct dc_huffman_code *code, uint32_t *table)
{
    uint16_t codes[DC_MAX_ALPHABET];
    dc_reversed_codes(code->lengths, code->alphabet, codes);
    memset(table, 0, TABLE_SIZE * sizeof *table);
    for (size_t s = 0; s < code->alphabet; s++) {
        const unsigned length = code->lengths[s];
        if (length)
            for (unsigned i = codes[s]; i < TABLE_SIZE; i += 1u << length)
                table[i] = (uint32_t)s << 8 | ONE_SYMBOL | length;
    }
}

/* Whether every pattern begins with a code: not where a lone symbol has the code 0. */
static int is_complete(const uint32_t *table)
{
    return table[1] != 0;
}

/* Adds to an entry of index i the symbol that follows the ones it has, if it fits: by a mask, as
 * nobody could predict a branch. */
static uint32_t join_one(const uint32_t *table, unsigned i, uint32_t entry, unsigned symbols)
{
    const uint32_t bits = BITS(entry), next = table[i >> bits];
    const uint32_t fits = 0u - ((bits + BITS(next) - (DC_MAX_CODE_BITS + 1)) >> 31);
    return entry + (fits & (((uint32_t)FIRST(next) << 8 * (symbols + 1)) + ONE_SYMBOL + BITS(next)));
}

/* Puts as many symbols into each entry as its bits spell. Those after the first are found in
 * entries of lower index, which as yet have one symbol, as the highest come first. Where a
 * second symbol doesn't fit, it doesn't as the third, either. */
static void join_symbols(uint32_t *table)
{
    for (unsigned i = TABLE_SIZE; i-- > 0;)
        table[i] = join_one(table, i, join_one(table, i, table[i], 1), 2);
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

/* Reads what is left of a stream symbol by symbol, and says how it ended. */
static void finish(const struct lane *lane, const uint8_t *lengths)
{
    struct dc_coded_stream *stream = lane->stream;
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

static struct lane start(struct dc_coded_stream *stream, const uint32_t *table)
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

static size_t rounds_of(const struct lane *lane, struct pace pace)
{
    const size_t left = (size_t)(lane->end - lane->next);
    const size_t room = (size_t)(lane->out_end - lane->out);
    /* With eight bytes beyond what it reads, it may load again after the last one. */
    size_t in = left < 8 ? 0 : (left - 8) / LOAD_BYTES;
    size_t out = room < pace.beyond ? 0 : (room - pace.beyond) / pace.symbols;
    return !lane->gets_on ? 0 : in < out ? in : out;
}

static size_t turns_of(const struct dc_huffman_way *way, size_t streams)
{
    return (streams + way->lanes - 1) / way->lanes;
}

/* Decodes the streams of some codes. */
static void take_turns(const struct dc_huffman_way *way, const struct dc_huffman_code *codes,
                       uint32_t (*tables)[TABLE_SIZE], struct rounds rounds,
                       struct dc_coded_stream *streams, size_t count, const int *chosen)
{
    const struct pace pace = rounds.singles ? SINGLES : way->joined;
    size_t waiting = 0;
    for (size_t i = 0; i < count; i++)
        waiting += chosen[streams[i].code] != 0;
    /* Streams of one size end at once: with ten of them, two times five are better than eight
     * and two. */
    const size_t turns = turns_of(way, waiting);
    const size_t most = turns ? (waiting - 1) / turns + 1 : 0;
    struct lane lanes[LANES];
    size_t live = 0, next = 0;
    while (live > 0 || waiting > 0) {
        for (; live < most && waiting > 0; next++)
            if (chosen[streams[next].code]) {
                lanes[live++] = start(&streams[next], tables[streams[next].code]);
                waiting--;
            }
        rounds.count = SIZE_MAX;
        for (size_t k = live; k-- > 0;) {
            size_t mine = rounds_of(&lanes[k], pace);
            if (mine == 0) {
                finish(&lanes[k], codes[lanes[k].stream->code].lengths);
                lanes[k] = lanes[--live];
            }
            rounds.count = mine < rounds.count ? mine : rounds.count;
        }
        if (rounds.count > 0)
            way->take(lanes, live, &rounds);
    }
}

/* Decodes the streams of chosen codes: one table at a time, as two fill the cache, but those of all
 * codes together where these have lanes for each other's. */
static void take_chosen(const struct dc_huffman_way *way, const struct dc_huffman_code *codes,
                        size_t kinds, uint32_t (*tables)[TABLE_SIZE], struct rounds rounds,
                        struct dc_coded_stream *streams, size_t count, const int *chosen)
{
    size_t own[DC_MOST_CODES] = {0}, all = 0, own_kinds = 0, apart = 0;
    for (size_t i = 0; i < count; i++)
        own[streams[i].code]++;
    for (size_t c = 0; c < kinds; c++)
        if (chosen[c]) {
            own_kinds++;
            all += own[c];
            apart += turns_of(way, own[c]);
        }
    rounds.one_table = own_kinds < 2;
    if (rounds.one_table || turns_of(way, all) < apart) {
        take_turns(way, codes, tables, rounds, streams, count, chosen);
        return;
    }
    rounds.one_table = 1;
    for (size_t c = 0; c < kinds; c++) {
        int this_one[DC_MOST_CODES] = {0};
        this_one[c] = chosen[c];
        take_turns(way, codes, tables, rounds, streams, count, this_one);
    }
}

void dc_huffman_decode_by(const struct dc_huffman_way *way, const struct dc_huffman_code *codes,
                          size_t kinds, uint32_t (*tables)[TABLE_SIZE],
                          struct dc_coded_stream *streams, size_t count)
{
    size_t symbols[DC_MOST_CODES] = {0};
    int joined[DC_MOST_CODES] = {0}, single[DC_MOST_CODES] = {0};
    struct rounds rounds = {0};
#if DC_X86
    struct places places;
    dc_huffman_find_places(&places);
    rounds.places = &places;
#endif
    for (size_t i = 0; i < count; i++)
        symbols[streams[i].code] += streams[i].count;
    for (size_t c = 0; c < kinds; c++) {
        joined[c] = 1;
        if (symbols[c] == 0)
            continue; /* each of its streams is at its end: the table isn't looked at */
        build_table(&codes[c], tables[c]);
        if (symbols[c] < JOINING_PAYS || !is_complete(tables[c]))
            continue;
        joined[c] = pairs_pay(&codes[c]);
        single[c] = !joined[c];
        if (joined[c])
            join_symbols(tables[c]);
    }
    take_chosen(way, codes, kinds, tables, rounds, streams, count, joined);
    rounds.singles = 1;
    take_chosen(way, codes, kinds, tables, rounds, streams, count, single);
}

const struct dc_huffman_way *dc_huffman_way_of(enum dc_isa isa)
{
    return dc_kernels_of(dc_isa_available(isa) ? isa : DC_SCALAR)->huffman;
}

void dc_huffman_decode(enum dc_isa isa, const struct dc_huffman_code *codes,
                       struct dc_coded_stream *streams, size_t count)
{
    uint32_t tables[CODES][TABLE_SIZE];
    dc_huffman_decode_by(dc_huffman_way_of(isa), codes, CODES, tables, streams, count);
}
