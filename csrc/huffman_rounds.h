/* Rounds of Huffman decoding: each lane takes four steps from one load of eight bytes. What the
 * bits are decides nothing but where the next ones are. */
#ifndef DC_HUFFMAN_ROUNDS_H
#define DC_HUFFMAN_ROUNDS_H

#include "bitreader.h"
#include "huffman.h"
#include "spmv.h"

#define TABLE_SIZE (1u << DC_MAX_CODE_BITS)
#define LANES 6 /* more than that, and what they need to know isn't in registers */
#define STEPS 4 /* of a round: 7 bits of a byte are read already, + 4 * 12 < 64 */
#define MOST_SYMBOLS (3 * STEPS)
#define MOST_BYTES ((7 + STEPS * DC_MAX_CODE_BITS) / 8)

/* An entry of the table: bits 0-23 its symbols, the first one lowest; bits 24-29 how many bits
 * they take, 0 where no code begins like this; bits 30-31 how many symbols. Of a narrow table:
 * bits 0-7 how many bits the one symbol takes, which is bits 8-15. */
#define FIRST(entry) ((uint8_t)(entry))
#define BITS(entry) ((entry) >> 24 & 63)

struct dc_huffman_stream;

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

/* Only as part of a function that knows `n`, the tables and the path are their arrays registers:
 * clang has to be told, and gcc's loop of joined symbols is a fifth faster for it. */
#if defined(__GNUC__)
#define ROUNDS_INLINE static inline __attribute__((always_inline))
#else
#define ROUNDS_INLINE static inline
#endif

#define MARK ((uint64_t)1 << 63) /* above all bits of a round; where it is says how many are read */

ROUNDS_INLINE unsigned bits_above_mark(uint64_t word)
{
#if defined(__GNUC__)
    return (unsigned)__builtin_clzll(word);
#else
    unsigned n = 0;
    for (; !(word & MARK); word <<= 1)
        n++;
    return n;
#endif
}

ROUNDS_INLINE void take_joined(struct lane *lanes, const size_t n, size_t rounds)
{
    const uint32_t *table[LANES];
    const uint8_t *next[LANES];
    uint8_t *out[LANES];
    uint64_t bits[LANES]; /* between rounds, how many of the next byte are read */
    for (size_t k = 0; k < n; k++) {
        table[k] = lanes[k].table;
        next[k] = lanes[k].next;
        out[k] = lanes[k].out;
        bits[k] = lanes[k].used;
    }
    for (; rounds > 0; rounds--) {
        for (size_t k = 0; k < n; k++)
            bits[k] = (dc_load8(next[k]) | MARK) >> bits[k];
        for (unsigned step = 0; step < STEPS; step++)
            for (size_t k = 0; k < n; k++) {
                uint32_t entry = table[k][bits[k] & (TABLE_SIZE - 1)];
                dc_store4(out[k], entry);
                entry >>= 24; /* first, or gcc keeps both */
                bits[k] >>= entry & 63;
                out[k] += entry >> 6;
            }
        for (size_t k = 0; k < n; k++) {
            unsigned read = bits_above_mark(bits[k]);
            next[k] += read / 8;
            bits[k] = read % 8;
        }
    }
    for (size_t k = 0; k < n; k++) {
        lanes[k].next = next[k];
        lanes[k].out = out[k];
        lanes[k].used = bits[k];
    }
}

ROUNDS_INLINE void take_singles(struct lane *lanes, const size_t n, size_t rounds,
                                const uint16_t *narrow)
{
    const uint8_t *next[LANES];
    uint8_t *out[LANES];
    uint64_t bits[LANES]; /* between rounds, how many of the next byte are read */
    for (size_t k = 0; k < n; k++) {
        next[k] = lanes[k].next;
        out[k] = lanes[k].out;
        bits[k] = lanes[k].used;
    }
    for (; rounds > 0; rounds--) {
        for (size_t k = 0; k < n; k++)
            bits[k] = (dc_load8(next[k]) | MARK) >> bits[k];
        for (unsigned step = 0; step < STEPS; step++)
            for (size_t k = 0; k < n; k++) {
                uint32_t entry = narrow[bits[k] & (TABLE_SIZE - 1)];
                bits[k] >>= entry & 63;
                out[k][step] = (uint8_t)(entry >> 8);
            }
        for (size_t k = 0; k < n; k++) {
            unsigned read = bits_above_mark(bits[k]);
            next[k] += read / 8;
            bits[k] = read % 8;
            out[k] += STEPS;
        }
    }
    for (size_t k = 0; k < n; k++) {
        lanes[k].next = next[k];
        lanes[k].out = out[k];
        lanes[k].used = bits[k];
    }
}

ROUNDS_INLINE void take_rounds(struct lane *lanes, const size_t n, size_t rounds,
                               const uint16_t *narrow)
{
    if (narrow)
        take_singles(lanes, n, rounds, narrow);
    else
        take_joined(lanes, n, rounds);
}

ROUNDS_INLINE void take_rounds_of(struct lane *lanes, size_t n, size_t rounds,
                                  const uint16_t *narrow)
{
    switch (n) {
    case 1: take_rounds(lanes, 1, rounds, narrow); break;
    case 2: take_rounds(lanes, 2, rounds, narrow); break;
    case 3: take_rounds(lanes, 3, rounds, narrow); break;
    case 4: take_rounds(lanes, 4, rounds, narrow); break;
    case 5: take_rounds(lanes, 5, rounds, narrow); break;
    case LANES: take_rounds(lanes, LANES, rounds, narrow); break;
    }
}

#if DC_X86
/* The same, where an instruction shifts by what is in any register. */
__attribute__((target("bmi2"))) static void take_rounds_bmi2(struct lane *lanes, size_t n,
                                                             size_t rounds, const uint16_t *narrow)
{
    take_rounds_of(lanes, n, rounds, narrow);
}
#endif

/* Decided here, as singles gain from it and the others don't. */
ROUNDS_INLINE void take_best_rounds(struct lane *lanes, size_t n, size_t rounds,
                                    const uint16_t *narrow)
{
#if DC_X86
    if (narrow && __builtin_cpu_supports("bmi2")) {
        take_rounds_bmi2(lanes, n, rounds, narrow);
        return;
    }
#endif
    take_rounds_of(lanes, n, rounds, narrow);
}

#endif
