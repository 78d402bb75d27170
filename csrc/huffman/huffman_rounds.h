/* Rounds of Huffman decoding: each lane takes four steps from one load of eight bytes. What the
 * bits are decides nothing but where the next ones are. */
#ifndef DC_HUFFMAN_ROUNDS_H
#define DC_HUFFMAN_ROUNDS_H

#include "bits/bitreader.h"
#include "deepcompress.h"
#include "huffman/huffman.h"
#include "platform.h"

#define TABLE_SIZE (1u << DC_MAX_CODE_BITS)
#define LANES 8 /* as DC_CASES_8 has */
#define STEPS 4 /* for a load: 7 bits of a byte are read already, + 4 * 12 < 64 */
#define LOAD_BYTES ((7 + STEPS * DC_MAX_CODE_BITS) / 8) /* that are read of a load, at most */
#define MOST_JOINED (3 * STEPS)                         /* symbols of a load */

/* An entry of a table: bits 0-5 how many bits its symbols take, 0 where no code begins like
 * this; bits 6-7 how many symbols; then these, the first one lowest. */
#define BITS(entry) ((entry) & 63)
#define COUNT(entry) ((entry) >> 6 & 3)
#define FIRST(entry) ((uint8_t)((entry) >> 8))
#define ONE_SYMBOL (1u << 6)

struct lane {
    const uint8_t *next; /* the byte in which the next bit is */
    size_t used;         /* bits of that byte that are read */
    uint8_t *out;
    const uint8_t *end;
    const uint8_t *out_end;
    const uint32_t *table;
    int gets_on; /* whatever the bits are, in each round */
    struct dc_coded_stream *stream;
};

/* What is the same in all rounds of some lanes. */
struct rounds {
    size_t count;
    int one_table;               /* all lanes have the same one */
    int singles;                 /* of one symbol in each entry */
    const struct places *places; /* of joined symbols, for AVX2 */
};

/* What a lane takes in a round of a kind, at most. */
struct pace {
    size_t symbols;
    size_t beyond; /* bytes that are stored after the last symbol */
};

#define SINGLES ((struct pace){STEPS, 0})

/* How an instruction set takes rounds: of up to `lanes` lanes, which are at most LANES. */
struct dc_huffman_way {
    void (*take)(struct lane *lanes, size_t n, const struct rounds *rounds);
    size_t lanes;
    struct pace joined; /* of rounds with joined symbols */
};

extern const struct dc_huffman_way dc_huffman_scalar, dc_huffman_avx2;

const struct dc_huffman_way *dc_huffman_way_of(enum dc_isa isa);

/* As dc_huffman_decode, for streams of up to DC_MOST_CODES codes; there is room for a table each. */
#define DC_MOST_CODES 8

void dc_huffman_decode_by(const struct dc_huffman_way *way, const struct dc_huffman_code *codes,
                          size_t kinds, uint32_t (*tables)[TABLE_SIZE],
                          struct dc_coded_stream *streams, size_t count);

#define MARK ((uint64_t)1 << 63) /* above all bits of a load; where it is says how many are read */

#if DC_X86
/* Where the symbols of four joined entries are, by the counts of these: bit i of an index is bit
 * 0 of the count of entry i, bit 4 + i its bit 1. */
struct places {
    _Alignas(16) uint8_t from[256][16];
    uint8_t symbols[256];
};

void dc_huffman_find_places(struct places *places);
#endif

#endif
