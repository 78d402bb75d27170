/* The kernels of each instruction set. dispatch.c has the table; kernels of one kind have one type,
 * and those for x86 and ARM are named after their instruction set. */
#ifndef DC_DISPATCH_H
#define DC_DISPATCH_H

#include "deepcompress.h"
#include "platform.h"

struct dc_convolution; /* spconv/spconv.h */
struct dc_panel;       /* likewise */
struct dc_tiles;       /* spconv/winograd.h */

/* spmv/: as dc_spmv and dc_spmm, for layouts of one kind. */
typedef void dc_spmv_kernel(const struct dc_layout *w, const float *x, float *y, size_t first,
                            size_t last);
typedef void dc_spmm_kernel(const struct dc_layout *w, const float *x, size_t ldx, float *y,
                            size_t ldy, size_t n, size_t first, size_t last, void *scratch);

/* spconv/: adds to `sums`, or for `first` puts there, the products of `rows` rows of one column
 * block of W with a tile of X, both of `vectors` vectors to a row and without gaps between rows;
 * `tile` and `sums` are aligned to 32 bytes. `data` are the rows' counts and entries; returns
 * their end. */
typedef const uint16_t *dc_block_kernel(const uint16_t *data, size_t rows, const float *codebook,
                                        const float *tile, float *sums, unsigned vectors,
                                        int first);

/* The same with `depth` columns of a dense W, whose rows begin `stride` elements apart. */
typedef void dc_dense_kernel(const float *w, size_t stride, size_t rows, size_t depth,
                             const float *tile, float *sums, unsigned vectors, int first);

/* Writes rows [first, last) of what the kernels meet in the channels of a group, which begin at
 * `x`: the tile of a panel, with zeros in the padding and beyond the columns. */
typedef void dc_gather_kernel(const struct dc_geometry *g, const float *x,
                              const struct dc_panel *panel, size_t first, size_t last, float *tile);

/* `count` elements of a row of the output from its sums, with `added` and the ReLU; returns 1 if all
 * were finite before that, else 0. */
typedef int dc_finish_kernel(const struct dc_convolution *c, const float *sums, size_t count,
                             float added, float *to);

/* Sums of the products of rows of a dense matrix with x, in eight parts each. */
typedef void dc_rows_kernel(const float *w, size_t cols, size_t rows, const float *x, float *y);

/* spconv/: the 36 transformed numbers of each tile of a channel's image at `x`, place p of the first
 * one to to[p * apart + tiles->at]; and the other way, from sums to the output's channel at `y`, with
 * `added` and the ReLU, which returns 1 if all were finite before that, else 0. */
typedef void dc_transform_kernel(const struct dc_geometry *g, const float *x,
                                 const struct dc_tiles *tiles, float *to, size_t apart);
typedef int dc_restore_kernel(const struct dc_operation *op, const float *sums, size_t apart,
                              const struct dc_tiles *tiles, float added, float *y);

/* program/: a task, of `tasks`, of an operation that is neither a convolution nor a product; no
 * result depends on the number of tasks. Returns 1 if all that it computes is finite before the
 * ReLU, else 0. `scratch` has a row of the images. */
typedef int dc_layer_kernel(const struct dc_operation *op, size_t task, size_t tasks,
                            float *scratch);

/* Adds the bias to rows [first, last) of a product, whose ReLU follows; returns the same. */
typedef int dc_bias_kernel(const struct dc_operation *op, size_t first, size_t last);

struct dc_tiling;      /* spmv/spmm_tiled.h */
struct dc_huffman_way; /* huffman/huffman_rounds.h */
struct dc_rans_way;    /* rans/rans_states.h */

struct dc_kernels {
    const char *name;
    enum dc_layout_kind dense_layout, cached_layout; /* see dc_dense_layout */
    dc_spmv_kernel *spmv[DC_LAYOUT_KINDS]; /* where there is none, the portable one is taken */
    dc_spmm_kernel *spmm[DC_LAYOUT_KINDS]; /* likewise */
    const struct dc_tiling *tiling[DC_LAYOUT_KINDS]; /* a faster way than `spmm`, if there is one */
    size_t tiles_scratch;                            /* bytes that `spmm` takes for tiles */
    dc_block_kernel *block;
    dc_dense_kernel *dense;
    dc_rows_kernel *rows;
    dc_gather_kernel *gather;
    dc_finish_kernel *finish;
    dc_transform_kernel *transform;
    dc_restore_kernel *restore;
    dc_layer_kernel *layer;
    dc_bias_kernel *bias;
    const struct dc_huffman_way *huffman;
    const struct dc_rans_way *rans;
};

/* Those of a set that is available. */
const struct dc_kernels *dc_kernels_of(enum dc_isa isa);

#endif
