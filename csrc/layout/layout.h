/* Measures of layouts. */
#ifndef DC_LAYOUT_H
#define DC_LAYOUT_H

#include "bits/bitreader.h"
#include "deepcompress.h"

#define DC_LANES 16      /* rows side by side */
#define DC_STEPS 4       /* entries of a lane in a quad */
#define DC_MASK_COLS 64  /* columns of a mask */
#define DC_TILED_ROWS 256 /* of a part in tiles */
#define DC_LISTED_ROWS 32 /* of a part in lists */

/* Rows of a part. */
static inline size_t dc_rows_of_part(const struct dc_layout *w)
{
    switch (w->kind) {
    case DC_LAYOUT_LANES: return DC_LANES;
    case DC_LAYOUT_TILES: return DC_TILED_ROWS;
    case DC_LAYOUT_LISTS: return DC_LISTED_ROWS;
    default: return 1;
    }
}

static inline size_t dc_parts(const struct dc_layout *w)
{
    return ((size_t)w->rows + dc_rows_of_part(w) - 1) / dc_rows_of_part(w);
}

/* The row in place `i` of all parts, one part behind the other. */
static inline size_t dc_row_in_place(const struct dc_layout *w, size_t i)
{
    return w->kind == DC_LAYOUT_LANES ? w->order[i] : i;
}

/* Bytes of a quad: DC_LANES * DC_STEPS gaps, then as many labels. */
static inline size_t dc_quad_bytes(unsigned gap_bits, unsigned label_bits)
{
    return 8 * ((size_t)gap_bits + label_bits);
}

static inline size_t dc_mask_count(int64_t cols)
{
    return ((size_t)cols + DC_MASK_COLS - 1) / DC_MASK_COLS;
}

/* The four values of a lane, the first one lowest; there may be anything above them. */
static inline uint64_t dc_load_lane(const uint8_t *packed, size_t lane, unsigned bits)
{
    size_t at = lane * DC_STEPS * bits;
    return dc_load8(packed + at / 8) >> at % 8;
}

/* The columns of a mask go round its bits in four turns of 16, so that byte k of dword l,
 * where labels are spread out by the mask, belongs to column 16 * k + l: what is left of
 * the dwords after k shifts meets 16 consecutive elements of x. */
static inline unsigned dc_bit_of_column(unsigned col)
{
    return col % 16 * 4 + col / 16;
}

static inline unsigned dc_column_of_bit(unsigned bit)
{
    return bit % 4 * 16 + bit / 4;
}

#endif
