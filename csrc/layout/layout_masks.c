/* From the stream of gaps and labels to masks. spmv/masks.py defines the bytes. */
#include "layout/layout.h"
#include "layout/survivors.h"

void dc_layout_masks(const struct dc_tensor *w, const uint64_t *starts, uint8_t *data)
{
    const size_t of_row = dc_mask_count(w->cols);
    struct dc_survivors s = dc_survivors_of(w);
    uint8_t *labels = data;
    int64_t row = -1;
    int more = dc_next_survivor(&s);
    while (more) {
        if (s.row != row) {
            row = s.row;
            labels = data + starts[row];
        }
        const int64_t i = s.col / DC_MASK_COLS;
        uint8_t label_of_bit[DC_MASK_COLS] = {0};
        do {
            label_of_bit[dc_bit_of_column((unsigned)(s.col % DC_MASK_COLS))] = (uint8_t)s.label;
            more = dc_next_survivor(&s);
        } while (more && s.row == row && s.col / DC_MASK_COLS == i);
        uint8_t *mask = data + ((size_t)row * of_row + (size_t)i) * 8;
        for (unsigned bit = 0; bit < DC_MASK_COLS; bit++)
            if (label_of_bit[bit]) {
                mask[bit / 8] |= (uint8_t)(1u << bit % 8);
                *labels++ = label_of_bit[bit];
            }
    }
}
