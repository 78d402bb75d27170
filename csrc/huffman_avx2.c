/* Rounds of Huffman decoding with AVX2 and BMI2; huffman_scalar.c has the portable ones.
 *
 * Stores decide how fast this is: a processor takes two a cycle that follow each other in a line
 * of its cache, but for one that goes from line to line it takes about two cycles (Zen 4). So
 * the steps of all lanes, by turns, leave the entries that they look up in an array, lane by
 * lane; and a round later, when they have arrived there, the symbols of a lane's entries are
 * moved together in a register, and stored at once. That also leaves a lane with one register at
 * each step. */
#include "huffman_rounds.h"

#if DC_X86
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,bmi,bmi2,lzcnt")))
/* Only as part of a function that knows `n` are the arrays of lanes registers. */
#define INLINE static inline __attribute__((always_inline)) TARGET

/* gcc would put values of two lanes into one vector register, and then take them out again. */
#define ALONE(value) __asm__("" : "+r"(value))
#define STORE(type, to, value) (*(volatile type *)&(to) = (value))

#define NOTHING 0x80 /* _mm_shuffle_epi8 makes a zero of it */

void dc_huffman_find_places(struct places *places)
{
    memset(places, 0, sizeof *places); /* entries of no symbols, before the first round */
    for (unsigned counts = 1; counts < 256; counts++) {
        uint8_t *from = places->from[counts];
        unsigned symbols = 0;
        for (unsigned step = 0; step < STEPS; step++) {
            unsigned count = (counts >> step & 1) | (counts >> (STEPS + step) & 1) << 1;
            for (unsigned i = 0; i < count; i++)
                from[symbols++] = (uint8_t)(sizeof(uint32_t) * step + 1 + i);
        }
        places->symbols[counts] = (uint8_t)symbols;
        memset(from + symbols, NOTHING, sizeof places->from[0] - symbols);
    }
}

/* Where each lane is stays in memory, by `volatile`: it is wanted once a load, and would take the
 * registers from what is wanted at each step. */
struct at {
    const uint8_t *volatile next[LANES];
    uint8_t *volatile out[LANES];
};

INLINE uint64_t load(const uint8_t *next, uint64_t used)
{
    uint64_t word = dc_load8(next) | MARK;
    ALONE(word);
    return word >> used;
}

INLINE void begin(const struct lane *lanes, const size_t n, struct at *at, uint64_t *bits)
{
    for (size_t k = 0; k < n; k++) {
        at->next[k] = lanes[k].next;
        at->out[k] = lanes[k].out;
        bits[k] = load(lanes[k].next, lanes[k].used);
    }
}

/* Moves on by the bits that are read. */
INLINE void load_again(struct at *at, uint64_t *bits, const size_t n)
{
    for (size_t k = 0; k < n; k++) {
        uint64_t read = _lzcnt_u64(bits[k]);
        ALONE(read);
        const uint8_t *next = at->next[k] + read / 8;
        at->next[k] = next;
        bits[k] = load(next, read % 8);
    }
}

INLINE void end(struct lane *lanes, const size_t n, const struct at *at, const uint64_t *bits)
{
    for (size_t k = 0; k < n; k++) {
        lanes[k].next = at->next[k];
        lanes[k].out = at->out[k];
        lanes[k].used = _lzcnt_u64(bits[k]);
    }
}

INLINE uint8_t *store_joined(const uint32_t *entries, uint8_t *out, const struct places *places)
{
    const __m128i four = _mm_load_si128((const __m128i *)entries);
    /* The upper bits of the counts in the upper half. */
    const __m256i up = _mm256_setr_epi32(25, 25, 25, 25, 24, 24, 24, 24);
    const __m256i twice = _mm256_sllv_epi32(_mm256_broadcastsi128_si256(four), up);
    size_t counts = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(twice));
    __m128i from = _mm_load_si128((const __m128i *)places->from[counts]);
    _mm_storeu_si128((__m128i *)out, _mm_shuffle_epi8(four, from));
    return out + places->symbols[counts];
}

