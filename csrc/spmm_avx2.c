/* Y = W X from lanes, up to 96 columns of X at a time, in tiles; spmm_tiles.c has their frame. */
#include "spmm_tiles.h"
#include "spmv.h"
#include "unpack_avx2.h"

#if DC_X86
#define VECTOR 8
#define PANEL 12 /* vectors of columns at once, whose sums are in registers */

/* `vectors` is a constant wherever this ends up. */
AVX2_INLINE void tile_product(const float *codebook, const struct dc_rows *rows, uint32_t first,
                              uint32_t end, const unsigned vectors)
{
    const size_t stride = VECTOR * (size_t)vectors, before = first * stride;
    float *sums = rows->sums;
    for (size_t i = 0; i < rows->count; i++, sums += stride) {
        const uint32_t *begin = rows->entries + i * rows->stride, *entry = begin + rows->next[i];
        /* No row's entries follow those of the one before it. The last ones are of no row, or of
         * no use. */
        _mm_prefetch((const char *)(begin + DC_AHEAD * rows->stride + rows->next[i + DC_AHEAD]),
                     _MM_HINT_T0);
        __m256 sum[PANEL];
#pragma GCC unroll 12
        for (unsigned k = 0; k < vectors; k++)
            sum[k] = first ? _mm256_load_ps(sums + VECTOR * k) : _mm256_setzero_ps();
        for (; *entry < end; entry++) {
            const float *from = rows->tile + ((*entry >> 8) * stride - before);
            const __m256 weight = _mm256_broadcast_ss(codebook + (*entry & 255));
#pragma GCC unroll 12
            for (unsigned k = 0; k < vectors; k++)
                sum[k] = _mm256_fmadd_ps(weight, _mm256_load_ps(from + VECTOR * k), sum[k]);
        }
#pragma GCC unroll 12
        for (unsigned k = 0; k < vectors; k++)
            _mm256_store_ps(sums + VECTOR * k, sum[k]);
        rows->next[i] = (uint32_t)(entry - begin);
    }
}

AVX2 static void any_tile_product(const float *codebook, const struct dc_rows *rows,
                                  uint32_t first, uint32_t end, unsigned vectors)
{
    switch (vectors) {
        DC_FOR_VECTORS(1)
        DC_FOR_VECTORS(2)
        DC_FOR_VECTORS(3)
        DC_FOR_VECTORS(4)
        DC_FOR_VECTORS(5)
        DC_FOR_VECTORS(6)
        DC_FOR_VECTORS(7)
        DC_FOR_VECTORS(8)
        DC_FOR_VECTORS(9)
        DC_FOR_VECTORS(10)
        DC_FOR_VECTORS(11)
        DC_FOR_VECTORS(12)
    }
}

static const struct dc_tiling tiling = {VECTOR, PANEL, dc_unpack_avx2, any_tile_product};

size_t dc_spmm_scratch_avx2(const struct dc_layout *w)
{
    return dc_tiles_scratch(&tiling, w);
}

void dc_spmm_lanes_avx2(const struct dc_layout *w, const float *x, size_t ldx, float *y, size_t ldy,
                        size_t n, size_t first, size_t last, void *scratch)
{
    dc_tiles_product(&tiling, w, x, ldx, y, ldy, n, first, last, scratch);
}

#endif
