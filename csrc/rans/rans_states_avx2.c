/* Rows of rANS with several states by AVX2: eight states are a vector.
 *
 * What was tried, in symbols a second of 32 states (32 symbols of 4.5 bits, Zen 3 at 3 GHz; zstd's
 * Huffman codes: 1.6 G/s decoding, 0.8 to 0.9 G/s encoding):
 *
 * - Decoding, one stream. Entries of slots by vpgatherdd: 1.48 G/s; slots taken out of the vector
 *   in 64 bits, and their entries inserted one by one: 1.92, which is used; by way of memory: 1.63;
 *   by vinsertps in place of vpinsrd: 1.88; pairs joined by vpunpck: 1.90. Two vectors' slots taken
 *   out in 16 bits each: 1.73, as one stream's next step waits for them. With states of 32 bits,
 *   which lack a word below 2**16: 1.83. With 31, the sign of a difference is the mask.
 * - 64 states: 1.99, with slots in 16 bits 2.08. Two streams of 32 at once: 2.00, and 2.05 in 16
 *   bits, which are used: no more bytes of states. The processor takes nearly as many operations
 *   as it can then, about 60 for eight symbols.
 * - Encoding. Symbol by symbol, as in rans_states_scalar.c: 0.5 G/s; so: 1.6. */
#include "rans/rans_states.h"

#if DC_X86
#include <immintrin.h>
#include <string.h>

#include "bits/bitreader.h"

#define SET "avx2,bmi,bmi2,lzcnt,popcnt"
#define INLINE DC_TARGET_INLINE(SET)

#define VECTOR 8 /* states */
#define WHOLE (DC_MOST_STATES / VECTOR)
#define MOST (2 * WHOLE) /* vectors at once */
#define NOTHING 0x80 /* vpshufb makes a zero of it */

/* Where the words are that states of a mask lack, for vpshufb: in two halves of a vector, which
 * both have all words. */
struct lacking {
    uint8_t from[256][4 * VECTOR];
};

/* Where states of a mask have the words that they give off, which are moved to the end. */
struct giving {
    uint8_t from[256][2 * VECTOR];
};

_Static_assert(sizeof(struct lacking) <= DC_RANS_WORKSPACE, "there is room");
_Static_assert(sizeof(struct giving) <= DC_RANS_WORKSPACE, "there is room");

static void prepare_decode(void *workspace)
{
    struct lacking *lacking = workspace;
    memset(lacking, NOTHING, sizeof *lacking);
    for (unsigned mask = 0; mask < 256; mask++)
        for (unsigned k = 0, at = 0; k < VECTOR; k++)
            if (mask >> k & 1) {
                lacking->from[mask][4 * k] = (uint8_t)at++;
                lacking->from[mask][4 * k + 1] = (uint8_t)at++;
            }
}

static void prepare_encode(void *workspace)
{
    struct giving *giving = workspace;
    memset(giving, NOTHING, sizeof *giving);
    for (unsigned mask = 0; mask < 256; mask++)
        for (unsigned k = VECTOR, at = 2 * VECTOR; k-- > 0;)
            if (mask >> k & 1) {
                giving->from[mask][--at] = (uint8_t)(2 * k + 1);
                giving->from[mask][--at] = (uint8_t)(2 * k);
            }
}

INLINE __m128i four_slots(const uint32_t *slots, uint64_t two, uint64_t other)
{
    __m128i entries = _mm_cvtsi32_si128((int)slots[(uint32_t)two]);
    entries = _mm_insert_epi32(entries, (int)slots[two >> 32], 1);
    entries = _mm_insert_epi32(entries, (int)slots[(uint32_t)other], 2);
    return _mm_insert_epi32(entries, (int)slots[other >> 32], 3);
}

