/* y = W x from a layout: columns in the registers for integers, weights in those of eight floats.
 *
 * Two lanes at a time, as their values begin at a byte: the four entries of each are the eight
 * elements of a register. Their columns are sums of gaps, which are cut out one by one, and their
 * elements of x are loaded one by one; only the eight labels are unpacked as a vector, and looked
 * up in a codebook that is held in registers. This was the fastest of the designs measured on
 * Zen 4, in nanoseconds per weight on Table 8's layers: 0.38; 0.45 with the columns of eight lanes
 * added up as a vector and then taken out of it; 0.51 with them gathered by the processor; 0.82
 * with the codebook gathered, too; 0.62 for all in scalar code; 0.40 with 32 labels looked up at a
 * time, byte by byte. What limits it is the number of instructions, 48 for eight entries at 5.7 a
 * cycle, so that fewer ones count more than which ones they are: with other ones in place of the
 * permutations, or with columns that need no sums, as many take as long.
 *
 * spmv_tiles_avx2.c has products that are faster, for matrices that are less sparse.
 *
 * A group is walked in chunks, which stay in the first cache while its eight pairs of lanes pass
 * over them. */
#include <string.h>

#include "platform.h"
#include "layout/layout.h"

#if DC_X86
#include <immintrin.h>

#define PAIRS (DC_LANES / 2)
#define CHUNK 16 /* quads; at 8, 16 or 32, equally fast */
#define AHEAD 2  /* chunks to prefetch, as the processor's own prefetching ends at pages */

/* What to cut out of eight bytes for each of eight values. */
struct cuts {
    uint64_t of[2 * DC_STEPS];
};

AVX2_INLINE struct cuts cuts_of(unsigned bits)
{
    struct cuts c;
    for (unsigned k = 0; k < 2 * DC_STEPS; k++)
        c.of[k] = bits << 8 | k * bits; /* as the instruction wants length and start */
    return c;
}

/* How to spread eight values of one width over a register. */
struct spread {
    __m256i bytes; /* where each one begins */
    __m256i shift; /* and at which bit of the byte */
};

AVX2_INLINE struct spread spread_of(unsigned bits)
{
    uint8_t bytes[32];
    uint32_t shift[8];
    for (unsigned i = 0; i < 8; i++) {
        for (unsigned k = 0; k < 4; k++) /* 7 + 1 at most; beyond, there may be anything */
            bytes[4 * i + k] = (uint8_t)((i * bits / 8 + k) % 8);
        shift[i] = i * bits % 8;
    }
    return (struct spread){_mm256_loadu_si256((const __m256i *)bytes),
                           _mm256_loadu_si256((const __m256i *)shift)};
}

/* Up to 32 centroids in registers, padded with zeros, or more in memory. */
struct codebook {
    __m256 part[4];
    const float *all;
};

AVX2_INLINE struct codebook load_codebook(const struct dc_layout *w)
{
    float padded[32] = {0.0f};
    memcpy(padded, w->codebook, (w->centroids < 32 ? w->centroids : 32) * sizeof *padded);
    struct codebook c = {.all = w->codebook};
    for (unsigned i = 0; i < 4; i++)
        c.part[i] = _mm256_loadu_ps(padded + 8 * i);
    return c;
}

/* Per element `high` if bit `bit` of the label is set, else `low`. */
AVX2_INLINE __m256 pick(__m256 low, __m256 high, __m256i label, int bit)
{
    return _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(label, 31 - bit)));
}

/* The centroids of labels whose dwords may have anything above `label_bits` bits. Permutations
 * read three bits; `label_bits` is a constant wherever this ends up. */
AVX2_INLINE __m256 centroids(const struct codebook *c, __m256i label, __m256i mask,
                             unsigned label_bits)
{
    if (label_bits > 5)
        return _mm256_i32gather_ps(c->all, _mm256_and_si256(label, mask), 4);
    if (label_bits < 3)
        label = _mm256_and_si256(label, mask);
    __m256 low = _mm256_permutevar8x32_ps(c->part[0], label);
    if (label_bits <= 3)
        return low;
    low = pick(low, _mm256_permutevar8x32_ps(c->part[1], label), label, 3);
    if (label_bits == 4)
        return low;
    __m256 high = pick(_mm256_permutevar8x32_ps(c->part[2], label),
                         _mm256_permutevar8x32_ps(c->part[3], label), label, 3);
    return pick(low, high, label, 4);
}

AVX2_INLINE int load_dword(const float *p)
{
    int bits;
    memcpy(&bits, p, sizeof bits);
    return bits;
}

/* The elements of x at the next four entries of a lane, which begin with value `k` of `gaps`: as
 * integers, of which compilers make instructions that both load and insert. */
