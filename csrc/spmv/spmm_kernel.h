/* The product of rows with a tile, dc_tile_kernel, for the registers of one instruction set.
 *
 * To be included once by a file that defines before: KERNEL and KERNEL_INLINE, what functions are
 * declared with; VECTOR and PANEL of its struct dc_tiling, the latter 8, 12 or 16; PAIRED, see
 * below; and with `vec` as the type of a register VEC_ZERO(), VEC_LOAD(from), VEC_STORE(to, a)
 * for aligned addresses, VEC_ALL(a) for a float, VEC_ADD(a, b), and VEC_FMA(a, b, sum) =
 * a * b + sum, rounded once.
 *
 * An entry costs a look-up of its weight and a product for each vector, whose sums stay in
 * registers. Up to PAIRED vectors, which are fewer than the products that may be under way, a
 * product would wait for the one before it: there, two entries at a time have sums of their own.
 * With AVX-512 and 64 columns that takes 14 instructions and 3.0 cycles per entry, in place of
 * 15 and 6.0, as llvm-mca counts them for Sapphire Rapids (with registers of 256 bits, as it lets
 * those of 512 be multiplied in one place instead of two). */

/* Adds the products of an entry with its row of X. That is addressed by one register: with two, a
 * product with an element in memory is two operations for Intel's processors. */
KERNEL_INLINE void add_products(const float *codebook, uint32_t entry, uintptr_t tile,
                                vec sum[PANEL], const unsigned vectors)
{
    const size_t bytes = VECTOR * sizeof(float) * vectors;
    const float *row = (const float *)(tile + (entry >> 8) * bytes);
    __asm__("" : "+r"(row));
    const vec weight = VEC_ALL(codebook[entry & 255]);
    DC_UNROLL
    for (unsigned k = 0; k < vectors; k++)
        sum[k] = VEC_FMA(weight, VEC_LOAD(row + VECTOR * k), sum[k]);
}

/* `vectors` is a constant wherever this ends up. */
KERNEL_INLINE void tile_product(const float *codebook, const struct dc_rows *rows, uint32_t first,
                                uint32_t end, const unsigned vectors)
{
    const int pairs = vectors <= PAIRED;
    const size_t stride = VECTOR * (size_t)vectors;
    const uintptr_t tile = (uintptr_t)rows->tile - first * stride * sizeof(float);
    /* In place of the second entry where there is none, the weight 0 of label 0: unlike a branch,
     * it needn't be predicted. So that it doesn't become one, what it is remains unknown. */
    uint32_t none = first << 8;
    __asm__("" : "+r"(none));
    float *sums = rows->sums;
    for (size_t i = 0; i < rows->count; i++, sums += stride) {
        const uint32_t *begin = rows->entries + i * rows->stride;
        const uint32_t *entry = begin + rows->next[i], *second = entry;
        /* No row's entries follow those of the one before it. The last ones are of no row, or of
         * no use. */
        __builtin_prefetch(begin + DC_AHEAD * rows->stride + rows->next[i + DC_AHEAD]);
        vec sum[PANEL], other[PANEL];
        DC_UNROLL
        for (unsigned k = 0; k < vectors; k++) {
            sum[k] = other[k] = VEC_ZERO();
            if (first)
                sum[k] = VEC_LOAD(sums + VECTOR * k);
        }
        for (; *entry < end; entry += 1 + pairs) {
            add_products(codebook, *entry, tile, sum, vectors);
            second = entry + 1;
            if (pairs)
                add_products(codebook, *second < end ? *second : none, tile, other, vectors);
        }
        DC_UNROLL
        for (unsigned k = 0; k < vectors; k++)
            VEC_STORE(sums + VECTOR * k, pairs ? VEC_ADD(sum[k], other[k]) : sum[k]);
        rows->next[i] = (uint32_t)(second - begin) + (pairs && *second < end);
    }
}

#define FOR_VECTORS(n)                                                                            \
    case n: tile_product(codebook, rows, first, end, n); break;
#define FOR_4_VECTORS(n)                                                                          \
    FOR_VECTORS(n + 1)                                                                            \
    FOR_VECTORS(n + 2)                                                                            \
    FOR_VECTORS(n + 3)                                                                            \
    FOR_VECTORS(n + 4)

KERNEL static void any_tile_product(const float *codebook, const struct dc_rows *rows,
                                    uint32_t first, uint32_t end, unsigned vectors)
{
    switch (vectors) {
        FOR_4_VECTORS(0)
        FOR_4_VECTORS(4)
#if PANEL >= 12
        FOR_4_VECTORS(8)
#endif
#if PANEL >= 16
        FOR_4_VECTORS(12)
#endif
    }
}
