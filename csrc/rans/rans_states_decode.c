/* Decoding of rANS with several states. `_decode` in rans_states.py, symbol by symbol, is the
 * definition.
 *
 * A lane is a stream on its way. How many rows there is room for, whatever the bytes are, is found
 * out before them; the last few symbols of a stream are read one by one. Streams of few states
 * take turns, row by row, so that there are as many states at once as an instruction set wants.
 * Frequencies of 12 bits, where one state had 14, leave the table in the first cache: 16 KB. */
#include "rans/rans_states.h"
#include "bits/bitreader.h"
#include "dispatch.h"

#define CODES 2
#define STATE_BYTES 4
#define WORD_BYTES 2
#define LANES 4

static void build_table(const struct dc_rans_code *code, struct dc_rans_table *table)
{
    uint32_t at = 0;
    for (size_t s = 0; s < code->alphabet; s++) {
        const uint32_t start = at, f = code->frequencies[s];
        for (; at < start + f; at++)
            table->slots[at] = DC_SLOT(s, start, DC_SHARES - f);
    }
}

/* Puts a stream on its way, or says why it can't be. */
static int start(struct dc_rans_lane *lane, struct dc_coded_stream *stream, size_t states,
                 const struct dc_rans_table *table)
{
    const uint8_t *p = stream->payload;
    stream->at = 0;
    stream->status = DC_TRUNCATED;
    if (stream->size < STATE_BYTES * states)
        return 0;
    stream->status = DC_BAD_START;
    for (size_t k = 0; k < states; k++) {
        lane->state[k] = dc_load4(p + STATE_BYTES * k);
        stream->at = STATE_BYTES * k;
        if (lane->state[k] < DC_LEAST_STATE || lane->state[k] >> 31)
            return 0;
    }
    lane->next = p + STATE_BYTES * states;
    lane->end = p + stream->size;
    lane->out = stream->symbols;
    lane->out_end = stream->symbols + stream->count;
    lane->table = table;
    lane->stream = stream;
    return 1;
}

/* Each state of a row may lack a word. */
static size_t rows_of(const struct dc_rans_lane *lane, size_t states)
{
    const size_t in = (size_t)(lane->end - lane->next) / (WORD_BYTES * states);
    const size_t out = (size_t)(lane->out_end - lane->out) / states;
    return in < out ? in : out;
}

/* Reads what is left of a stream symbol by symbol, and says how it ended. */
static void finish(struct dc_rans_lane *lane, size_t states)
{
    struct dc_coded_stream *stream = lane->stream;
    const uint8_t *next = lane->next;
    uint32_t last = 0;
    for (uint8_t *out = lane->out; out < lane->out_end; out++) {
        uint32_t *state = &lane->state[(size_t)(out - stream->symbols) % states];
        const uint32_t entry = lane->table->slots[*state % DC_SHARES];
        *out = (uint8_t)entry;
        *state -= (entry >> 8) % DC_SHARES + (*state >> DC_SHARE_BITS) * (entry >> 20);
        if (*state < DC_LEAST_STATE) {
            if (lane->end - next < WORD_BYTES) {
                stream->at = (size_t)(out - stream->symbols);
                stream->status = DC_TRUNCATED;
                return;
            }
            *state = *state << DC_WORD_BITS | (uint32_t)next[1] << 8 | next[0];
            next += WORD_BYTES;
        }
    }
    for (size_t k = 0; k < states; k++)
        last |= lane->state[k];
    stream->at = (size_t)(next - stream->payload);
    stream->status = next < lane->end         ? DC_TRAILING
                     : last == DC_LEAST_STATE ? DC_OK /* as none is below */
                                              : DC_BAD_END;
}

/* Decodes all streams of some number of states. */
static void take_turns(const struct dc_rans_way *way, const struct dc_rans_table *tables,
                       struct dc_coded_stream *streams, size_t count, unsigned symbols_bits,
                       size_t states, const void *workspace)
{
    struct dc_rans_lane lanes[LANES];
    const size_t most = states < way->most ? way->most / states : 1;
    size_t live = 0, next = 0;
    for (;;) {
        for (; live < most && live < LANES && next < count; next++) {
            struct dc_coded_stream *stream = &streams[next];
            if (dc_rans_states(stream->count, symbols_bits) == states)
                live += (size_t)start(&lanes[live], stream, states, &tables[stream->code]);
        }
        if (live == 0)
            return;
        size_t rows = SIZE_MAX;
        for (size_t k = live; k-- > 0;) {
            const size_t mine = rows_of(&lanes[k], states);
            if (mine == 0) {
                finish(&lanes[k], states);
                lanes[k] = lanes[--live];
            }
            rows = mine < rows ? mine : rows;
        }
        if (rows > 0)
            way->decode(lanes, live, (unsigned)states, rows, workspace);
    }
}

void dc_rans_states_decode(enum dc_isa isa, const struct dc_rans_code *codes,
                           struct dc_coded_stream *streams, size_t count, unsigned symbols_bits)
{
    const struct dc_rans_way *way = dc_kernels_of(dc_isa_available(isa) ? isa : DC_SCALAR)->rans;
    _Alignas(64) struct dc_rans_table tables[CODES];
    _Alignas(64) uint8_t workspace[DC_RANS_WORKSPACE];
    size_t seen = 0; /* numbers of states */
    int is_built[CODES] = {0};
    for (size_t i = 0; i < count; i++) {
        const size_t code = streams[i].code;
        if (!is_built[code])
            build_table(&codes[code], &tables[code]);
        is_built[code] = 1;
        seen |= dc_rans_states(streams[i].count, symbols_bits);
    }
    if (way->prepare_decode && seen >= way->prepared)
        way->prepare_decode(workspace);
    for (size_t states = 1; states <= seen; states *= 2)
        take_turns(way, tables, streams, count, symbols_bits, states, workspace);
}
