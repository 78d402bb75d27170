/* dc_column_counts, dc_layout_columns and dc_convolve, against their definitions.
 *
 * Centroids and x are small integers, so that all sums are exact in any order and results must be
 * equal to naive ones. */
#include "fuzz.h"

#define MAX_ENTRIES 255

static int64_t reach(const struct dc_geometry *g, int axis)
{
    return (g->kernel[axis] - 1) * g->dilation[axis] + 1;
}

/* The least side of an image that a kernel fits into. */
static int64_t least_side(const struct dc_geometry *g, int axis)
{
    const int64_t side = reach(g, axis) - 2 * g->padding[axis];
    return side > 0 ? side : 0;
}

static int64_t extent(int64_t size, const struct dc_geometry *g, int axis)
{
    return (size + 2 * g->padding[axis] - reach(g, axis)) / g->stride[axis] + 1;
}

/* Where and what the survivors are. */
struct weights {
    size_t count;
    int64_t row[MAX_ENTRIES], col[MAX_ENTRIES];
    unsigned label[MAX_ENTRIES];
};

static void decode(const struct dc_tensor *w, struct weights *found)
{
    int64_t position = -1;
    found->count = 0;
    for (size_t i = 0; i < (size_t)w->entries; i++) {
        position += packed_value(w->gaps, i, w->gap_bits) + 1;
        unsigned label = packed_value(w->labels, i, w->label_bits);
        if (label) {
            found->row[found->count] = position / w->cols;
            found->col[found->count] = position % w->cols;
            found->label[found->count++] = label;
        }
    }
}

/* One weight and one place of the output after the other. */
static void naive(const struct weights *weights, const float *codebook, const struct dc_geometry *g,
                  int64_t rows, const float *x, const float *bias, int relu, float *y)
{
    const size_t places = (size_t)(g->out_height * g->out_width), batch = (size_t)g->batch;
    for (size_t r = 0; r < (size_t)rows; r++)
        for (size_t p = 0; p < places * batch; p++)
            y[r * places * batch + p] = bias ? bias[r] : 0.0f;
    for (size_t i = 0; i < weights->count; i++) {
        const int64_t all = g->kernel[0] * g->kernel[1], place = weights->col[i] % all;
        const int64_t down = place / g->kernel[1] * g->dilation[0] - g->padding[0];
        const int64_t right = place % g->kernel[1] * g->dilation[1] - g->padding[1];
        const int64_t group = weights->row[i] / (rows / g->groups);
        const int64_t channel = group * (g->channels / g->groups) +
                                weights->col[i] / all;
        for (size_t p = 0; p < places; p++) {
            int64_t h = (int64_t)p / g->out_width * g->stride[0] + down;
            int64_t v = (int64_t)p % g->out_width * g->stride[1] + right;
            if (h < 0 || h >= g->height || v < 0 || v >= g->width)
                continue;
            for (size_t b = 0; b < batch; b++)
                y[((size_t)weights->row[i] * places + p) * batch + b] +=
                    codebook[weights->label[i]] *
                    x[(size_t)((channel * g->height + h) * g->width + v) * batch + b];
        }
    }
    for (size_t i = 0; relu && i < (size_t)rows * places * batch; i++)
        y[i] = y[i] < 0.0f ? 0.0f : y[i];
}

static void check_blocks(const struct weights *weights, const struct dc_column_blocks *w,
                         const uint16_t *counts, const int64_t *offsets)
{
    size_t seen = 0;
    for (size_t i = 0; i < weights->count; i++) {
        size_t block = (size_t)(weights->col[i] / w->block_cols);
        size_t at = block * (size_t)w->rows + (size_t)weights->row[i];
        size_t before = 0; /* of its row and block */
        for (size_t k = 0; k < i; k++)
            before += weights->row[k] == weights->row[i] &&
                      weights->col[k] / w->block_cols == weights->col[i] / w->block_cols;
        require(w->data[offsets[at]] == counts[at] && before < counts[at]);
        require(w->data[(size_t)offsets[at] + 1 + before] ==
                weights->col[i] % w->block_cols + 256 * weights->label[i]);
        seen++;
    }
    require(seen == weights->count);
}

static void convolve(const struct weights *weights, const struct dc_column_blocks *w,
                     const struct dc_geometry *g, const float *x, const float *bias, int relu,
                     size_t shares)
{
    const size_t y_bytes = (size_t)(w->rows * g->out_height * g->out_width * g->batch) * 4;
    const size_t scratch_bytes = shares * dc_convolve_scratch(w);
    const struct dc_team team = team_of(shares);
    float *expected = exact(y_bytes);
    naive(weights, w->codebook, g, w->rows, x, bias, relu, expected);
    for (int isa = 0; isa < DC_ISA_COUNT; isa++) {
        float *y = exact(y_bytes);
        void *scratch = exact(scratch_bytes);
        enum dc_status status =
            dc_convolve((enum dc_isa)isa, w, g, x, bias, relu, y, &team, scratch);
        require(status == (dc_isa_available((enum dc_isa)isa) ? DC_OK : DC_NO_ISA));
        for (size_t i = 0; status == DC_OK && i < y_bytes / 4; i++)
            require(y[i] == expected[i]);
        require(status == DC_OK || untouched((const uint8_t *)y, y_bytes));
        release(y, y_bytes);
        release(scratch, scratch_bytes);
    }
    release(expected, y_bytes);
}

