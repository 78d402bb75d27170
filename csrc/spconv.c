/* Convolution of images with a weight in blocks.
 *
 * The columns of the output, all of its places for all images, are taken in panels of up to
 * DC_PANEL vectors, and the rows of W in chunks. For a panel and a chunk, one block of W's columns
 * after the other, what the kernels meet there is gathered as a tile that the first cache holds,
 * and multiplied with all rows of the chunk. No more of im2col is ever there. */
#include <string.h>

#include "spconv.h"
#include "spmv.h"

#define TILE_BYTES (24 << 10) /* of X, of a first cache of 32 KiB or more */
#define CHUNK_ROWS 512        /* whose sums are with the tile in the second cache */
#define ALIGNMENT 64

/* What is the same for all shares of a convolution. */
struct job {
    dc_block_kernel *kernel;
    const struct dc_blocks *w;
    struct dc_images images;
    const float *x, *bias;
    int relu;
    float *y;
    size_t shares;
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static unsigned panel_vectors(const struct dc_blocks *w)
{
    size_t vectors = TILE_BYTES / (w->block_cols * DC_VECTOR * sizeof(float));
    return (unsigned)least(vectors, DC_PANEL);
}

/* Rows [first, last) of Y, within one group and of one chunk, in the columns of a panel. */
static void panel_product(const struct job *job, const float *x, const struct dc_panel *panel,
                          size_t first, size_t last, float *tile, float *sums)
{
    const struct dc_blocks *w = job->w;
    const size_t cols = (size_t)w->cols, stride = panel->vectors * DC_VECTOR;
    const size_t parts = ((size_t)w->rows + DC_PART_ROWS - 1) / DC_PART_ROWS;
    if (cols == 0)
        memset(sums, 0, (last - first) * stride * sizeof *sums);
    for (size_t block = 0, begin = 0; begin < cols; block++, begin += w->block_cols) {
        dc_gather(&job->images, x, panel, begin, least(begin + w->block_cols, cols), tile);
        const uint16_t *data = w->data + w->starts[block * parts + first / DC_PART_ROWS];
        for (size_t skipped = first % DC_PART_ROWS; skipped > 0; skipped--)
            data += 1 + *data;
        job->kernel(data, last - first, w->codebook, tile, sums, panel->vectors, block == 0);
    }
    for (size_t row = first; row < last; row++, sums += stride) {
        float *restrict to = job->y + row * dc_columns(&job->images) + panel->begin;
        const float added = job->bias ? job->bias[row] : 0.0f;
        for (size_t k = 0; k < panel->count; k++) {
            float sum = sums[k] + added;
            to[k] = job->relu && sum < 0.0f ? 0.0f : sum;
        }
    }
}

/* The first row of a share of all rows, by their entries. */
static size_t first_row(const struct dc_blocks *w, size_t share, size_t shares)
{
    const size_t rows = (size_t)w->rows, parts = (rows + DC_PART_ROWS - 1) / DC_PART_ROWS;
    const size_t blocks = ((size_t)w->cols + w->block_cols - 1) / w->block_cols;
    const uint64_t total = w->starts[parts * blocks];
    const uint64_t before = total / shares * share + total % shares * share / shares;
    if (share == shares)
        return rows;
    uint64_t sum = 0;
    size_t part = 0;
    for (; part < parts && sum < before; part++)
        for (size_t block = 0; block < blocks; block++)
            sum += w->starts[block * parts + part + 1] - w->starts[block * parts + part];
    return least(part * DC_PART_ROWS, rows);
}

/* Columns in [begin, end) of rows in [first, last). */
static void product(const struct job *job, size_t first, size_t last, size_t begin, size_t end,
                    float *tile)
{
    const struct dc_blocks *w = job->w;
    const struct dc_images *g = &job->images;
    const size_t most = panel_vectors(w);
    const size_t panels = (end - begin + most - 1) / most;
    const size_t group_rows = (size_t)(w->rows / g->groups);
    const size_t group_size = (size_t)(g->channels / g->groups * g->height * g->width * g->batch);
    float *sums = tile + w->block_cols * most * DC_VECTOR;
    for (size_t row = first; row < last;) {
        const size_t group = row / group_rows;
        const size_t chunk = least(least(row + CHUNK_ROWS, (group + 1) * group_rows), last);
        for (size_t i = 0; i < panels; i++) {
            /* Of about the same width, so that none is much less efficient. */
            const struct dc_panel panel = dc_panel_of(g, begin + (end - begin) * i / panels,
                                                   begin + (end - begin) * (i + 1) / panels);
            panel_product(job, job->x + group * group_size, &panel, row, chunk, tile, sums);
        }
        row = chunk;
    }
}

size_t dc_convolve_scratch(const struct dc_blocks *w)
{
    const size_t rows = least((size_t)w->rows, CHUNK_ROWS) + w->block_cols;
    const size_t bytes = rows * panel_vectors(w) * DC_VECTOR * sizeof(float);
    return (bytes + 2 * ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void share_product(const struct job *job, size_t share, void *scratch)
{
    const struct dc_blocks *w = job->w;
    const size_t vectors = (dc_columns(&job->images) + DC_VECTOR - 1) / DC_VECTOR;
    size_t first = 0, last = (size_t)w->rows, begin = 0, end = vectors;
    /* A share of columns has tiles of its own; but of few columns it would have narrow ones. */
    if (vectors >= 2 * job->shares * panel_vectors(w)) {
        begin = vectors * share / job->shares;
        end = vectors * (share + 1) / job->shares;
    } else {
        first = first_row(w, share, job->shares);
        last = first_row(w, share + 1, job->shares);
    }
    uintptr_t mine = (uintptr_t)scratch + share * dc_convolve_scratch(w) + ALIGNMENT - 1;
    product(job, first, last, begin, end, (float *)(mine / ALIGNMENT * ALIGNMENT));
}

enum dc_status dc_convolve(enum dc_isa isa, const struct dc_blocks *w, const struct dc_images *g,
                           const float *x, const float *bias, int relu, float *y, size_t shares,
                           void *scratch)
{
    if (!dc_isa_available(isa))
        return DC_NO_ISA;
    struct job job = {dc_block_product_scalar, w, *g, x, bias, relu, y, shares};
#if DC_X86
    if (isa != DC_SCALAR)
        job.kernel = dc_block_product_avx2;
#endif
    /* Without anything to gather, an image is one row, and its runs are as long as they can be. */
    if (g->kernel == 1 && g->stride == 1 && g->padding == 0) {
        job.images.height = job.images.out_height = 1;
        job.images.width = job.images.out_width = g->height * g->width;
    }
    if (shares == 1) { /* as a process that was forked can't enter OpenMP */
        share_product(&job, 0, scratch);
        return DC_OK;
    }
#ifdef _OPENMP
#pragma omp parallel for num_threads((int)shares) schedule(static, 1)
#endif
    for (size_t i = 0; i < shares; i++)
        share_product(&job, i, scratch);
    return DC_OK;
}
