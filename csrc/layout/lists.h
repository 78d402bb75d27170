/* Measures of the layout in lists, which spmv/lists.py defines. */
#ifndef DC_LISTS_H
#define DC_LISTS_H

#include "layout/layout.h"

#define DC_BLOCK_COLS 5120 /* of a block, at most: 20 KiB of x */
#define DC_SIXTEEN 16      /* entries: columns, then a label for each four */
#define DC_SIXTEEN_BYTES (DC_SIXTEEN * sizeof(uint16_t) + DC_SIXTEEN / 4)
#define DC_EIGHT 8         /* entries: columns, then weights */
#define DC_EIGHT_BYTES (DC_EIGHT * (sizeof(uint16_t) + sizeof(float)))
#define DC_HEAD_BYTES 4    /* of a segment: 10 bits for its sixteens, 10 for its eights, and its row */

static inline size_t dc_block_count(int64_t cols)
{
    const size_t blocks = ((size_t)cols + DC_BLOCK_COLS - 1) / DC_BLOCK_COLS;
    return blocks ? blocks : 1;
}

/* Columns of a block, but perhaps of the last one. */
static inline size_t dc_block_width(int64_t cols)
{
    const size_t blocks = dc_block_count(cols);
    return cols ? ((size_t)cols + blocks - 1) / blocks : 1;
}

/* What a row has in a block. */
struct dc_segment {
    const uint8_t *sixteens, *eights, *end;
    size_t row; /* of the part */
};

static inline size_t dc_eights_of(uint32_t head)
{
    return head >> 10 & 1023;
}

/* The segment at `p`, with its head. */
static inline struct dc_segment dc_segment_at(const uint8_t *head, const uint8_t *p)
{
    const uint32_t bits = dc_load4(head);
    const uint8_t *eights = p + (bits & 1023) * DC_SIXTEEN_BYTES;
    return (struct dc_segment){p, eights, eights + dc_eights_of(bits) * DC_EIGHT_BYTES, bits >> 20};
}

/* The labels of a part's eights, in their order, behind the segments. */
static inline const uint8_t *dc_labels_of_eights(const struct dc_layout *w, size_t part)
{
    const uint8_t *head = w->data + w->starts[part];
    size_t eights = 0;
    for (size_t i = 0; i < dc_block_count(w->cols) * DC_LISTED_ROWS; i++)
        eights += dc_eights_of(dc_load4(head + i * DC_HEAD_BYTES));
    return w->data + w->starts[part + 1] - eights * DC_EIGHT;
}

static inline unsigned dc_col_at(const uint8_t *cols, size_t k)
{
    return (unsigned)cols[2 * k] | (unsigned)cols[2 * k + 1] << 8;
}

#endif
