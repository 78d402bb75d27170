/* What the kernels of convolutions share. */
#ifndef DC_SPCONV_H
#define DC_SPCONV_H

#include "dispatch.h"

#define DC_VECTOR 8       /* columns that are computed side by side at least */
#define DC_PANEL 12       /* such vectors that a kernel may keep sums of at most */
#define DC_PART_ROWS 16   /* rows whose beginning is noted */

/* Consecutive columns of a panel that lie in one row of the output; with a stride, and several
 * images side by side, in one pixel. */
struct dc_stretch {
    size_t to, count;  /* where in the panel */
    int64_t in_row;    /* the first column's place in its row, counted in columns */
    int64_t image_row; /* that place (0, 0) of the kernels meets, with the padding at the top */
    int64_t from;      /* and the element of that row that it meets, with that at the left */
};

/* Columns of the output that are computed together. */
struct dc_panel {
    size_t begin;     /* first column */
    size_t count;     /* of columns that exist */
    unsigned vectors;
    int64_t step;     /* from a column of a stretch to the next, in the image */
    size_t stretches;
    struct dc_stretch stretch[DC_PANEL * DC_VECTOR];
};

static inline size_t dc_columns(const struct dc_geometry *g)
{
    return (size_t)g->out_height * (size_t)g->out_width * (size_t)g->batch;
}

dc_gather_kernel dc_gather_scalar, dc_gather_avx2;
dc_finish_kernel dc_finish_scalar, dc_finish_avx2;
dc_block_kernel dc_block_product_scalar, dc_block_product_avx2;
dc_dense_kernel dc_dense_product_scalar, dc_dense_product_avx2;
dc_rows_kernel dc_rows_scalar, dc_rows_avx2;

/* A convolution to be computed in pieces, each by whatever thread. */
struct dc_convolution {
    const struct dc_kernels *kernels;
    const struct dc_column_blocks *w;
    struct dc_geometry geometry;
    const float *x, *bias;
    int relu;
    float high; /* with `relu`: the largest result */
    float *y;
    size_t panels; /* of columns, about as wide as each other */
};

struct dc_convolution dc_convolution_of(enum dc_isa isa, const struct dc_column_blocks *w,
                                        const struct dc_geometry *g, const float *x,
                                        const float *bias, int relu, float *y);

/* Panels [begin, end) of a share of the rows, of `shares` with about as many products each. Returns
 * 1 if all sums are finite, else 0. `scratch` has dc_convolve_scratch bytes. */
int dc_convolve_piece(const struct dc_convolution *c, size_t begin, size_t end, size_t share,
                      size_t shares, void *scratch);

#endif