AVX2_INLINE __m128 walk(const float *x, size_t *col, uint64_t gaps, const struct cuts *cuts,
                        unsigned k)
{
    const size_t c0 = *col + __bextr_u64(gaps, cuts->of[k]);
    const size_t c1 = c0 + __bextr_u64(gaps, cuts->of[k + 1]);
    const size_t c2 = c1 + __bextr_u64(gaps, cuts->of[k + 2]);
    const size_t c3 = c2 + __bextr_u64(gaps, cuts->of[k + 3]);
    *col = c3;
    __m128i four = _mm_cvtsi32_si128(load_dword(x + c0));
    four = _mm_insert_epi32(four, load_dword(x + c1), 1);
    four = _mm_insert_epi32(four, load_dword(x + c2), 2);
    return _mm_castsi128_ps(_mm_insert_epi32(four, load_dword(x + c3), 3));
}

AVX2_INLINE void store_pair(float *y, const struct dc_layout *w, size_t place, __m256 sums)
{
    __m128 s = _mm_hadd_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps(sums, 1));
    s = _mm_hadd_ps(s, s);
    if (place < (size_t)w->rows)
        y[w->order[place]] = _mm_cvtss_f32(s);
    if (place + 1 < (size_t)w->rows)
        y[w->order[place + 1]] = _mm_cvtss_f32(_mm_movehdup_ps(s));
}

AVX2_INLINE void product(const struct dc_layout *w, const float *x, float *y, size_t first,
                         size_t last, unsigned kind)
{
    const size_t gap_bits = w->gap_bits, label_bits = w->label_bits;
    const size_t quad_bytes = dc_quad_bytes(w->gap_bits, w->label_bits);
    const struct cuts cuts = cuts_of(w->gap_bits);
    const struct spread spread = spread_of(w->label_bits);
    const struct codebook codebook = load_codebook(w);
    const __m256i mask = _mm256_set1_epi32((1 << label_bits) - 1);
    for (size_t g = first; g < last; g++) {
        const size_t rows = (size_t)w->rows - g * DC_LANES;
        const size_t pairs = rows < DC_LANES ? (rows + 1) / 2 : PAIRS;
        size_t col[DC_LANES] = {0};
        __m256 sums[PAIRS];
        for (size_t l = 0; l < PAIRS; l++)
            sums[l] = _mm256_setzero_ps();
        const uint8_t *chunk = w->data + w->starts[g], *end = w->data + w->starts[g + 1];
        for (size_t bytes; chunk < end; chunk += bytes) {
            bytes = (size_t)(end - chunk);
            bytes = bytes < CHUNK * quad_bytes ? bytes : CHUNK * quad_bytes;
            for (size_t i = 0; i < bytes; i += 64)
                _mm_prefetch((const char *)chunk + AHEAD * bytes + i, _MM_HINT_T0);
            for (size_t l = 0; l < pairs; l++) {
                size_t even = col[2 * l], odd = col[2 * l + 1];
                const size_t to_labels = 8 * gap_bits + l * label_bits - l * gap_bits;
                __m256 sum = sums[l];
                for (const uint8_t *p = chunk + l * gap_bits; p < chunk + bytes; p += quad_bytes) {
                    uint64_t gap;
                    int64_t label;
                    memcpy(&gap, p, sizeof gap);
                    memcpy(&label, p + to_labels, sizeof label);
                    __m256i eight = _mm256_shuffle_epi8(_mm256_set1_epi64x(label), spread.bytes);
                    eight = _mm256_srlv_epi32(eight, spread.shift);
                    __m256 weights = centroids(&codebook, eight, mask, kind);
                    __m256 of_x = _mm256_castps128_ps256(walk(x, &even, gap, &cuts, 0));
                    of_x = _mm256_insertf128_ps(of_x, walk(x, &odd, gap, &cuts, DC_STEPS), 1);
                    sum = _mm256_fmadd_ps(weights, of_x, sum);
                }
                col[2 * l] = even, col[2 * l + 1] = odd, sums[l] = sum;
            }
        }
        for (size_t l = 0; l < pairs; l++)
            store_pair(y, w, g * DC_LANES + 2 * l, sums[l]);
    }
}

AVX2 void dc_spmv_lanes_avx2(const struct dc_layout *w, const float *x, float *y, size_t first,
                             size_t last)
{
    switch (w->label_bits) {
    case 1:
    case 2: product(w, x, y, first, last, 2); break;
    case 3: product(w, x, y, first, last, 3); break;
    case 4: product(w, x, y, first, last, 4); break;
    case 5: product(w, x, y, first, last, 5); break;
    default: product(w, x, y, first, last, 8);
    }
}

#endif