/* The tensor in blocks, all of it in memory of exact size. */
static void arrange(const struct dc_tensor *t, const struct weights *weights, uint32_t block_cols,
                    const struct dc_geometry *g, const float *x, const float *bias, int relu,
                    size_t shares)
{
    const size_t rows = (size_t)t->rows, parts = (rows + 15) / 16;
    const size_t blocks = ((size_t)t->cols + block_cols - 1) / block_cols;
    const size_t count_bytes = blocks * rows * 2, offset_bytes = blocks * rows * 8;
    const size_t start_bytes = (blocks * parts + 1) * 8;
    uint16_t *counts = exact(count_bytes);
    int64_t *offsets = exact(offset_bytes);
    uint64_t *starts = exact(start_bytes);
    memset(counts, 0, count_bytes);
    dc_column_counts(t, block_cols, counts);
    size_t end = 0;
    for (size_t i = 0; i < blocks * rows; i++) {
        if (i % rows % 16 == 0)
            starts[i / rows * parts + i % rows / 16] = end;
        offsets[i] = (int64_t)end;
        end += 1 + counts[i];
    }
    starts[blocks * parts] = end;
    uint16_t *data = exact(2 * end);
    memset(data, 0, 2 * end);
    dc_layout_columns(t, block_cols, offsets, data);
    struct dc_column_blocks w = {t->rows, t->cols, t->codebook, data, starts, block_cols, NULL};
    require(end == weights->count + blocks * rows);
    check_blocks(weights, &w, counts, offsets);
    convolve(weights, &w, g, x, bias, relu, shares);
    release(data, 2 * end);
    release(counts, count_bytes);
    release(offsets, offset_bytes);
    release(starts, start_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct input in = {input, size};
    struct dc_geometry g = {0};
    const unsigned kernels = take(&in), strides = take(&in), paddings = take(&in);
    g.kernel[0] = kernels % 4 + 1;
    g.kernel[1] = (kernels + kernels / 4) % 4 + 1;
    g.stride[0] = strides % 4 + 1;
    g.stride[1] = (strides + strides / 4) % 4 + 1;
    g.padding[0] = paddings % 6;
    g.padding[1] = (paddings + paddings / 6) % 6;
    g.groups = take(&in) % 3 + 1;
    g.channels = g.groups * (take(&in) % 40);
    const unsigned batches = take(&in);
    g.batch = batches % 20;
    g.dilation[0] = batches / 20 % 2 + 1;
    g.dilation[1] = batches / 40 % 3 + 1;
    g.height = least_side(&g, 0) + take(&in) % 12;
    g.width = least_side(&g, 1) + take(&in) % 24;
    g.out_height = extent(g.height, &g, 0);
    g.out_width = extent(g.width, &g, 1);
    struct dc_tensor w = {.rows = g.groups * (take(&in) % 20)};
    w.cols = g.channels / g.groups * g.kernel[0] * g.kernel[1];
    const unsigned how = take(&in), widths = take(&in);
    w.label_bits = (uint8_t)(widths % 8 + 1);
    w.gap_bits = (uint8_t)(widths / 8 % 8 + 1);
    w.centroids = 1u << w.label_bits;
    w.entries = take(&in);

    const size_t label_bytes = ((size_t)w.entries * w.label_bits + 7) / 8;
    const size_t gap_bytes = ((size_t)w.entries * w.gap_bits + 7) / 8;
    const size_t x_bytes = (size_t)(g.channels * g.height * g.width * g.batch) * sizeof(float);
    const size_t bias_bytes = (size_t)w.rows * sizeof(float);
    uint8_t *gaps = take_exact(&in, gap_bytes), *labels = take_exact(&in, label_bytes);
    float *codebook = exact(w.centroids * sizeof(float));
    float *x = exact(x_bytes), *bias = exact(bias_bytes);
    for (uint32_t c = 0; c < w.centroids; c++)
        codebook[c] = c ? (float)((int)(c % 31) - 15) : 0.0f;
    for (size_t i = 0; i < x_bytes / sizeof *x; i++)
        x[i] = (float)((int)(i * 7 % 15) - 7);
    for (size_t r = 0; r < (size_t)w.rows; r++)
        bias[r] = (float)((int)(r % 9) - 4);
    w.gaps = gaps;
    w.labels = labels;
    w.codebook = codebook;
    size_t at;
    if (dc_validate(&w, &at) == DC_OK) {
        struct weights weights;
        decode(&w, &weights);
        arrange(&w, &weights, 64u << how % 3, &g, x, how & 4 ? bias : NULL, how >> 3 & 1,
                how / 16 % 3 + 1);
    }
    release(gaps, gap_bytes);
    release(labels, label_bytes);
    release(codebook, w.centroids * sizeof(float));
    release(x, x_bytes);
    release(bias, bias_bytes);
    return 0;
}
