/* dc_validate, against its definition; what passes is laid out and goes to every product there
 * is.
 *
 * Centroids and x are small integers, so that all sums are exact in any order and the products
 * must be equal to naive ones, not only close. What must not count is huge in the columns of x
 * in which no weight lies, and NaN between the rows of X. */
#include <float.h>
#include <math.h>

#include "fuzz.h"

#define MAX_CENTROIDS 256

/* The first entry that breaks a rule, labels first, or that all is well. `positions` has room
 * for all entries; those of a tensor that is valid are written. */
static enum dc_status check(const struct dc_tensor *w, int64_t *positions, size_t *at)
{
    for (size_t i = 0; i < (size_t)w->entries; i++)
        if (packed_value(w->labels, i, w->label_bits) >= w->centroids) {
            *at = i;
            return DC_BAD_LABEL;
        }
    uint64_t behind = 0; /* elements up to an entry, itself included; below 2**63 + 256 */
    for (size_t i = 0; i < (size_t)w->entries; i++) {
        behind += packed_value(w->gaps, i, w->gap_bits) + 1;
        if (behind > (uint64_t)(w->rows * w->cols)) {
            *at = i;
            return DC_BAD_POSITION;
        }
        positions[i] = (int64_t)behind - 1;
    }
    return DC_OK;
}

static float x_value(size_t col, size_t j)
{
    return (float)((int)((col * 7 + j * 3) % 15) - 7);
}

/* 1 for each column in which a weight lies. */
static uint8_t *used_columns(const struct dc_tensor *w, const int64_t *positions)
{
    uint8_t *used = calloc((size_t)w->cols + 1, 1);
    for (size_t i = 0; i < (size_t)w->entries; i++)
        if (packed_value(w->labels, i, w->label_bits))
            used[positions[i] % w->cols] = 1;
    return used;
}

/* Element (row, j) of the product. All at once, in `sums` of shape (rows, n). */
static void naive(const struct dc_tensor *w, const int64_t *positions, size_t n, float *sums)
{
    memset(sums, 0, (size_t)w->rows * n * sizeof *sums);
    for (size_t i = 0; i < (size_t)w->entries; i++) {
        unsigned label = packed_value(w->labels, i, w->label_bits);
        for (size_t j = 0; label && j < n; j++)
            sums[(size_t)(positions[i] / w->cols) * n + j] +=
                w->codebook[label] * x_value((size_t)(positions[i] % w->cols), j);
    }
}

static size_t matrix_bytes(size_t rows, size_t ld, size_t n)
{
    return rows && n ? ((rows - 1) * ld + n) * sizeof(float) : 0;
}

/* A layout and what it borrows. */
struct laid_out {
    struct dc_layout layout;
    uint8_t *data;
    uint64_t *starts;
    uint32_t *order;
    size_t data_bytes, starts_bytes, order_bytes, parts;
};

/* Rows in descending order of their counts, equal ones as they are. */
static void sort_rows(const uint32_t *counts, size_t rows, uint32_t *order)
{
    for (size_t r = 0; r < rows; r++) {
        size_t at = r;
        for (; at > 0 && counts[order[at - 1]] < counts[r]; at--)
            order[at] = order[at - 1];
        order[at] = (uint32_t)r;
    }
}

#define LISTS 9

/* The segments of 32 rows, which have one block of columns, in order of their heads. */
static void sort_heads(uint32_t *counts, uint32_t *heads)
{
    for (uint32_t r = 0; r < 32; r++) {
        const uint32_t head = (counts[r] & 0xffff) << 10 | counts[r] >> 16;
        size_t at = r;
        for (; at > 0 && heads[at - 1] >> 5 < head; at--)
            heads[at] = heads[at - 1];
        heads[at] = head << 5 | r;
    }
}

