/* Products of a block of W with a tile of X, eight columns to a register. */
#include "platform.h"
#include "spconv/spconv.h"
#include "spconv/spconv_gather.h"

#if DC_X86
#include <immintrin.h>

/* An entry costs a broadcast and `vectors` products, whose sums stay in registers; `vectors` is
 * a constant wherever this ends up. */
AVX2_INLINE const uint16_t *block_product(const uint16_t *data, size_t rows,
                                          const float *codebook, const float *tile, float *sums,
                                          int first, const unsigned vectors)
{
    const size_t stride = DC_VECTOR * (size_t)vectors;
    for (; rows > 0; rows--, sums += stride) {
        const uint16_t *end = data + 1 + *data;
        __m256 sum[DC_PANEL];
#pragma GCC unroll 12
        for (unsigned k = 0; k < vectors; k++)
            sum[k] = first ? _mm256_setzero_ps() : _mm256_load_ps(sums + DC_VECTOR * k);
        for (data++; data < end; data++) {
            const float *from = tile + (*data & 255) * stride;
            const __m256 weight = _mm256_broadcast_ss(codebook + (*data >> 8));
#pragma GCC unroll 12
            for (unsigned k = 0; k < vectors; k++)
                sum[k] = _mm256_fmadd_ps(weight, _mm256_load_ps(from + DC_VECTOR * k), sum[k]);
        }
#pragma GCC unroll 12
        for (unsigned k = 0; k < vectors; k++)
            _mm256_store_ps(sums + DC_VECTOR * k, sum[k]);
    }
    return data;
}

#define FOR_VECTORS(n)                                                                            \
    case n: return block_product(data, rows, codebook, tile, sums, first, n);

AVX2 const uint16_t *dc_block_product_avx2(const uint16_t *data, size_t rows,
                                           const float *codebook, const float *tile, float *sums,
                                           unsigned vectors, int first)
{
    switch (vectors) {
        DC_CASES_8(FOR_VECTORS)
        FOR_VECTORS(9)
        FOR_VECTORS(10)
        FOR_VECTORS(11)
    default: return block_product(data, rows, codebook, tile, sums, first, DC_PANEL);
    }
}

AVX2 void dc_gather_avx2(const struct dc_geometry *g, const float *x, const struct dc_panel *panel,
                    size_t first, size_t last, float *tile)
{
    gather(g, x, panel, first, last, tile);
}

AVX2 int dc_finish_avx2(const struct dc_convolution *c, const float *sums, size_t count, float added,
                   float *to)
{
    return finish(c, sums, count, added, to);
}

#endif
