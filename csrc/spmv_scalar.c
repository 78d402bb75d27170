/* Products straight from packed gaps and labels: the portable kernels.
 *
 * An entry's place is followed as a column that advances by gap + 1 and drops by
 * `cols` at each row it passes, which saves a division per entry. A filler adds
 * nothing, whatever x holds: a pruned weight is absent, not zero. */
#include <string.h>

#include "bitreader.h"
#include "spmv.h"

/* 0 for a filler. As a mask, because fillers come too irregularly for a branch: at a
 * density of 9 % and 4-bit gaps, every fifth entry is one, and a branch on it nearly
 * doubles the time. */
static float unless_filler(float product, unsigned label)
{
    uint32_t bits;
    memcpy(&bits, &product, sizeof bits);
    bits &= label ? UINT32_MAX : 0;
    memcpy(&product, &bits, sizeof product);
    return product;
}

void dc_spmv_scalar(const struct dc_tensor *w, const float *x, float *y)
{
    const size_t entries = (size_t)w->entries;
    const unsigned gap_mask = (1u << w->gap_bits) - 1, label_mask = (1u << w->label_bits) - 1;
    int64_t row = 0, col = -1;
    float sum = 0.0f;
    for (size_t i = 0; i < entries;) {
        uint64_t gap_word = dc_load_block(w->gaps, i, entries, w->gap_bits);
        uint64_t label_word = dc_load_block(w->labels, i, entries, w->label_bits);
        for (size_t end = dc_block_end(i, entries); i < end; i++) {
            col += ((unsigned)gap_word & gap_mask) + 1;
            for (; col >= w->cols; col -= w->cols) {
                y[row++] = sum;
                sum = 0.0f;
            }
            unsigned label = (unsigned)label_word & label_mask;
            sum += unless_filler(w->codebook[label] * x[col], label);
            gap_word >>= w->gap_bits;
            label_word >>= w->label_bits;
        }
    }
    for (; row < w->rows; row++) {
        y[row] = sum;
        sum = 0.0f;
    }
}

void dc_spmm_scalar(const struct dc_tensor *w, const float *x, size_t ldx, float *y, size_t ldy,
                    size_t n)
{
    const size_t entries = (size_t)w->entries;
    const unsigned gap_mask = (1u << w->gap_bits) - 1, label_mask = (1u << w->label_bits) - 1;
    int64_t row = 0, col = -1;
    for (int64_t r = 0; r < w->rows; r++)
        memset(y + (size_t)r * ldy, 0, n * sizeof *y);
    for (size_t i = 0; i < entries;) {
        uint64_t gap_word = dc_load_block(w->gaps, i, entries, w->gap_bits);
        uint64_t label_word = dc_load_block(w->labels, i, entries, w->label_bits);
        for (size_t end = dc_block_end(i, entries); i < end; i++) {
            col += ((unsigned)gap_word & gap_mask) + 1;
            for (; col >= w->cols; col -= w->cols)
                row++;
            unsigned label = (unsigned)label_word & label_mask;
            if (label) {
                const float weight = w->codebook[label];
                const float *restrict from = x + (size_t)col * ldx;
                float *restrict to = y + (size_t)row * ldy;
                for (size_t j = 0; j < n; j++)
                    to[j] += weight * from[j];
            }
            gap_word >>= w->gap_bits;
            label_word >>= w->label_bits;
        }
    }
}
