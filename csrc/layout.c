/* From the stream of gaps and labels to a layout for products. layout.py defines the bytes. */
#include <string.h>

#include "layout.h"
#include "survivors.h"

/* Difference of the column to that of the survivor before it in the row; the first one's to
 * column 0. */
struct place {
    int64_t row, col;
};

static uint32_t difference(struct place *last, const struct dc_survivors *s)
{
    int64_t from = s->row == last->row ? last->col : 0;
    *last = (struct place){s->row, s->col};
    return (uint32_t)(s->col - from);
}

void dc_layout_counts(const struct dc_tensor *w, uint32_t *counts)
{
    const size_t rows = (size_t)w->rows;
    memset(counts, 0, 9 * rows * sizeof *counts);
    struct dc_survivors s = dc_survivors_of(w);
    struct place last = {-1, 0};
    while (dc_next_survivor(&s)) {
        uint32_t d = difference(&last, &s);
        uint32_t *count = counts + s.row;
        ++*count;
        /* Until here the number of fillers; as a loop that ends early, since most
         * differences need fillers at the least widths only. */
        for (unsigned bits = 1; bits <= 8 && d >= 1u << bits; bits++)
            count[bits * rows] += (d - 1) / ((1u << bits) - 1);
    }
    for (unsigned bits = 1; bits <= 8; bits++)
        for (size_t r = 0; r < rows; r++)
            counts[bits * rows + r] += counts[r];
}

static void put(uint8_t *packed, size_t i, unsigned bits, unsigned value)
{
    size_t at = i * bits;
    packed += at / 8;
    unsigned shifted = value << at % 8;
    packed[0] |= (uint8_t)shifted;
    if (shifted >> 8)
        packed[1] |= (uint8_t)(shifted >> 8);
}

void dc_layout_lanes(const struct dc_tensor *w, unsigned gap_bits, unsigned label_bits,
                     const uint32_t *places, const uint64_t *starts, uint8_t *data)
{
    const uint32_t largest = (1u << gap_bits) - 1;
    const size_t block_bytes = dc_block_bytes(gap_bits, label_bits);
    struct dc_survivors s = dc_survivors_of(w);
    struct place last = {-1, 0};
    uint8_t *group = data;
    size_t lane = 0, step = 0;
    while (dc_next_survivor(&s)) {
        if (s.row != last.row) {
            group = data + starts[places[s.row] / DC_LANES];
            lane = places[s.row] % DC_LANES;
            step = 0;
        }
        uint32_t d = difference(&last, &s);
        for (; d > largest; d -= largest, step++)
            put(group + step / DC_STEPS * block_bytes, lane * DC_STEPS + step % DC_STEPS, gap_bits,
                largest);
        uint8_t *block = group + step / DC_STEPS * block_bytes;
        size_t i = lane * DC_STEPS + step % DC_STEPS;
        put(block, i, gap_bits, d);
        put(block + 8 * gap_bits, i, label_bits, s.label);
        step++;
    }
}

void dc_layout_masks(const struct dc_tensor *w, const uint64_t *starts, uint8_t *data)
{
    const size_t blocks = dc_mask_blocks(w->cols);
    struct dc_survivors s = dc_survivors_of(w);
    uint8_t *labels = data;
    int64_t row = -1;
    int more = dc_next_survivor(&s);
    while (more) {
        if (s.row != row) {
            row = s.row;
            labels = data + starts[row];
        }
        const int64_t block = s.col / DC_MASK_COLS;
        uint8_t in_block[DC_MASK_COLS] = {0};
        do {
            in_block[dc_bit_of_column((unsigned)(s.col % DC_MASK_COLS))] = (uint8_t)s.label;
            more = dc_next_survivor(&s);
        } while (more && s.row == row && s.col / DC_MASK_COLS == block);
        uint8_t *mask = data + ((size_t)row * blocks + (size_t)block) * 8;
        for (unsigned bit = 0; bit < DC_MASK_COLS; bit++)
            if (in_block[bit]) {
                mask[bit / 8] |= (uint8_t)(1u << bit % 8);
                *labels++ = in_block[bit];
            }
    }
}
