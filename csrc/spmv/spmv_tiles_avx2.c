/* Products from a layout in tiles, for AVX2.
 *
 * Products with a vector multiply each centroid by each element of x in the tile first: an entry
 * is the place of one of these products. Adding it to the sum of its row takes two instructions,
 * where lanes take six: 0.23 ns per weight on Zen 4 with 32 or more entries of a row in a tile,
 * where lanes take 0.38. The table takes 16 KiB, half of the first cache; parts have it in
 * common, as to make it takes as long as adding the products of some 30 rows.
 *
 * Products with a matrix take a quarter less time than from lanes, too, whose rows have to be
 * unpacked first. */
#include <string.h>

#include "platform.h"
#include "layout/tiles.h"
#include "spmv/spmv.h"

#if DC_X86
#include <immintrin.h>

#define PARTS 8   /* that have a table in common */
#define VECTOR 8
#define PANEL 8   /* vectors of columns of Y in registers */
#define COLUMNS DC_TILES_COLUMNS

/* The products of the tile's elements of x, `count` of them, with each centroid. */
AVX2_INLINE void multiply_all(const float *codebook, unsigned label_bits, const float *x,
                              size_t count, float *products)
{
    const size_t labels = (size_t)1 << label_bits;
    if (labels < VECTOR) {
        for (size_t c = 0; c < count; c++)
            for (size_t i = 0; i < labels; i++)
                products[c * labels + i] = codebook[i] * x[c];
        return;
    }
    for (size_t c = 0; c < count; c++, products += labels) {
        const __m256 factor = _mm256_set1_ps(x[c]);
        for (size_t i = 0; i < labels; i += VECTOR)
            _mm256_storeu_ps(products + i, _mm256_mul_ps(factor, _mm256_loadu_ps(codebook + i)));
    }
}

/* Four entries, in a register: gcc else loads them for each one anew, which takes twice as long. */
AVX2_INLINE uint64_t load_four(const uint8_t *packed)
{
    uint64_t four;
    memcpy(&four, packed, sizeof four);
    __asm__("" : "+r"(four));
    return four;
}

#define ADD(lane, word, k) sum##lane += products[__bextr_u64(word, cut##k)]

AVX2_INLINE void add_group(const struct dc_group *group, const float *products, float *sums)
{
    const uint8_t *row = group->rows;
    const uint64_t cut0 = DC_ENTRY_BITS << 8, cut1 = cut0 | DC_ENTRY_BITS;
    const uint64_t cut2 = cut0 | 2 * DC_ENTRY_BITS, cut3 = cut0 | 3 * DC_ENTRY_BITS;
    float sum0 = sums[row[0]], sum1 = sums[row[1]], sum2 = sums[row[2]], sum3 = sums[row[3]];
    float sum4 = sums[row[4]], sum5 = sums[row[5]], sum6 = sums[row[6]], sum7 = sums[row[7]];
    const uint8_t *end = dc_after_group(group);
    for (const uint8_t *step = group->steps; step < end; step += DC_STEP_BYTES) {
        const uint64_t low = load_four(step), high = load_four(step + DC_STEP_BYTES / 2);
        ADD(0, low, 0), ADD(1, low, 1), ADD(2, low, 2), ADD(3, low, 3);
        ADD(4, high, 0), ADD(5, high, 1), ADD(6, high, 2), ADD(7, high, 3);
    }
    sums[row[0]] = sum0, sums[row[1]] = sum1, sums[row[2]] = sum2, sums[row[3]] = sum3;
    sums[row[4]] = sum4, sums[row[5]] = sum5, sums[row[6]] = sum6, sums[row[7]] = sum7;
}

AVX2 void dc_spmv_tiles_avx2(const struct dc_layout *w, const float *x, float *y, size_t first,
                             size_t last)
{
    const unsigned label_bits = w->label_bits, tile_bits = dc_tile_bits(label_bits);
    const size_t tiles = dc_tile_count(w->cols, label_bits), rows = (size_t)w->rows;
    float codebook[256] = {0.0f}, products[1 << DC_ENTRY_BITS], sums[PARTS * DC_TILED_ROWS];
    memcpy(codebook, w->codebook, w->centroids * sizeof *codebook);
    for (size_t begin = first, stop; begin < last; begin = stop) {
        stop = begin + PARTS < last ? begin + PARTS : last;
        memset(sums, 0, sizeof sums);
        for (size_t tile = 0; tile < tiles; tile++) {
            const size_t col = tile << tile_bits, left = (size_t)w->cols - col;
            const size_t count = left >> tile_bits ? (size_t)1 << tile_bits : left;
            multiply_all(codebook, label_bits, x + col, count, products);
            for (size_t part = begin; part < stop; part++) {
                const uint8_t *p = dc_tile_at(w, part, tile), *end = dc_tile_at(w, part, tile + 1);
                while (p < end) {
                    const struct dc_group group = dc_group_at(p);
                    p = dc_after_group(&group);
                    for (const uint8_t *ahead = group.steps; ahead < p; ahead += 64)
                        _mm_prefetch((const char *)ahead + 1024, _MM_HINT_T0);
                    add_group(&group, products, sums + (part - begin) * DC_TILED_ROWS);
                }
            }
        }
        const size_t from = begin * DC_TILED_ROWS, to = stop * DC_TILED_ROWS;
        memcpy(y + from, sums, ((to < rows ? to : rows) - from) * sizeof *y);
    }
}