INLINE __m256i look_up(const uint32_t *slots, __m256i state)
{
    const __m256i indices = _mm256_and_si256(state, _mm256_set1_epi32(DC_SHARES - 1));
    const __m128i low = _mm256_castsi256_si128(indices);
    const __m128i high = _mm256_extracti128_si256(indices, 1);
    const __m128i first = four_slots(slots, (uint64_t)_mm_cvtsi128_si64(low),
                                     (uint64_t)_mm_extract_epi64(low, 1));
    const __m128i second = four_slots(slots, (uint64_t)_mm_cvtsi128_si64(high),
                                      (uint64_t)_mm_extract_epi64(high, 1));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(first), second, 1);
}

INLINE __m128i four_of(const uint32_t *slots, uint64_t indices)
{
    __m128i entries = _mm_cvtsi32_si128((int)slots[(uint16_t)indices]);
    entries = _mm_insert_epi32(entries, (int)slots[(uint16_t)(indices >> 16)], 1);
    entries = _mm_insert_epi32(entries, (int)slots[(uint16_t)(indices >> 32)], 2);
    return _mm_insert_epi32(entries, (int)slots[indices >> 48], 3);
}

/* The same for two vectors. Of 16 bits each, half as many pass from vectors to other registers. */
INLINE void look_up_two(const uint32_t *slots, const __m256i *states, __m256i *entries)
{
    const __m256i slot_mask = _mm256_set1_epi32(DC_SHARES - 1);
    const __m256i indices = _mm256_packus_epi32(_mm256_and_si256(states[0], slot_mask),
                                                _mm256_and_si256(states[1], slot_mask));
    const __m128i low = _mm256_castsi256_si128(indices);
    const __m128i high = _mm256_extracti128_si256(indices, 1);
    const uint64_t parts[4] = {(uint64_t)_mm_cvtsi128_si64(low), (uint64_t)_mm_cvtsi128_si64(high),
                               (uint64_t)_mm_extract_epi64(low, 1),
                               (uint64_t)_mm_extract_epi64(high, 1)};
    DC_UNROLL
    for (unsigned k = 0; k < 2; k++)
        entries[k] = _mm256_inserti128_si256(
            _mm256_castsi128_si256(four_of(slots, parts[2 * k])), four_of(slots, parts[2 * k + 1]), 1);
}

/* Takes a symbol out of each of eight states, whose slots have these entries. */
INLINE void take_symbols(__m256i *state, __m256i entries, const uint8_t **next,
                         const struct lacking *lacking)
{
    const __m256i slot_mask = _mm256_set1_epi32(DC_SHARES - 1);
    const __m256i start = _mm256_and_si256(_mm256_srli_epi32(entries, 8), slot_mask);
    const __m256i quotient = _mm256_srli_epi32(*state, DC_SHARE_BITS);
    const __m256i less = _mm256_mullo_epi32(quotient, _mm256_srli_epi32(entries, 20));
    const __m256i x = _mm256_sub_epi32(_mm256_sub_epi32(*state, less), start);
    /* Negative where it is too low. */
    const __m256 lacks = _mm256_castsi256_ps(_mm256_sub_epi32(x, _mm256_set1_epi32(DC_LEAST_STATE)));
    const size_t mask = (unsigned)_mm256_movemask_ps(lacks);
    const __m256i words = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)*next));
    const __m256i from = _mm256_load_si256((const __m256i *)lacking->from[mask]);
    const __m256 up = _mm256_castsi256_ps(_mm256_slli_epi32(x, DC_WORD_BITS));
    const __m256 moved = _mm256_blendv_ps(_mm256_castsi256_ps(x), up, lacks);
    *state = _mm256_or_si256(_mm256_castps_si256(moved), _mm256_shuffle_epi8(words, from));
    *next += 2 * (size_t)_mm_popcnt_u64(mask);
}