/* In lists; the columns are too few for more than one block. */
static struct laid_out lay_out_lists(const struct dc_tensor *w)
{
    const size_t rows = (size_t)w->rows;
    struct laid_out it = {.parts = (rows + 31) / 32};
    const size_t heads = 32 * it.parts, counts_bytes = heads * sizeof(uint32_t);
    const size_t places_bytes = 2 * heads * sizeof(uint64_t);
    it.order_bytes = sizeof *it.order;
    it.starts_bytes = (it.parts + 1) * sizeof *it.starts;
    it.order = exact(it.order_bytes);
    it.starts = exact(it.starts_bytes);
    uint32_t *all = exact(9 * rows * sizeof *all), *counts = exact(counts_bytes);
    uint32_t *order = exact(counts_bytes);
    uint64_t *places = exact(places_bytes);
    struct dc_row *begins = exact(rows * sizeof *begins);
    memset(all, 0, 9 * rows * sizeof *all);
    memset(counts, 0, counts_bytes);
    const struct dc_team team = team_of(1 + rows % 3);
    dc_layout_counts(w, all, begins, &team);
    dc_list_counts(w, begins, counts, &team);
    it.order[0] = 0;
    for (size_t r = 0; r < rows; r++)
        it.order[0] = all[r] > it.order[0] ? all[r] : it.order[0];
    it.starts[0] = 0;
    for (size_t p = 0; p < it.parts; p++) {
        uint64_t at = it.starts[p] + 32 * sizeof *order;
        sort_heads(counts + 32 * p, order + 32 * p);
        for (size_t i = 0; i < 32; i++) {
            const uint32_t head = order[32 * p + i], sixteens = head >> 15;
            places[2 * (32 * p + head % 32)] = at;
            at += 36 * sixteens + 48 * (head >> 5 & 1023);
            order[32 * p + i] = sixteens | (head >> 5 & 1023) << 10 | head % 32 << 20;
        }
        for (size_t i = 0; i < 32; i++) {
            places[2 * (32 * p + (order[32 * p + i] >> 20)) + 1] = at;
            at += 8 * (order[32 * p + i] >> 10 & 1023);
        }
        it.starts[p + 1] = at;
    }
    it.data_bytes = it.starts[it.parts] + 64;
    it.data = exact(it.data_bytes);
    memset(it.data, 0, it.data_bytes);
    for (size_t i = 0; i < heads; i++)
        for (size_t k = 0; k < 4; k++)
            it.data[it.starts[i / 32] + 4 * (i % 32) + k] = (uint8_t)(order[i] >> 8 * k);
    dc_layout_lists(w, begins, places, it.data, &team);
    it.layout = (struct dc_layout){DC_LAYOUT_LISTS, w->rows, w->cols, w->codebook, it.data,
                                   it.starts, it.order, w->centroids, 0, 8};
    release(all, 9 * rows * sizeof *all);
    release(counts, counts_bytes);
    release(order, counts_bytes);
    release(places, places_bytes);
    release(begins, rows * sizeof *begins);
    return it;
}

/* In lanes with gaps of 1 to 8 bits, or for 0 in masks, for LISTS in lists. */
static struct laid_out lay_out(const struct dc_tensor *w, unsigned way)
{
    if (way == LISTS)
        return lay_out_lists(w);
    const enum dc_layout_kind kind = way ? DC_LAYOUT_LANES : DC_LAYOUT_MASKS;
    const unsigned gap_bits = kind == DC_LAYOUT_LANES ? way : 0;
    size_t rows = (size_t)w->rows, masks = ((size_t)w->cols + 63) / 64;
    unsigned label_bits = 1;
    while (w->centroids > 1u << label_bits)
        label_bits++;
    struct laid_out it = {.parts = gap_bits ? (rows + 15) / 16 : rows};
    it.order_bytes = gap_bits ? rows * sizeof *it.order : 0;
    it.starts_bytes = (it.parts + 1) * sizeof *it.starts;
    it.order = exact(it.order_bytes);
    it.starts = exact(it.starts_bytes);
    uint32_t *counts = exact(9 * rows * sizeof *counts), *mine = counts + gap_bits * rows;
    struct dc_row *begins = exact(rows * sizeof *begins);
    memset(counts, 0, 9 * rows * sizeof *counts);
    const struct dc_team team = team_of(1 + rows % 3);
    dc_layout_counts(w, counts, begins, &team);
    if (gap_bits)
        sort_rows(mine, rows, it.order);
    it.starts[0] = kind == DC_LAYOUT_MASKS ? 8 * rows * masks : 0;
    for (size_t p = 0; p < it.parts; p++)
        it.starts[p + 1] = it.starts[p] + (gap_bits ? (mine[it.order[16 * p]] + 3) / 4 * 8 *
                                                          (gap_bits + label_bits)
                                                    : mine[p]);
    it.data_bytes = it.starts[it.parts] + 64;
    it.data = exact(it.data_bytes);
    memset(it.data, 0, it.data_bytes);
    if (gap_bits)
        dc_layout_lanes(w, gap_bits, label_bits, begins, it.order, it.starts, it.data, NULL);
    else
        dc_layout_masks(w, it.starts, it.data);
    for (size_t i = it.data_bytes - 64; i < it.data_bytes; i++)
        require(it.data[i] == 0);
    it.layout = (struct dc_layout){kind, w->rows, w->cols, w->codebook, it.data, it.starts, it.order,
                                   w->centroids, (uint8_t)gap_bits,
                                   (uint8_t)(gap_bits ? label_bits : 8)};
    release(counts, 9 * rows * sizeof *counts);
    release(begins, rows * sizeof *begins);
    return it;
}

