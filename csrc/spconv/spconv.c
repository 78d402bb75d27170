/* Convolution of images with a weight in column blocks, or a dense one.
 *
 * The columns of the output, all of its places for all images, are taken in panels of up to
 * DC_PANEL vectors, and the rows of W in chunks. For a panel and a chunk, one block of W's columns
 * after the other, what the kernels meet there is gathered as a tile that the first cache holds,
 * and multiplied with all rows of the chunk. No more of im2col is ever there. */
#include <math.h>
#include <string.h>

#include "spconv/spconv.h"
#include "tasks.h"
#include "pool/pool.h"

#define TILE_BYTES (24 << 10) /* of X, of a first cache of 32 KiB or more */
#define CHUNK_ROWS 512        /* whose sums are with the tile in the second cache */
#define ALIGNMENT 64
#define LINE 16            /* elements of a cache line */
#define CACHED (64 << 10)  /* elements of images that stay in a second cache */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t panel_vectors(const struct dc_column_blocks *w)
{
    return least(TILE_BYTES / (w->block_cols * DC_VECTOR * sizeof(float)), DC_PANEL);
}

/* The panel of the columns in vectors [from, to), at most DC_PANEL; the last one may be cut. */
static struct dc_panel panel_of(const struct dc_geometry *g, size_t from, size_t to)
{
    struct dc_panel p = {.begin = from * DC_VECTOR, .vectors = (unsigned)(to - from)};
    const int64_t batch = g->batch, width = g->out_width * batch;
    const int in_line = g->stride[1] == 1 || batch == 1;
    int64_t row = (int64_t)p.begin / width, in_row = (int64_t)p.begin % width;
    p.count = (to * DC_VECTOR < dc_columns(g) ? to * DC_VECTOR : dc_columns(g)) - p.begin;
    p.step = in_line ? g->stride[1] : 1;
    for (size_t at = 0; at < p.count;) {
        const int64_t pixel = in_row / batch;
        const int64_t end = in_line ? width : (pixel + 1) * batch;
        const size_t left = p.count - at, run = (size_t)(end - in_row);
        const size_t count = run < left ? run : left;
        p.stretch[p.stretches++] = (struct dc_stretch){
            at, count, in_row, row * g->stride[0],
            pixel * g->stride[1] * batch + in_row % batch};
        at += count;
        in_row += (int64_t)count;
        if (in_row == width) {
            in_row = 0;
            row++;
        }
    }
    return p;
}

/* Asks for what rows [first, last) of the next tile are gathered from, while this one is multiplied:
 * a few lines here and there, which processors don't foresee. */
static void prefetch(const struct dc_geometry *g, const float *x, const struct dc_panel *panel,
                     size_t first, size_t last)
{
    const size_t places = (size_t)(g->kernel[0] * g->kernel[1]);
    const int64_t channel = g->height * g->width * g->batch;
    const int64_t reach = (g->kernel[1] - 1) * g->dilation[1] * g->batch;
    for (size_t c = first / places; c * places < last; c++)
        for (int64_t i = 0; i < g->kernel[0]; i++)
            for (size_t k = 0; k < panel->stretches; k++) {
                const struct dc_stretch *s = panel->stretch + k;
                const int64_t row = s->image_row + i * g->dilation[0] - g->padding[0];
                if (row < 0 || row >= g->height)
                    continue;
                const float *from = x + (int64_t)c * channel + row * g->width * g->batch + s->from;
                const int64_t count = (int64_t)s->count * panel->step + reach;
                for (int64_t n = 0; n < count; n += LINE)
                    DC_PREFETCH(from + n);
            }
}

/* Rows [first, last) of Y, within one group and of one chunk, in the columns of a panel. */
static int panel_product(const struct dc_convolution *c, const float *x,
                         const struct dc_panel *panel, size_t first, size_t last, float *tile,
                         float *sums)
{
    const struct dc_column_blocks *w = c->w;
    const size_t cols = (size_t)w->cols, stride = panel->vectors * DC_VECTOR;
    const size_t parts = ((size_t)w->rows + DC_PART_ROWS - 1) / DC_PART_ROWS;
    const size_t image = (size_t)(c->geometry.height * c->geometry.width * c->geometry.batch);
    const int is_large = (size_t)c->geometry.channels * image > CACHED;
    int is_finite = 1;
    if (cols == 0)
        memset(sums, 0, (last - first) * stride * sizeof *sums);
    for (size_t block = 0, begin = 0; begin < cols; block++, begin += w->block_cols) {
        const size_t end = least(begin + w->block_cols, cols);
        c->kernels->gather(&c->geometry, x, panel, begin, end, tile);
        if (is_large)
            prefetch(&c->geometry, x, panel, end, least(end + w->block_cols, cols));
        if (w->dense) {
            c->kernels->dense(w->dense + first * cols + begin, cols, last - first, end - begin,
                              tile, sums, panel->vectors, block == 0);
            continue;
        }
        const uint16_t *data = w->data + w->starts[block * parts + first / DC_PART_ROWS];
        for (size_t skipped = first % DC_PART_ROWS; skipped > 0; skipped--)
            data += 1 + *data;
        c->kernels->block(data, last - first, w->codebook, tile, sums, panel->vectors, block == 0);
    }
    for (size_t row = first; row < last; row++, sums += stride)
        is_finite &= c->kernels->finish(c, sums, panel->count, c->bias ? c->bias[row] : 0.0f,
                            c->y + row * dc_columns(&c->geometry) + panel->begin);
    return is_finite;
}