_Static_assert(COLUMNS == VECTOR * PANEL && DC_TILED_ROWS == 256, "as scratch memory is given");

/* `vectors` is a constant wherever this ends up. */
AVX2_INLINE void add_groups(const struct dc_layout *w, size_t part, size_t tile,
                            const float *of_tile, float *sums, const unsigned vectors)
{
    const unsigned label_bits = w->label_bits, label_mask = (1u << label_bits) - 1;
    const size_t stride = (size_t)VECTOR * vectors;
    const uint8_t *p = dc_tile_at(w, part, tile), *end = dc_tile_at(w, part, tile + 1);
    while (p < end) {
        const struct dc_group group = dc_group_at(p);
        p = dc_after_group(&group);
        for (size_t lane = 0; lane < DC_TILE_LANES; lane++) {
            float *to = sums + group.rows[lane] * stride;
            __m256 sum[PANEL];
#pragma GCC unroll 8
            for (unsigned k = 0; k < vectors; k++)
                sum[k] = _mm256_load_ps(to + VECTOR * k);
            for (const uint8_t *step = group.steps; step < p; step += DC_STEP_BYTES) {
                const unsigned entry = dc_tile_entry(step, lane);
                const __m256 weight = _mm256_broadcast_ss(w->codebook + (entry & label_mask));
                const float *from = of_tile + (entry >> label_bits) * stride;
#pragma GCC unroll 8
                for (unsigned k = 0; k < vectors; k++)
                    sum[k] = _mm256_fmadd_ps(weight, _mm256_load_ps(from + VECTOR * k), sum[k]);
            }
#pragma GCC unroll 8
            for (unsigned k = 0; k < vectors; k++)
                _mm256_store_ps(to + VECTOR * k, sum[k]);
        }
    }
}

#define FOR_VECTORS(n)                                                                            \
    case n: add_groups(w, part, tile, of_tile, sums, n); break;

AVX2 static void add_tile(const struct dc_layout *w, size_t part, size_t tile,
                          const float *of_tile, float *sums, unsigned vectors)
{
    switch (vectors) {
        DC_CASES_8(FOR_VECTORS)
    }
}

AVX2 void dc_spmm_tiles_avx2(const struct dc_layout *w, const float *x, size_t ldx, float *y,
                             size_t ldy, size_t n, size_t first, size_t last, void *scratch)
{
    const unsigned tile_bits = dc_tile_bits(w->label_bits);
    const size_t cols = (size_t)w->cols, rows = (size_t)w->rows;
    float *of_tile = (float *)(((uintptr_t)scratch + 63) / 64 * 64);
    float *sums = of_tile + 128 * COLUMNS;
    for (size_t part = first; part < last; part++)
        for (size_t j = 0; j < n; j += COLUMNS) {
            const size_t own = n - j < COLUMNS ? n - j : COLUMNS;
            const unsigned vectors = (unsigned)((own + VECTOR - 1) / VECTOR);
            const size_t stride = (size_t)VECTOR * vectors;
            memset(sums, 0, DC_TILED_ROWS * stride * sizeof *sums);
            for (size_t tile = 0; tile << tile_bits < cols; tile++) {
                const size_t begin = tile << tile_bits, left = cols - begin;
                const size_t count = left >> tile_bits ? (size_t)1 << tile_bits : left;
                for (size_t c = 0; c < count; c++) {
                    memcpy(of_tile + c * stride, x + (begin + c) * ldx + j, own * sizeof *x);
                    memset(of_tile + c * stride + own, 0, (stride - own) * sizeof *x);
                }
                add_tile(w, part, tile, of_tile, sums, vectors);
            }
            const size_t row = part * DC_TILED_ROWS;
            for (size_t r = 0; r < DC_TILED_ROWS && row + r < rows; r++)
                memcpy(y + (row + r) * ldy + j, sums + r * stride, own * sizeof *y);
        }
}

#endif
