/* Y = W X in tiles, the same for all instruction sets but for what they do to a row. */
#ifndef DC_SPMM_TILED_H
#define DC_SPMM_TILED_H

#include "dispatch.h"

#define DC_END UINT32_MAX /* after a row's last entry; above every entry */
#define DC_AHEAD 8        /* rows whose entries are fetched before their turn */

/* Rows of W that are unpacked, an entry to a dword: its column above, its label in the low byte. */
struct dc_rows {
    size_t stride; /* entries of the longest row, and some ends; a multiple of 16 */
    size_t most;   /* rows that there is room for */
    size_t count;
    float *tile;       /* rows of X, aligned to 64 bytes */
    float *sums;       /* of each row, likewise */
    uint32_t *entries; /* of row i from i * stride on */
    uint32_t *next;    /* which entry of each row is next, and DC_AHEAD more of no meaning */
    uint32_t *place;   /* which row of Y is its */
};

/* Unpacks the rows of a part, 16 in lanes, 32 in lists or one under masks, row i of them from
 * i * stride on, with DC_END behind, twice as entries may be read by twos; up to 15 entries may be written
 * from the first DC_END on. */
typedef void dc_unpack_kernel(const struct dc_layout *w, size_t part, uint32_t *entries,
                              size_t stride);

/* Adds to the sums of all rows the products of a tile, which begins at column `first`, with the
 * entries from `next` on that are below `end`, or for `first` 0 writes them; moves `next` on.
 * Rows of the tile and of the sums are `vectors` vectors each. */
typedef void dc_tile_kernel(const float *codebook, const struct dc_rows *rows, uint32_t first,
                            uint32_t end, unsigned vectors);

struct dc_tiling {
    size_t vector; /* columns, at most 16 */
    size_t panel;  /* vectors whose sums are in registers, at most 16 */
    dc_unpack_kernel *unpack;
    dc_tile_kernel *product;
};

/* Those of dc_spmm_scratch and dc_spmm. */
size_t dc_tiled_scratch(const struct dc_tiling *t, const struct dc_layout *w);
void dc_tiled_product(const struct dc_tiling *t, const struct dc_layout *w, const float *x,
                      size_t ldx, float *y, size_t ldy, size_t n, size_t first, size_t last,
                      void *scratch);

dc_unpack_kernel dc_unpack_lanes, dc_unpack_masks, dc_unpack_lists;
extern const struct dc_tiling dc_lanes_avx2, dc_masks_avx2, dc_lists_avx2;
extern const struct dc_tiling dc_lanes_avx512, dc_masks_avx512, dc_lists_avx512;
extern const struct dc_tiling dc_lanes_neon, dc_masks_neon, dc_lists_neon;

#endif
