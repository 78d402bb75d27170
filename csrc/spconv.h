/* What the kernels of convolutions share. */
#ifndef DC_SPCONV_H
#define DC_SPCONV_H

#include "deepcompress.h"

#define DC_VECTOR 8       /* columns that are computed side by side at least */
#define DC_PANEL 12       /* such vectors that a kernel may keep sums of at most */
#define DC_PART_ROWS 16   /* rows whose beginning is noted */

/* Adds to `sums`, or for `first` puts there, the products of `rows` rows of one block of W with
 * a tile of X, both of `vectors` vectors to a row and without gaps between rows; `tile` and
 * `sums` are aligned to 32 bytes. `data` are the rows' counts and entries; returns their end. */
typedef const uint16_t *dc_block_kernel(const uint16_t *data, size_t rows, const float *codebook,
                                        const float *tile, float *sums, unsigned vectors,
                                        int first);

dc_block_kernel dc_block_product_scalar;
dc_block_kernel dc_block_product_avx2;

#endif
