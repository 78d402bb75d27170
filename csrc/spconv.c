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

/* Consecutive columns of a panel that lie in one row of the output; with a stride, and several
 * images side by side, in one pixel. */
struct stretch {
    size_t to, count;  /* where in the panel */
    int64_t in_row;    /* the first column's place in its row, counted in columns */
    int64_t image_row; /* that place (0, 0) of the kernels meets, with the padding at the top */
    int64_t from;      /* and the element of that row that it meets, with that at the left */
};

/* Those of them that a place of the kernels meets in the image, not in its padding. */
struct run {
    size_t to, count;
    ptrdiff_t from; /* the first one's element, from the beginning of the channel */
};

struct panel {
    size_t begin;     /* first column */
    size_t count;     /* of columns that exist */
    unsigned vectors;
    int64_t step;     /* from a column of a stretch to the next, in the image */
    size_t stretches;
    struct stretch stretch[DC_PANEL * DC_VECTOR];
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

static struct panel panel_of(const struct dc_images *g, size_t from, size_t to)
{
    struct panel p = {.begin = from * DC_VECTOR, .vectors = (unsigned)(to - from)};
    const int64_t batch = g->batch, width = g->out_width * batch;
    const int in_line = g->stride == 1 || batch == 1;
    int64_t row = (int64_t)p.begin / width, in_row = (int64_t)p.begin % width;
    p.count = least(to * DC_VECTOR, columns_of(g)) - p.begin;
    p.step = in_line ? g->stride : 1;
    for (size_t at = 0; at < p.count;) {
        const int64_t pixel = in_row / batch;
        const int64_t end = in_line ? width : (pixel + 1) * batch;
        const size_t count = least((size_t)(end - in_row), p.count - at);
        p.stretch[p.stretches++] = (struct stretch){
            at, count, in_row, row * g->stride, pixel * g->stride * batch + in_row % batch};
        at += count;
        in_row += (int64_t)count;
        if (in_row == width) {
            in_row = 0;
            row++;
        }
    }
    return p;
}

/* Where the columns of a panel meet place (i, j) of the kernels; returns how many runs there are,
 * and tells in *is_whole whether they leave no column out. */
static size_t find_runs(const struct dc_images *g, const struct panel *panel, int64_t i, int64_t j,
                        struct run *runs, int *is_whole)
{
    const int64_t down = i - g->padding, right = j - g->padding;
    /* The pixels of an output's row that meet one of the image. */
    const int64_t first = right < 0 ? (-right + g->stride - 1) / g->stride : 0;
    const int64_t end = g->width > right ? (g->width - right - 1) / g->stride + 1 : 0;
    size_t count = 0, covered = 0;
    for (const struct stretch *s = panel->stretch; s < panel->stretch + panel->stretches; s++) {
        const int64_t row = s->image_row + down;
        int64_t skipped = first * g->batch - s->in_row, last = end * g->batch - s->in_row;
        skipped = skipped > 0 ? skipped : 0;
        last = last < (int64_t)s->count ? last : (int64_t)s->count;
        if (row < 0 || row >= g->height || skipped >= last)
            continue;
        runs[count++] = (struct run){
            s->to + (size_t)skipped, (size_t)(last - skipped),
            (ptrdiff_t)((row * g->width + right) * g->batch + s->from + skipped * panel->step)};
        covered += (size_t)(last - skipped);
    }
    *is_whole = covered == panel->vectors * (size_t)DC_VECTOR;
    return count;
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
    const size_t step = (size_t)panel->step;
    struct run runs[DC_PANEL * DC_VECTOR];
    /* Row r is place r % places of channel r / places: first a row of each place. */
    for (size_t begin = first; begin < last && begin < first + places; begin++) {
        const int64_t place = (int64_t)(begin % places);
        int is_whole;
        const size_t count =
            find_runs(g, panel, place / g->kernel, place % g->kernel, runs, &is_whole);
        const float *from = x + begin / places * channel;
        float *to = tile + (begin - first) * stride;
        for (size_t row = begin; row < last; row += places) {
            if (!is_whole)
                memset(to, 0, stride * sizeof *to);
            for (const struct run *run = runs; run < runs + count; run++)
                if (step == 1)
                    copy(to + run->to, from + run->from, run->count);
                else
                    for (size_t k = 0; k < run->count; k++)
                        to[run->to + k] = from[run->from + (ptrdiff_t)(k * step)];
            from += channel;
            to += places * stride;
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
            const struct panel panel = panel_of(g, begin + (end - begin) * i / panels,
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