/* The lowest bytes of the entries of eight, 16 or 32 states, in order. */
INLINE void store_symbols(const __m256i *entries, const unsigned vectors, uint8_t *out)
{
    const __m256i byte = _mm256_set1_epi32(255);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    __m256i symbols[WHOLE];
    for (unsigned k = 0; k < WHOLE; k++)
        symbols[k] = _mm256_and_si256(entries[k % vectors], byte);
    const __m256i first = _mm256_packus_epi32(symbols[0], symbols[1]);
    const __m256i second = vectors < 4 ? first : _mm256_packus_epi32(symbols[2], symbols[3]);
    const __m256i all =
        _mm256_permutevar8x32_epi32(_mm256_packus_epi16(first, second), order);
    if (vectors == 4)
        _mm256_storeu_si256((__m256i *)out, all);
    else if (vectors == 2)
        _mm_storeu_si128((__m128i *)out, _mm256_castsi256_si128(all));
    else
        _mm_storel_epi64((__m128i *)out, _mm256_castsi256_si128(all));
}

INLINE void decode_rows(struct dc_rans_lane *lanes, const size_t n, const unsigned vectors,
                        size_t rows, const struct lacking *lacking)
{
    /* With many vectors, no one waits for a few more steps between registers. */
    const unsigned step = n * vectors > WHOLE && vectors > 1 ? 2 : 1;
    const uint8_t *next[MOST];
    __m256i state[MOST];
    for (size_t k = 0; k < n; k++) {
        next[k] = lanes[k].next;
        for (unsigned v = 0; v < vectors; v++)
            state[k * vectors + v] =
                _mm256_loadu_si256((const __m256i *)(lanes[k].state + VECTOR * v));
    }
    for (size_t row = 0; row < rows; row++) {
        __m256i entries[MOST];
        DC_UNROLL
        for (unsigned v = 0; v < vectors; v += step)
            DC_UNROLL
            for (size_t k = 0; k < n; k++) {
                __m256i *mine = &state[k * vectors + v], *found = &entries[k * vectors + v];
                if (step == 2)
                    look_up_two(lanes[k].table->slots, mine, found);
                else
                    *found = look_up(lanes[k].table->slots, *mine);
                DC_UNROLL
                for (unsigned i = 0; i < step; i++)
                    take_symbols(mine + i, found[i], &next[k], lacking);
            }
        DC_UNROLL
        for (size_t k = 0; k < n; k++)
            store_symbols(entries + k * vectors, vectors, lanes[k].out + VECTOR * vectors * row);
    }
    for (size_t k = 0; k < n; k++) {
        lanes[k].next = next[k];
        lanes[k].out += VECTOR * vectors * rows;
        for (unsigned v = 0; v < vectors; v++)
            _mm256_storeu_si256((__m256i *)(lanes[k].state + VECTOR * v), state[k * vectors + v]);
    }
}

#define ROWS(lanes_at_once, vectors) \
    case 8 * (vectors) + (lanes_at_once): \
        decode_rows(lanes, lanes_at_once, vectors, rows, workspace); break;

DC_TARGET(SET)
static void decode(struct dc_rans_lane *lanes, size_t n, unsigned states, size_t rows,
                   const void *workspace)
{
    switch (states + n) {
        ROWS(1, 4) ROWS(2, 4)
        ROWS(1, 2) ROWS(2, 2) ROWS(3, 2) ROWS(4, 2)
        ROWS(1, 1) ROWS(2, 1) ROWS(3, 1) ROWS(4, 1)
    default: dc_rans_scalar.decode(lanes, n, states, rows, workspace);
    }
}

/* The tables of eight symbols: reciprocals, and what is above them. */
INLINE void look_up_symbols(const uint8_t *symbols, const uint64_t *table, __m256i *reciprocal,
                            __m256i *rest)
{
    __m128 pairs[4];
    DC_UNROLL
    for (unsigned k = 0; k < 4; k++) {
        const __m128i low = _mm_loadl_epi64((const __m128i *)&table[symbols[2 * k]]);
        pairs[k] = _mm_loadh_pi(_mm_castsi128_ps(low),
                                (const __m64 *)&table[symbols[2 * k + 1]]);
    }
    const __m256 even = _mm256_insertf128_ps(_mm256_castps128_ps256(pairs[0]), pairs[2], 1);
    const __m256 odd = _mm256_insertf128_ps(_mm256_castps128_ps256(pairs[1]), pairs[3], 1);
    *reciprocal = _mm256_castps_si256(_mm256_shuffle_ps(even, odd, 0x88));
    *rest = _mm256_castps_si256(_mm256_shuffle_ps(even, odd, 0xDD));
}

