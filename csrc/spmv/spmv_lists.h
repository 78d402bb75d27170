/* y = W x from a layout in lists, the same for all instruction sets but for what they do to a
 * segment. */
#ifndef DC_SPMV_LISTS_H
#define DC_SPMV_LISTS_H

#include "layout/lists.h"
#include "platform.h"

/* The sum of a segment's products with the elements of x that meet its block. */
typedef float dc_segment_kernel(const float *codebook, struct dc_segment s, const float *x);

/* A dc_spmv_kernel but for `product`, which becomes part of each caller. */
DC_INLINE void dc_lists_product(const struct dc_layout *w, const float *x, float *y, size_t first,
                                size_t last, dc_segment_kernel *product)
{
    const size_t blocks = dc_block_count(w->cols), width = dc_block_width(w->cols);
    const float *const codebook = w->codebook; /* in a register, as y might else hold it */
    for (size_t part = first; part < last; part++) {
        const size_t row = part * DC_LISTED_ROWS, left = (size_t)w->rows - row;
        const size_t rows = left < DC_LISTED_ROWS ? left : DC_LISTED_ROWS;
        const uint8_t *head = w->data + w->starts[part];
        const uint8_t *p = head + blocks * DC_LISTED_ROWS * DC_HEAD_BYTES;
        for (size_t b = 0; b < blocks; b++, head += DC_LISTED_ROWS * DC_HEAD_BYTES)
            for (size_t r = 0; r < rows; r++) {
                const struct dc_segment s = dc_segment_at(head + r * DC_HEAD_BYTES, p);
                const float sum = product(codebook, s, x + b * width);
                float *const to = y + row + s.row;
                *to = b ? *to + sum : sum;
                p = s.end;
            }
    }
}

#endif
