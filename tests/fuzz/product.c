/* dc_validate, against its definition; what passes goes to every product there is.
 *
 * Centroids and x are small integers, so that all sums are exact in any order and the products
 * must be equal to naive ones, not only close. What must not count is NaN: codebook[0], the
 * elements of x in whose columns only fillers lie, and those between the rows of X. */
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
    __extension__ __int128 position = -1;
    for (size_t i = 0; i < (size_t)w->entries; i++) {
        position += packed_value(w->gaps, i, w->gap_bits) + 1;
        if (position >= w->rows * w->cols) {
            *at = i;
            return DC_BAD_POSITION;
        }
        positions[i] = (int64_t)position;
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

/* `n` 0 stands for a vector, else the columns are n - 1. */
static void multiply(enum dc_isa isa, const struct dc_tensor *w, const int64_t *positions,
                     const uint8_t *used, size_t n, size_t ldx, size_t ldy)
{
    int is_vector = n == 0;
    n = is_vector ? 1 : n - 1;
    ldx = is_vector ? 1 : n + ldx;
    ldy = is_vector ? 1 : n + ldy;
    size_t rows = (size_t)w->rows, cols = (size_t)w->cols;
    size_t x_bytes = matrix_bytes(cols, ldx, n), y_bytes = matrix_bytes(rows, ldy, n);
    float *x = exact(x_bytes), *y = exact(y_bytes), *sums = malloc(rows * n * sizeof *sums + 1);
    for (size_t i = 0; i < x_bytes / sizeof *x; i++)
        x[i] = i % ldx < n && used[i / ldx] ? x_value(i / ldx, i % ldx) : NAN;
    naive(w, positions, n, sums);

    enum dc_status status =
        is_vector ? dc_spmv(isa, w, x, y) : dc_spmm(isa, w, x, ldx, y, ldy, n);
    require(status == (dc_isa_available(isa) ? DC_OK : DC_NO_ISA));
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
        codebook[c] = c ? (float)((int)(c % 31) - 15) : NAN;
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
        for (int isa = 0; isa < DC_ISA_COUNT; isa++) {
            multiply((enum dc_isa)isa, &w, positions, used, 0, 0, 0);
            multiply((enum dc_isa)isa, &w, positions, used, n + 1, ldx, ldy);
        }
        free(used);
    }
    release(gaps, gap_bytes);
    release(labels, label_bytes);
    release(codebook, codebook_bytes);
    return 0;
}