/* The first row of a share of all rows, by their entries. */
static size_t first_row(const struct dc_column_blocks *w, size_t share, size_t shares)
{
    const size_t rows = (size_t)w->rows, parts = (rows + DC_PART_ROWS - 1) / DC_PART_ROWS;
    const size_t blocks = ((size_t)w->cols + w->block_cols - 1) / w->block_cols;
    if (share == shares)
        return rows;
    if (w->dense)
        return dc_begin(rows, share, shares);
    const uint64_t total = w->starts[parts * blocks];
    const uint64_t before = dc_begin(total, share, shares);
    uint64_t sum = 0;
    size_t part = 0;
    for (; part < parts && sum < before; part++)
        for (size_t block = 0; block < blocks; block++)
            sum += w->starts[block * parts + part + 1] - w->starts[block * parts + part];
    return least(part * DC_PART_ROWS, rows);
}

struct dc_convolution dc_convolution_of(enum dc_isa isa, const struct dc_column_blocks *w,
                                        const struct dc_geometry *g, const float *x,
                                        const float *bias, int relu, float *y)
{
    struct dc_convolution c = {.kernels = dc_kernels_of(isa), .w = w, .geometry = *g, .x = x,
                               .bias = bias, .relu = relu, .high = INFINITY, .y = y};
    /* Without anything to gather, an image is one row, and its runs are as long as they can be. */
    if (g->kernel[0] == 1 && g->kernel[1] == 1 && g->stride[0] == 1 && g->stride[1] == 1 &&
        g->out_height == g->height && g->out_width == g->width && g->padding[0] == 0 &&
        g->padding[1] == 0) {
        c.geometry.height = c.geometry.out_height = 1;
        c.geometry.width = c.geometry.out_width = g->height * g->width;
    }
    const size_t vectors = (dc_columns(g) + DC_VECTOR - 1) / DC_VECTOR;
    c.panels = (vectors + panel_vectors(w) - 1) / panel_vectors(w);
    return c;
}

int dc_convolve_piece(const struct dc_convolution *c, size_t begin, size_t end, size_t share,
                      size_t shares, void *scratch)
{
    const struct dc_column_blocks *w = c->w;
    const struct dc_geometry *g = &c->geometry;
    const size_t last = first_row(w, share + 1, shares);
    const size_t group_rows = (size_t)(w->rows / g->groups);
    const size_t group_size = (size_t)(g->channels / g->groups * g->height * g->width * g->batch);
    const size_t vectors = (dc_columns(g) + DC_VECTOR - 1) / DC_VECTOR;
    float *tile = (float *)(((uintptr_t)scratch + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    float *sums = tile + w->block_cols * panel_vectors(w) * DC_VECTOR;
    int is_finite = 1;
    for (size_t row = first_row(w, share, shares); row < last;) {
        const size_t group = row / group_rows;
        const size_t chunk = least(least(row + CHUNK_ROWS, (group + 1) * group_rows), last);
        for (size_t i = begin; i < end; i++) {
            /* Of about the same width, so that none is much less efficient. */
            const struct dc_panel panel =
                panel_of(g, vectors * i / c->panels, vectors * (i + 1) / c->panels);
            is_finite &=
                panel_product(c, c->x + group * group_size, &panel, row, chunk, tile, sums);
        }
        row = chunk;
    }
    return is_finite;
}

size_t dc_convolve_scratch(const struct dc_column_blocks *w)
{
    const size_t rows = least((size_t)w->rows, CHUNK_ROWS) + w->block_cols;
    const size_t bytes = rows * panel_vectors(w) * DC_VECTOR * sizeof(float);
    return (bytes + 2 * ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* A convolution in pieces, `across` of the panels or `along` of the rows. */
struct pieces {
    struct dc_convolution convolution;
    size_t across, along, scratch_each;
    char *scratch;
};

static void do_pieces(void *context, size_t first, size_t end, size_t thread)
{
    const struct pieces *p = context;
    const struct dc_convolution *c = &p->convolution;
    char *scratch = p->scratch + thread * p->scratch_each;
    if (p->along == 1) /* neighbouring columns at once */
        dc_convolve_piece(c, c->panels * first / p->across, c->panels * end / p->across, 0, 1,
                          scratch);
    else if (end - first == p->along)
        dc_convolve_piece(c, 0, c->panels, 0, 1, scratch);
    else
        for (size_t row = first; row < end; row++)
            dc_convolve_piece(c, 0, c->panels, row, p->along, scratch);
}

enum dc_status dc_convolve(enum dc_isa isa, const struct dc_column_blocks *w,
                           const struct dc_geometry *g, const float *x, const float *bias,
                           int relu, float *y, const struct dc_team *team, void *scratch)
{
    if (!dc_isa_available(isa))
        return DC_NO_ISA;
    struct pieces p = {dc_convolution_of(isa, w, g, x, bias, relu, y), 1, 1,
                       dc_convolve_scratch(w), scratch};
    const size_t panels = p.convolution.panels, threads = dc_threads_of(team);
    const size_t tasks = dc_tasks_of(team, panels * (size_t)w->rows);
    /* A piece of columns has tiles of its own; but of few columns it would have narrow ones. Pieces
     * of rows copy the same tiles each. */
    if (panels >= 2 * threads)
        p.across = least(panels, tasks);
    else
        p.along = least(least(tasks, threads > 1 ? 2 * threads : 1), (size_t)w->rows);
    dc_deal(team, p.across * p.along, do_pieces, &p);
    return DC_OK;
}