/* `n` 0 stands for a vector, else the columns are n - 1; `it` NULL for no layout. */
static void multiply(int isa, const struct dc_tensor *w, const struct laid_out *it,
                     const int64_t *positions, const uint8_t *used, size_t n, size_t ldx,
                     size_t ldy)
{
    int is_vector = n == 0;
    n = is_vector ? 1 : n - 1;
    ldx = is_vector ? 1 : n + ldx;
    ldy = is_vector ? 1 : n + ldy;
    size_t rows = (size_t)w->rows, cols = (size_t)w->cols;
    size_t x_bytes = matrix_bytes(cols, ldx, n), y_bytes = matrix_bytes(rows, ldy, n);
    float *x = exact(x_bytes), *y = exact(y_bytes), *sums = malloc(rows * n * sizeof *sums + 1);
    for (size_t i = 0; i < x_bytes / sizeof *x; i++)
        x[i] = i % ldx >= n ? NAN : used[i / ldx] ? x_value(i / ldx, i % ldx) : FLT_MAX;
    naive(w, positions, n, sums);

    enum dc_status status = DC_OK;
    if (!it && is_vector)
        dc_spmv_plain(w, x, y);
    else if (!it)
        dc_spmm_plain(w, x, ldx, y, ldy, n);
    else {
        size_t scratch_bytes = dc_isa_available((enum dc_isa)isa)
                                   ? dc_spmm_scratch((enum dc_isa)isa, &it->layout)
                                   : 0;
        void *scratch = exact(scratch_bytes);
        /* In two steps, since a result doesn't depend on them. */
        for (size_t k = 0; k < 2; k++) {
            size_t first = k ? it->parts / 2 : 0, last = k ? it->parts : it->parts / 2;
            status = is_vector
                         ? dc_spmv((enum dc_isa)isa, &it->layout, x, y, first, last)
                         : dc_spmm((enum dc_isa)isa, &it->layout, x, ldx, y, ldy, n, first, last,
                                   scratch);
        }
        release(scratch, scratch_bytes);
    }
    require(status == (!it || dc_isa_available((enum dc_isa)isa) ? DC_OK : DC_NO_ISA));
    for (size_t i = 0; i < y_bytes / sizeof *y; i++) {
        if (status == DC_OK && i % ldy < n)
            require(y[i] == sums[i / ldy * n + i % ldy]);
        else
            require(untouched((const uint8_t *)(y + i), sizeof *y));
    }
    release(x, x_bytes);
    release(y, y_bytes);
    free(sums);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct dc_tensor w = {0};
    unsigned widths = take(&in), large = take(&in);
    w.label_bits = (uint8_t)(widths % 8 + 1);
    w.gap_bits = (uint8_t)(widths / 8 % 8 + 1);
    w.centroids = take(&in) % (1u << w.label_bits) + 1;
    w.rows = take(&in);
    w.cols = take(&in);
    /* Few columns for large tensors: what the fuzzer does in a second counts. */
    size_t most = 600 / (size_t)(w.rows + w.cols + 1) + 1;
    size_t n = take(&in) % (most < 20 ? most : 20), ldx = take(&in) % 3, ldy = take(&in) % 3;
    if (large == 1) /* too large for a product, not for the validator */
        w.rows = w.cols ? INT64_MAX / w.cols : INT64_MAX;
    w.entries = take(&in);

    size_t label_bytes = ((size_t)w.entries * w.label_bits + 7) / 8;
    size_t gap_bytes = ((size_t)w.entries * w.gap_bits + 7) / 8;
    size_t codebook_bytes = w.centroids * sizeof(float);
    uint8_t *gaps = take_exact(&in, gap_bytes), *labels = take_exact(&in, label_bytes);
    float *codebook = exact(codebook_bytes);
    for (uint32_t c = 0; c < w.centroids; c++)
        codebook[c] = c ? (float)((int)(c % 31) - 15) : 0.0f;
    w.gaps = gaps;
    w.labels = labels;
    w.codebook = codebook;

    int64_t positions[MAX_CENTROIDS];
    size_t at = SIZE_MAX, expected_at = SIZE_MAX;
    enum dc_status status = dc_validate(&w, &at);
    require(status == check(&w, positions, &expected_at));
    require(at == expected_at);
    if (status == DC_OK && large != 1) {
        uint8_t *used = used_columns(&w, positions);
        multiply(0, &w, NULL, positions, used, 0, 0, 0);
        multiply(0, &w, NULL, positions, used, n + 1, ldx, ldy);
        const unsigned way = large % (LISTS + 1);
        if (way || w.centroids <= 32) {
            struct laid_out it = lay_out(&w, way);
            for (int isa = 0; isa < DC_ISA_COUNT; isa++) {
                multiply(isa, &w, &it, positions, used, 0, 0, 0);
                multiply(isa, &w, &it, positions, used, n + 1, ldx, ldy);
            }
            release(it.data, it.data_bytes);
            release(it.starts, it.starts_bytes);
            release(it.order, it.order_bytes);
        }
        free(used);
    }
    release(gaps, gap_bytes);
    release(labels, label_bytes);
    release(codebook, codebook_bytes);
    return 0;
}
