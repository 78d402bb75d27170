/* Decoding of rANS. `_decode` in rans.py, one byte at a time, is the definition.
 *
 * A stream is one chain of dependent steps: the slot in the state selects a symbol from a table,
 * the symbol its slots from another, and what becomes of the state tells how many bytes it lacks,
 * which nobody could predict, so that it is a shift and no branch. Several streams take turns,
 * step by step, and the processor overlaps them. As in huffman_decode.c, a lane is a stream on its
 * way; how many rounds of lanes there is room for, whatever the bytes are, is found out before
 * them; and the last few symbols of a stream are read one by one. */
#include <string.h>

#include "bits/bitreader.h"
#include "deepcompress.h"
#include "platform.h"
#include "rans/rans.h"

#define CODES 2
#define LANES 8 /* as DC_CASES_8 has */
#define STEPS 2 /* in a round; each takes two bytes at most, a word has four */
#define WORD_BYTES 4

/* A word is a state, below it the bytes to come, the first one highest, and below them a 1 whose
 * place tells how many of them were taken. That it lacks bytes, its leading zeros say: so many
 * eights as there are in their number. */
#define STATE_AT (1 + 8 * WORD_BYTES)
#define QUOTIENT_AT (STATE_AT + DC_PROBABILITY_BITS)
#define LACKING(word) (dc_leading_zeros(word) & ~7u)

/* Symbols by slots, and of each symbol frequency and first slot, at the place of the state. */
struct table {
    uint8_t symbol_of[DC_SLOTS];
    uint64_t frequency[DC_RANS_ALPHABET], start[DC_RANS_ALPHABET];
};

struct lane {
    uint32_t state;
    const uint8_t *next, *end;
    uint8_t *out, *out_end;
    const struct table *table;
    struct dc_coded_stream *stream;
};

static void build_table(const struct dc_rans_code *code, struct table *table)
{
    unsigned start = 0;
    for (size_t s = 0; s < code->alphabet; start += code->frequencies[s], s++) {
        table->frequency[s] = (uint64_t)code->frequencies[s] << STATE_AT;
        table->start[s] = (uint64_t)start << STATE_AT;
        memset(table->symbol_of + start, (int)s, code->frequencies[s]);
    }
}

DC_INLINE uint64_t word_of(uint64_t state, const uint8_t *next)
{
    uint32_t bytes = (uint32_t)next[0] << 24 | (uint32_t)next[1] << 16 | (uint32_t)next[2] << 8 |
                     (uint32_t)next[3];
    return state << STATE_AT | (uint64_t)bytes << 1 | 1;
}

/* Takes a step but for the bytes that are lacking then. */
DC_INLINE uint64_t step(uint64_t word, const struct table *table, uint8_t *symbol)
{
    const uint64_t low = word & (((uint64_t)1 << QUOTIENT_AT) - 1);
    *symbol = table->symbol_of[low >> STATE_AT];
    return table->frequency[*symbol] * (word >> QUOTIENT_AT) + (low - table->start[*symbol]);
}

DC_INLINE void take_rounds(struct lane *lanes, const size_t n, size_t rounds)
{
    const struct table *table[LANES];
    const uint8_t *next[LANES];
    uint8_t *out[LANES];
    uint64_t word[LANES];
    for (size_t k = 0; k < n; k++) {
        table[k] = lanes[k].table;
        next[k] = lanes[k].next;
        out[k] = lanes[k].out;
        word[k] = word_of(lanes[k].state, next[k]);
    }
    for (size_t at = 0; at < STEPS * rounds; at += STEPS) {
        for (unsigned i = 0; i < STEPS; i++)
            for (size_t k = 0; k < n; k++) {
                uint64_t short_of = step(word[k], table[k], &out[k][at + i]);
                word[k] = short_of << LACKING(short_of);
            }
        for (size_t k = 0; k < n; k++) {
            next[k] += dc_lowest_bit(word[k]) / 8;
            word[k] = word_of(word[k] >> STATE_AT, next[k]);
        }
    }
    for (size_t k = 0; k < n; k++) {
        lanes[k].state = (uint32_t)(word[k] >> STATE_AT);
        lanes[k].next = next[k];
        lanes[k].out = out[k] + STEPS * rounds;
    }
}

