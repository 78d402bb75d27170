/* From the stream of gaps and labels to column blocks, which spmv/column_blocks.py defines. */
#include "layout/survivors.h"

void dc_column_counts(const struct dc_tensor *w, uint32_t block_cols, uint16_t *counts)
{
    struct dc_survivors s = dc_survivors_of(w);
    while (dc_next_survivor(&s))
        counts[(size_t)(s.col / block_cols) * (size_t)w->rows + (size_t)s.row]++;
}

void dc_layout_columns(const struct dc_tensor *w, uint32_t block_cols, const int64_t *offsets,
                    uint16_t *data)
{
    struct dc_survivors s = dc_survivors_of(w);
    while (dc_next_survivor(&s)) {
        size_t block = (size_t)(s.col / block_cols);
        uint16_t *row = data + offsets[block * (size_t)w->rows + (size_t)s.row];
        row[0]++;
        row[row[0]] = (uint16_t)(s.col % block_cols + 256 * s.label);
    }
}
