/* Rows of W for products in tiles: the portable kernels. */
#include "layout/layout.h"
#include "spmv/spmm_tiled.h"

/* Without fillers and padding, whose label is 0. */
void dc_unpack_lanes(const struct dc_layout *w, size_t group, uint32_t *entries, size_t stride)
{
    const unsigned gap_bits = w->gap_bits, label_bits = w->label_bits;
    const uint32_t gap_mask = (1u << gap_bits) - 1, label_mask = (1u << label_bits) - 1;
    const size_t quad_bytes = dc_quad_bytes(gap_bits, label_bits);
    const uint8_t *end = w->data + w->starts[group + 1];
    for (size_t lane = 0; lane < DC_LANES; lane++) {
        uint32_t *to = entries + lane * stride, col = 0;
        for (const uint8_t *p = w->data + w->starts[group]; p < end; p += quad_bytes) {
            uint64_t gaps = dc_load_lane(p, lane, gap_bits);
            uint64_t labels = dc_load_lane(p + 8 * (size_t)gap_bits, lane, label_bits);
            for (unsigned step = 0; step < DC_STEPS; step++) {
                const uint32_t label = (uint32_t)labels & label_mask;
                col += (uint32_t)gaps & gap_mask;
                *to = col << 8 | label;
                to += label != 0;
                gaps >>= gap_bits;
                labels >>= label_bits;
            }
        }
        to[0] = to[1] = DC_END;
    }
}

/* In the order of columns, which isn't that of bits. */
void dc_unpack_masks(const struct dc_layout *w, size_t row, uint32_t *entries, size_t stride)
{
    (void)stride; /* of one row */
    const size_t of_row = dc_mask_count(w->cols);
    const uint8_t *masks = w->data + row * of_row * 8, *label = w->data + w->starts[row];
    for (size_t i = 0; i < of_row; i++) {
        uint8_t label_of[DC_MASK_COLS] = {0};
        for (uint64_t mask = dc_load8(masks + 8 * i); mask; mask &= mask - 1)
            label_of[dc_column_of_bit(dc_lowest_bit(mask))] = *label++;
        for (unsigned col = 0; col < DC_MASK_COLS; col++) {
            *entries = (uint32_t)(i * DC_MASK_COLS + col) << 8 | label_of[col];
            entries += label_of[col] != 0;
        }
    }
    entries[0] = entries[1] = DC_END;
}