#define FOR_LANES(n) \
    case n: take_rounds(lanes, n, rounds); break;

static void take_rounds_of(struct lane *lanes, size_t n, size_t rounds)
{
    switch (n) {
        DC_CASES_8(FOR_LANES)
    }
}

/* For a round and the word that is loaded after it. */
static size_t rounds_of(const struct lane *lane)
{
    const size_t in = (size_t)(lane->end - lane->next) / WORD_BYTES;
    const size_t out = (size_t)(lane->out_end - lane->out) / STEPS;
    return in == 0 || out == 0 ? 0 : in - 1 < out ? in - 1 : out;
}

/* Puts a stream on its way, or says why it can't be. */
static int start(struct lane *lane, struct dc_coded_stream *stream, const struct table *table)
{
    const uint8_t *p = stream->payload;
    stream->at = 0;
    stream->status = DC_TRUNCATED;
    if (stream->size < DC_STATE_BYTES)
        return 0;
    const uint32_t state = dc_load4(p);
    stream->status = DC_BAD_START;
    if (state < DC_LOWEST_STATE || state >= DC_LOWEST_STATE << 8)
        return 0;
    *lane = (struct lane){
        .state = state,
        .next = p + DC_STATE_BYTES,
        .end = p + stream->size,
        .out = stream->symbols,
        .out_end = stream->symbols + stream->count,
        .table = table,
        .stream = stream,
    };
    return 1;
}

/* Reads what is left of a stream symbol by symbol, and says how it ended. */
static void finish(const struct lane *lane)
{
    struct dc_coded_stream *stream = lane->stream;
    const uint8_t *next = lane->next;
    uint64_t state = lane->state;
    for (uint8_t *out = lane->out; out < lane->out_end; out++) {
        state = step(state << STATE_AT, lane->table, out) >> STATE_AT;
        for (; state < DC_LOWEST_STATE; state = state << 8 | *next++)
            if (next == lane->end) {
                stream->at = (size_t)(out - stream->symbols);
                stream->status = DC_TRUNCATED;
                return;
            }
    }
    stream->at = (size_t)(next - stream->payload);
    stream->status = next < lane->end            ? DC_TRAILING
                     : state == DC_LOWEST_STATE ? DC_OK
                                                : DC_BAD_END;
}

void dc_rans_decode(const struct dc_rans_code *codes, struct dc_coded_stream *streams,
                    size_t count)
{
    struct table tables[CODES];
    size_t waiting = count, next = 0, live = 0;
    int is_built[CODES] = {0};
    /* Streams of one size end at once, as in huffman_decode.c. */
    const size_t turns = (count + LANES - 1) / LANES;
    const size_t most = turns ? (count - 1) / turns + 1 : 0;
    struct lane lanes[LANES];
    while (live > 0 || waiting > 0) {
        /* All of one code first, as two tables fill the cache. */
        for (; live < most && waiting > 0; next++) {
            struct dc_coded_stream *stream = &streams[next % count];
            const size_t code = next / count;
            if (stream->code != code)
                continue;
            if (!is_built[code])
                build_table(&codes[code], &tables[code]);
            is_built[code] = 1;
            live += (size_t)start(&lanes[live], stream, &tables[code]);
            waiting--;
        }
        size_t rounds = SIZE_MAX;
        for (size_t k = live; k-- > 0;) {
            size_t mine = rounds_of(&lanes[k]);
            if (mine == 0) {
                finish(&lanes[k]);
                lanes[k] = lanes[--live];
            }
            rounds = mine < rounds ? mine : rounds;
        }
        if (rounds > 0)
            take_rounds_of(lanes, live, rounds);
    }
}
