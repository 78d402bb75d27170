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

/* Consecutive columns of a panel that a place of the kernels meets in one row of the image. */
struct run {
    size_t to;      /* the first of them within the panel */
    size_t count;
    ptrdiff_t from; /* the first one's element, from the beginning of the channel */
};

struct runs {
    size_t count;
    size_t step; /* between elements of the image */
    int is_whole; /* the runs leave no column out */
    struct run run[DC_PANEL * DC_VECTOR];
};

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

struct panel {
    size_t begin;     /* first column */
    size_t count;     /* of columns that exist */
    unsigned vectors;
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t columns_of(const struct dc_images *g)
{
    return (size_t)g->out_height * (size_t)g->out_width * (size_t)g->batch;
}

static unsigned panel_vectors(const struct dc_blocks *w)
{
    size_t vectors = TILE_BYTES / (w->block_cols * DC_VECTOR * sizeof(float));
    return (unsigned)least(vectors, DC_PANEL);
}

static void add_run(struct runs *runs, size_t to, size_t count, ptrdiff_t from)
{
    if (count)
        runs->run[runs->count++] = (struct run){to, count, from};
}

/* Where the columns of a panel meet place (i, j) of the kernels; those in the padding are left
 * out. With a stride, images that lie side by side are runs of their own. */
static void find_runs(const struct dc_images *g, const struct panel *panel, int64_t i, int64_t j,
                      struct runs *runs)
{
    const int64_t batch = g->batch, width = g->out_width * batch;
    const int in_line = g->stride == 1 || batch == 1;
    size_t covered = 0;
    runs->count = 0;
    runs->step = in_line ? (size_t)g->stride : 1;
    for (size_t to = 0; to < panel->count;) {
        const int64_t column = (int64_t)(panel->begin + to);
        const int64_t row = column / width, in_row = column % width;
        const int64_t image_row = row * g->stride + i - g->padding;
        /* Columns up to the end of the output's row, or only of the pixel. */
        int64_t end = in_line ? width : (in_row / batch + 1) * batch;
        end = (int64_t)least((size_t)(end - in_row), panel->count - to) + in_row;
        const size_t next = to + (size_t)(end - in_row);
        if (image_row >= 0 && image_row < g->height) {
            /* Those of pixels of the image. */
            const int64_t shift = j - g->padding;
            int64_t first = shift < 0 ? (-shift + g->stride - 1) / g->stride : 0;
            int64_t last = g->width - shift > 0 ? (g->width - shift - 1) / g->stride + 1 : 0;
            first = first * batch > in_row ? first * batch : in_row;
            last = last * batch < end ? last * batch : end;
            if (first < last) {
                const int64_t pixel = first / batch * g->stride + shift;
                const int64_t from = (image_row * g->width + pixel) * batch + first % batch;
                add_run(runs, to + (size_t)(first - in_row), (size_t)(last - first),
                        (ptrdiff_t)from);
                covered += (size_t)(last - first);
            }
        }
        to = next;
    }
    runs->is_whole = covered == panel->vectors * (size_t)DC_VECTOR;
}

static inline void copy(float *restrict to, const float *restrict from, size_t count)
{
    if (count >= 8) {
        for (size_t k = 0; k + 8 < count; k += 8)
            memcpy(to + k, from + k, 8 * sizeof *to);
        memcpy(to + count - 8, from + count - 8, 8 * sizeof *to); /* some of them once more */
    } else if (count >= 4) {
        memcpy(to, from, 4 * sizeof *to);
        memcpy(to + count - 4, from + count - 4, 4 * sizeof *to);
    } else {
        for (size_t k = 0; k < count; k++)
            to[k] = from[k];
    }
}

/* Rows [first, last) of the columns of a group that begins at `x`: the tile. */
static void gather(const struct dc_images *g, const float *x, const struct panel *panel,
                   size_t first, size_t last, float *tile)
{
    const size_t places = (size_t)(g->kernel * g->kernel), stride = panel->vectors * DC_VECTOR;
    const size_t channel = (size_t)g->height * (size_t)g->width * (size_t)g->batch;
    struct runs runs;
    /* Row r is place r % places of channel r / places: first a row of each place. */
    for (size_t begin = first; begin < last && begin < first + places; begin++) {
        const int64_t place = (int64_t)(begin % places);
        find_runs(g, panel, place / g->kernel, place % g->kernel, &runs);
        for (size_t row = begin; row < last; row += places) {
            float *to = tile + (row - first) * stride;
            const float *from = x + row / places * channel;
            if (!runs.is_whole)
                memset(to, 0, stride * sizeof *to);
            for (const struct run *run = runs.run; run < runs.run + runs.count; run++)
                if (runs.step == 1)
                    copy(to + run->to, from + run->from, run->count);
                else
                    for (size_t k = 0; k < run->count; k++)
                        to[run->to + k] = from[run->from + (ptrdiff_t)(k * runs.step)];
        }
    }
}

/* Rows [first, last) of Y, within one group and of one chunk, in the columns of a panel. */
static void panel_product(const struct job *job, const float *x, const struct panel *panel,
                          size_t first, size_t last, float *tile, float *sums)
{
    const struct dc_blocks *w = job->w;
    const size_t cols = (size_t)w->cols, stride = panel->vectors * DC_VECTOR;
    const size_t parts = ((size_t)w->rows + DC_PART_ROWS - 1) / DC_PART_ROWS;
    if (cols == 0)
        memset(sums, 0, (last - first) * stride * sizeof *sums);
    for (size_t block = 0, begin = 0; begin < cols; block++, begin += w->block_cols) {
        gather(&job->images, x, panel, begin, least(begin + w->block_cols, cols), tile);
        const uint16_t *data = w->data + w->starts[block * parts + first / DC_PART_ROWS];
        for (size_t skipped = first % DC_PART_ROWS; skipped > 0; skipped--)
            data += 1 + *data;
        job->kernel(data, last - first, w->codebook, tile, sums, panel->vectors, block == 0);
    }
    for (size_t row = first; row < last; row++, sums += stride) {
        float *restrict to = job->y + row * columns_of(&job->images) + panel->begin;
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
    const size_t most = panel_vectors(w), columns = least(end * DC_VECTOR, columns_of(g));
    const size_t panels = (end - begin + most - 1) / most;
    const size_t group_rows = (size_t)(w->rows / g->groups);
    const size_t group_size = (size_t)(g->channels / g->groups * g->height * g->width * g->batch);
    float *sums = tile + w->block_cols * most * DC_VECTOR;
    for (size_t row = first; row < last;) {
        const size_t group = row / group_rows;
        const size_t chunk = least(least(row + CHUNK_ROWS, (group + 1) * group_rows), last);
        for (size_t i = 0; i < panels; i++) {
            /* Of about the same width, so that none is much less efficient. */
            const size_t from = begin + (end - begin) * i / panels;
            const size_t to = begin + (end - begin) * (i + 1) / panels;
            const struct panel panel = {from * DC_VECTOR,
                                        least(to * DC_VECTOR, columns) - from * DC_VECTOR,
                                        (unsigned)(to - from)};
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
    const size_t vectors = (columns_of(&job->images) + DC_VECTOR - 1) / DC_VECTOR;
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