/* As dc_rans_put, for eight states. */
INLINE uint8_t *put_symbols(__m256i *state, const uint8_t *symbols, const uint64_t *table,
                            const struct giving *giving, uint8_t *front)
{
    const __m256i last = _mm256_set1_epi32(DC_SHARES - 1);
    __m256i reciprocal, packed;
    look_up_symbols(symbols, table, &reciprocal, &packed);
    const __m256i rest = _mm256_and_si256(packed, last);
    const __m256i base =
        _mm256_and_si256(_mm256_srli_epi32(packed, 12), _mm256_set1_epi32(2 * DC_SHARES - 1));
    const __m256i shift = _mm256_srli_epi32(packed, 25);
    const __m256i high = _mm256_srli_epi32(*state, 31 - DC_SHARE_BITS);
    const __m256i gives = _mm256_cmpgt_epi32(_mm256_add_epi32(high, rest), last);
    const size_t mask = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(gives));

    const __m256i words = _mm256_and_si256(*state, _mm256_set1_epi32(0xFFFF));
    const __m256i halves = _mm256_permute4x64_epi64(_mm256_packus_epi32(words, words), 0x08);
    const __m128i from = _mm_load_si128((const __m128i *)giving->from[mask]);
    _mm_storeu_si128((__m128i *)(front - 16),
                     _mm_shuffle_epi8(_mm256_castsi256_si128(halves), from));

    const __m256i x =
        _mm256_blendv_epi8(*state, _mm256_srli_epi32(*state, DC_WORD_BITS), gives);
    const __m256i even = _mm256_srli_epi64(_mm256_mul_epu32(x, reciprocal), 32);
    const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(x, 32), _mm256_srli_epi64(reciprocal, 32));
    const __m256i quotient = _mm256_srlv_epi32(_mm256_blend_epi32(even, odd, 0xAA), shift);
    *state = _mm256_add_epi32(_mm256_add_epi32(x, base), _mm256_mullo_epi32(quotient, rest));
    return front - 2 * (size_t)_mm_popcnt_u64(mask);
}

INLINE uint8_t *encode_rows(const uint8_t *symbols, size_t rows, const unsigned vectors,
                            const uint64_t *table, uint32_t *into, uint8_t *front,
                            const struct giving *giving)
{
    __m256i state[WHOLE];
    for (unsigned v = 0; v < vectors; v++)
        state[v] = _mm256_loadu_si256((const __m256i *)(into + VECTOR * v));
    while (rows-- > 0)
        DC_UNROLL
        for (unsigned v = vectors; v-- > 0;)
            front = put_symbols(&state[v], symbols + VECTOR * (vectors * rows + v), table, giving,
                                front);
    for (unsigned v = 0; v < vectors; v++)
        _mm256_storeu_si256((__m256i *)(into + VECTOR * v), state[v]);
    return front;
}

DC_TARGET(SET)
static uint8_t *encode(const uint8_t *symbols, size_t rows, unsigned states, const uint64_t *table,
                       uint32_t *state, uint8_t *end, const void *workspace)
{
    switch (states) {
    case 32: return encode_rows(symbols, rows, 4, table, state, end, workspace);
    case 16: return encode_rows(symbols, rows, 2, table, state, end, workspace);
    case 8: return encode_rows(symbols, rows, 1, table, state, end, workspace);
    default: return dc_rans_scalar.encode(symbols, rows, states, table, state, end, workspace);
    }
}

const struct dc_rans_way dc_rans_avx2 = {decode,        encode,        MOST * VECTOR, VECTOR,
                                         prepare_decode, prepare_encode};

#endif
