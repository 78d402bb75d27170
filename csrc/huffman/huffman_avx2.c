/* Rounds of Huffman decoding with AVX2 and BMI2; huffman_scalar.c has the portable ones.
 *
 * Stores decide how fast this could be: a processor takes two a cycle that follow each other in a
 * line of its cache, but for one that goes from line to line it takes about two cycles (Zen 4).
 * So the entries that a lane looks up, step by step and by turns with the other lanes, gather in
 * a vector register, and a round's symbols are moved together there and stored at once. That also
 * leaves a lane with one other register. */
#include "huffman/huffman_rounds.h"

#if DC_X86
#include <immintrin.h>

#define SET "avx2,bmi,bmi2,lzcnt"
#define INLINE DC_TARGET_INLINE(SET)

/* gcc would put values of two lanes into one vector register, and then take them out again. */
#define ALONE(value) __asm__("" : "+r"(value))

#define NOTHING 0x80 /* _mm_shuffle_epi8 makes a zero of it */

void dc_huffman_find_places(struct places *places)
{
    for (unsigned counts = 0; counts < 256; counts++) {
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

/* Stores the symbols of four entries; returns where the next ones go. */
INLINE uint8_t *store_joined(__m128i entries, uint8_t *out, const struct places *places)
{
    /* The upper bits of the counts in the upper half. */
    const __m256i up = _mm256_setr_epi32(25, 25, 25, 25, 24, 24, 24, 24);
    const __m256i twice = _mm256_sllv_epi32(_mm256_broadcastsi128_si256(entries), up);
    size_t counts = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(twice));
    __m128i from = _mm_load_si128((const __m128i *)places->from[counts]);
    _mm_storeu_si128((__m128i *)out, _mm_shuffle_epi8(entries, from));
    return out + places->symbols[counts];
}

INLINE void store_singles(__m128i entries, uint8_t *out)
{
    const __m128i firsts = _mm_setr_epi8(1, 5, 9, 13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    dc_store4(out, (uint32_t)_mm_cvtsi128_si32(_mm_shuffle_epi8(entries, firsts)));
}

/* An entry is loaded twice, into either kind of register: compilers would move it, which takes
 * longer. */
#define PUT(how)                                                                        \
    __asm__(how : "+x"(entries) : "r"(table), "r"(index),                               \
            "m"(*(const uint32_t (*)[TABLE_SIZE])table)) /* this is read */

INLINE __m128i put(__m128i entries, const uint32_t *table, size_t index, unsigned step)
{
    switch (step) {
    case 0: PUT("vmovd (%1,%2,4), %0"); break;
    case 1: PUT("vpinsrd $1, (%1,%2,4), %0, %0"); break;
    case 2: PUT("vpinsrd $2, (%1,%2,4), %0, %0"); break;
    case 3: PUT("vpinsrd $3, (%1,%2,4), %0, %0"); break;
    }
    return entries;
}

INLINE void take_step(const uint32_t *const *tables, uint64_t *bits, __m128i *entries,
                      const size_t n, const unsigned step)
{
    for (size_t k = 0; k < n; k++) {
        const size_t index = bits[k] & (TABLE_SIZE - 1);
        entries[k] = put(entries[k], tables[k], index, step);
        bits[k] >>= BITS(tables[k][index]);
    }
}

INLINE void take_rounds(struct lane *lanes, const size_t n, const struct rounds *rounds,
                        const int singles, const int one_table)
{
    const struct places *places = rounds->places;
    const uint32_t *tables[LANES];
    struct at at;
    uint64_t bits[LANES];
    __m128i entries[LANES];
    for (size_t k = 0; k < n; k++) {
        tables[k] = lanes[one_table ? 0 : k].table;
        entries[k] = _mm_setzero_si128();
    }
    begin(lanes, n, &at, bits);
    for (size_t round = 0; round < rounds->count; round++) {
        take_step(tables, bits, entries, n, 0);
        take_step(tables, bits, entries, n, 1);
        take_step(tables, bits, entries, n, 2);
        take_step(tables, bits, entries, n, 3);
        for (size_t k = 0; k < n; k++)
            if (singles)
                store_singles(entries[k], at.out[k] + STEPS * round);
            else
                at.out[k] = store_joined(entries[k], at.out[k], places);
        load_again(&at, bits, n);
    }
    for (size_t k = 0; singles && k < n; k++)
        at.out[k] += STEPS * rounds->count;
    end(lanes, n, &at, bits);
}

INLINE void take_rounds_of(struct lane *lanes, const size_t n, const struct rounds *rounds)
{
    if (rounds->singles && rounds->one_table)
        take_rounds(lanes, n, rounds, 1, 1);
    else if (rounds->singles)
        take_rounds(lanes, n, rounds, 1, 0);
    else if (rounds->one_table)
        take_rounds(lanes, n, rounds, 0, 1);
    else
        take_rounds(lanes, n, rounds, 0, 0);
}

#define FOR_LANES(n) \
    case n: take_rounds_of(lanes, n, rounds); break;

DC_TARGET(SET)
static void take_any_rounds(struct lane *lanes, size_t n, const struct rounds *rounds)
{
    switch (n) {
        DC_CASES_8(FOR_LANES)
    }
}

const struct dc_huffman_way dc_huffman_avx2 = {
    take_any_rounds, LANES, {MOST_JOINED, 16 - MOST_JOINED}};

#endif
