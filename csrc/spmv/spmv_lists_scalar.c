/* Products from a layout in lists: the portable kernels.
 *
 * What fills up the last eight of a row has the weight 0 and thus adds nothing, as x is finite. */
#include <string.h>

#include "platform.h"
#include "spmv/spmm_tiled.h"
#include "spmv/spmv.h"
#include "spmv/spmv_lists.h"

/* The weight `k` of eight, whose columns begin at p. */
static inline float weight_at(const uint8_t *p, size_t k)
{
    float weight;
    const uint32_t bits = dc_load4(p + DC_EIGHT * sizeof(uint16_t) + k * sizeof bits);
    memcpy(&weight, &bits, sizeof weight);
    return weight;
}

/* The label of four `k` of sixteen entries. */
static inline unsigned label_at(const uint8_t *p, size_t k)
{
    return p[DC_SIXTEEN * sizeof(uint16_t) + k];
}

static inline float segment_product(const float *codebook, struct dc_segment s, const float *x)
{
    float sum[DC_EIGHT] = {0.0f};
    for (; s.sixteens < s.eights; s.sixteens += DC_SIXTEEN_BYTES) {
        DC_UNROLL /* or the sums are in memory, where compilers don't know which ones are next */
        for (size_t k = 0; k < DC_SIXTEEN; k += 4) {
            const float weight = codebook[label_at(s.sixteens, k / 4)];
            float *const own = sum + k % DC_EIGHT;
            for (size_t i = 0; i < 4; i++)
                own[i] = dc_multiply_add(weight, x[dc_col_at(s.sixteens, k + i)], own[i]);
        }
    }
    for (; s.eights < s.end; s.eights += DC_EIGHT_BYTES)
        for (size_t k = 0; k < DC_EIGHT; k++)
            sum[k] = dc_multiply_add(weight_at(s.eights, k), x[dc_col_at(s.eights, k)], sum[k]);
    return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

void dc_spmv_lists_scalar(const struct dc_layout *w, const float *x, float *y, size_t first,
                          size_t last)
{
    dc_lists_product(w, x, y, first, last, segment_product);
}

static inline void add_row(float weight, const float *from, float *restrict to, size_t n)
{
    for (size_t j = 0; j < n; j++)
        to[j] = dc_multiply_add(weight, from[j], to[j]);
}

void dc_spmm_lists_scalar(const struct dc_layout *w, const float *x, size_t ldx, float *y,
                          size_t ldy, size_t n, size_t first, size_t last, void *scratch)
{
    const size_t blocks = dc_block_count(w->cols), width = dc_block_width(w->cols);
    (void)scratch;
    for (size_t part = first; part < last; part++) {
        const size_t row = part * DC_LISTED_ROWS, left = (size_t)w->rows - row;
        const size_t rows = left < DC_LISTED_ROWS ? left : DC_LISTED_ROWS;
        const uint8_t *head = w->data + w->starts[part];
        const uint8_t *p = head + blocks * DC_LISTED_ROWS * DC_HEAD_BYTES;
        for (size_t r = 0; r < rows; r++)
            memset(y + (row + r) * ldy, 0, n * sizeof *y);
        for (size_t b = 0; b < blocks; b++, head += DC_LISTED_ROWS * DC_HEAD_BYTES)
            for (size_t r = 0; r < rows; r++) {
                struct dc_segment s = dc_segment_at(head + r * DC_HEAD_BYTES, p);
                const float *own = x + b * width * ldx;
                float *to = y + (row + s.row) * ldy;
                p = s.end;
                for (; s.sixteens < s.eights; s.sixteens += DC_SIXTEEN_BYTES)
                    for (size_t k = 0; k < DC_SIXTEEN; k++)
                        add_row(w->codebook[label_at(s.sixteens, k / 4)],
                                own + dc_col_at(s.sixteens, k) * ldx, to, n);
                for (; s.eights < s.end; s.eights += DC_EIGHT_BYTES)
                    for (size_t k = 0; k < DC_EIGHT; k++)
                        add_row(weight_at(s.eights, k), own + dc_col_at(s.eights, k) * ldx, to, n);
            }
    }
}

/* The weights of a segment by their columns: a bit for each, and its label. */
struct spread {
    uint64_t bits[DC_BLOCK_COLS / 64];
    uint8_t labels[DC_BLOCK_COLS]; /* of no meaning where there is no bit */
};

static inline void spread_out(struct spread *to, unsigned col, unsigned label)
{
    to->labels[col] = (uint8_t)label;
    to->bits[col / 64] |= UINT64_C(1) << col % 64;
}

/* Writes a segment's entries in order of columns, which begin at `first`; returns their number. */
static size_t unpack_segment(struct dc_segment s, const uint8_t *labels, size_t first,
                             uint32_t *entries)
{
    struct spread by_col;
    memset(by_col.bits, 0, sizeof by_col.bits);
    for (const uint8_t *p = s.sixteens; p < s.eights; p += DC_SIXTEEN_BYTES)
        for (size_t k = 0; k < DC_SIXTEEN; k++)
            spread_out(&by_col, dc_col_at(p, k), label_at(p, k / 4));
    for (const uint8_t *p = s.eights; p < s.end; p += DC_EIGHT_BYTES)
        for (size_t k = 0; k < DC_EIGHT; k++, labels++)
            if (*labels) /* else a weight in column 0 would lose its own */
                spread_out(&by_col, dc_col_at(p, k), *labels);
    uint32_t *to = entries;
    for (size_t i = 0; i < DC_BLOCK_COLS / 64; i++)
        for (uint64_t bits = by_col.bits[i]; bits; bits &= bits - 1) {
            const size_t col = 64 * i + (size_t)__builtin_ctzll(bits);
            *to++ = (uint32_t)(first + col) << 8 | by_col.labels[col];
        }
    return (size_t)(to - entries);
}

/* Without what fills up a row, whose label is 0. */
void dc_unpack_lists(const struct dc_layout *w, size_t part, uint32_t *entries, size_t stride)
{
    const size_t blocks = dc_block_count(w->cols), width = dc_block_width(w->cols);
    const uint8_t *head = w->data + w->starts[part], *labels = dc_labels_of_eights(w, part);
    const uint8_t *p = head + blocks * DC_LISTED_ROWS * DC_HEAD_BYTES;
    size_t counts[DC_LISTED_ROWS] = {0};
    for (size_t b = 0; b < blocks; b++)
        for (size_t r = 0; r < DC_LISTED_ROWS; r++, head += DC_HEAD_BYTES) {
            const struct dc_segment s = dc_segment_at(head, p);
            uint32_t *const to = entries + s.row * stride + counts[s.row];
            counts[s.row] += unpack_segment(s, labels, b * width, to);
            labels += (size_t)(s.end - s.eights) / DC_EIGHT_BYTES * DC_EIGHT;
            p = s.end;
        }
    for (size_t r = 0; r < DC_LISTED_ROWS; r++)
        entries[r * stride + counts[r]] = entries[r * stride + counts[r] + 1] = DC_END;
}