INLINE void take_joined(struct lane *lanes, const size_t n, const int one_table,
                        const struct rounds *rounds)
{
    _Alignas(16) uint32_t entries[2][LANES][STEPS] = {{{0}}};
    const struct places *places = rounds->places;
    const uint32_t *table = lanes[0].table;
    struct at at;
    uint64_t bits[LANES];
    begin(lanes, n, &at, bits);
    for (size_t round = 0; round < rounds->count; round++) {
        uint32_t (*now)[STEPS] = entries[round % 2], (*before)[STEPS] = entries[(round + 1) % 2];
        for (unsigned step = 0; step < STEPS; step++)
            for (size_t k = 0; k < n; k++) {
                const size_t index = bits[k] & (TABLE_SIZE - 1);
                uint32_t entry = (one_table ? table : lanes[k].table)[index];
                bits[k] >>= BITS(entry);
                STORE(uint32_t, now[k][step], entry);
            }
        for (size_t k = 0; k < n; k++)
            at.out[k] = store_joined(before[k], at.out[k], places);
        load_again(&at, bits, n);
    }
    for (size_t k = 0; k < n; k++)
        at.out[k] = store_joined(entries[(rounds->count - 1) % 2][k], at.out[k], places);
    end(lanes, n, &at, bits);
}

INLINE uint8_t *store_singles(const uint16_t *entries, uint8_t *out)
{
    __m128i eight = _mm_srli_epi16(_mm_load_si128((const __m128i *)entries), 8);
    _mm_storel_epi64((__m128i *)out, _mm_packus_epi16(eight, eight));
    return out + 2 * STEPS;
}

INLINE void take_singles(struct lane *lanes, const size_t n, const struct rounds *rounds)
{
    _Alignas(16) uint16_t entries[2][LANES][2 * STEPS];
    const uint16_t *narrow = rounds->narrow;
    struct at at;
    uint64_t bits[LANES];
    begin(lanes, n, &at, bits);
    for (size_t round = 0; round < rounds->count; round++) {
        uint16_t (*now)[2 * STEPS] = entries[round % 2];
        for (unsigned first = 0; first < 2 * STEPS; first += STEPS) {
            for (unsigned step = first; step < first + STEPS; step++)
                for (size_t k = 0; k < n; k++) {
                    uint32_t entry = narrow[bits[k] & (TABLE_SIZE - 1)];
                    bits[k] >>= BITS(entry);
                    STORE(uint16_t, now[k][step], (uint16_t)entry);
                }
            load_again(&at, bits, n);
        }
        if (round > 0)
            for (size_t k = 0; k < n; k++)
                at.out[k] = store_singles(entries[(round + 1) % 2][k], at.out[k]);
    }
    for (size_t k = 0; k < n; k++)
        at.out[k] = store_singles(entries[(rounds->count - 1) % 2][k], at.out[k]);
    end(lanes, n, &at, bits);
}

INLINE void take_rounds(struct lane *lanes, const size_t n, const struct rounds *rounds)
{
    if (rounds->narrow)
        take_singles(lanes, n, rounds);
    else if (rounds->one_table)
        take_joined(lanes, n, 1, rounds);
    else
        take_joined(lanes, n, 0, rounds);
}

TARGET void dc_huffman_rounds_avx2(struct lane *lanes, size_t n, const struct rounds *rounds)
{
    switch (n) {
    case 1: take_rounds(lanes, 1, rounds); break;
    case 2: take_rounds(lanes, 2, rounds); break;
    case 3: take_rounds(lanes, 3, rounds); break;
    case 4: take_rounds(lanes, 4, rounds); break;
    case 5: take_rounds(lanes, 5, rounds); break;
    case 6: take_rounds(lanes, 6, rounds); break;
    case 7: take_rounds(lanes, 7, rounds); break;
    case LANES: take_rounds(lanes, LANES, rounds); break;
    }
}
#endif
