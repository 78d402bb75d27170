/* From the stream of gaps and labels to a layout for products. layout.py defines the bytes. */
#include <string.h>

#include "bitreader.h"
#include "layout.h"
#include "survivors.h"

/* Fillers before an entry of a difference of less than 256, a byte for each width from 1 to 8.
 * Bytes of several entries are summed up in 16 bits: those of even widths, and of odd ones. */
#define SHORT 256
#define EVERY_OTHER 0x00ff00ff00ff00ffu
#define MOST_SUMS 257 /* of at most 254 */

static void find_fillers(uint64_t *fillers)
{
    for (uint32_t d = 0; d < SHORT; d++) {
        fillers[d] = 0;
        for (unsigned bits = 1; bits <= 8 && d >= 1u << bits; bits++)
            fillers[d] |= (uint64_t)((d - 1) / ((1u << bits) - 1)) << (8 * (bits - 1));
    }
}

void dc_layout_counts(const struct dc_tensor *w, uint32_t *counts, struct dc_row *begins)
{
    const size_t rows = (size_t)w->rows;
    memset(counts, 0, 9 * rows * sizeof *counts);
    uint64_t fillers[SHORT];
    find_fillers(fillers);
    struct dc_survivors s = dc_survivors_of(w);
    struct dc_row begin = {0, -1};
    size_t row = 0;
    int more = dc_next_survivor(&s);
    for (;;) {
        /* The entries before a row's first survivor are fillers, which the row may begin with. */
        for (; row < rows && (!more || row <= (size_t)s.row); row++) {
            begins[row] = begin;
            begin.before -= w->cols;
        }
        if (!more)
            break;
        uint32_t *count = counts + s.row;
        const int64_t current = s.row;
        int64_t last = 0;
        while (more && s.row == current) {
            uint64_t odd = 0, even = 0;
            unsigned n = 0;
            for (; n < MOST_SUMS; n++) {
                uint32_t d = (uint32_t)(s.col - last);
                last = s.col;
                if (d < SHORT) {
                    odd += fillers[d] & EVERY_OTHER;
                    even += fillers[d] >> 8 & EVERY_OTHER;
                } else {
                    for (unsigned bits = 1; bits <= 8; bits++)
                        count[bits * rows] += (d - 1) / ((1u << bits) - 1);
                }
                begin = (struct dc_row){s.next, s.col - w->cols};
                more = dc_next_survivor(&s);
                if (!more || s.row != current) {
                    n++;
                    break;
                }
            }
            count[0] += n;
            for (unsigned bits = 1; bits <= 8; bits++)
                count[bits * rows] += n + ((bits % 2 ? odd : even) >> (bits - 1) / 2 * 16 & 0xffff);
        }
    }
}

/* The steps of a lane in a block, as they are packed side by side. */
struct steps {
    uint64_t gaps, labels;
};

static inline void or_bits(uint8_t *packed, size_t at, unsigned size, uint64_t value, int is_last)
{
    packed += at / 8;
    value <<= at % 8;
    if (!is_last) { /* there is another block of the group behind, so this thread's own */
        dc_store8(packed, dc_load8(packed) | value);
        return;
    }
    for (size_t k = 0; k < (size + at % 8 + 7) / 8; k++)
        packed[k] |= (uint8_t)(value >> (8 * k));
}

static void lay_row(const struct dc_tensor *w, const struct dc_row *begin, int64_t row,
                    unsigned gap_bits, unsigned label_bits, size_t lane, uint8_t *group,
                    const uint8_t *end)
{
    const uint32_t largest = (1u << gap_bits) - 1;
    const size_t block_bytes = dc_block_bytes(gap_bits, label_bits);
    struct dc_survivors s = dc_survivors_from(w, begin->entry, row, begin->before);
    struct steps steps = {0, 0};
    size_t step = 0;
    int64_t last = 0;
    int more = dc_next_survivor(&s) && s.row == row;
    while (more || step % DC_STEPS) {
        uint32_t d = 0;
        unsigned label = 0;
        if (more) {
            d = (uint32_t)(s.col - last);
            label = d <= largest ? s.label : 0;
            d = d <= largest ? d : largest;
            last += d;
        }
        steps.gaps |= (uint64_t)d << step % DC_STEPS * gap_bits;
        steps.labels |= (uint64_t)label << step % DC_STEPS * label_bits;
        if (++step % DC_STEPS == 0) {
            const unsigned of_gaps = DC_STEPS * gap_bits, of_labels = DC_STEPS * label_bits;
            uint8_t *next = group + block_bytes;
            or_bits(group, lane * of_gaps, of_gaps, steps.gaps, next == end);
            or_bits(group + 8 * gap_bits, lane * of_labels, of_labels, steps.labels, next == end);
            steps = (struct steps){0, 0};
            group = next;
        }
        if (label)
            more = dc_next_survivor(&s) && s.row == row;
    }
}

void dc_layout_lanes(const struct dc_tensor *w, unsigned gap_bits, unsigned label_bits,
                     const struct dc_row *begins, const uint32_t *order, const uint64_t *starts,
                     size_t first, size_t last, uint8_t *data)
{
    const size_t rows = (size_t)w->rows;
    for (size_t group = first; group < last; group++)
        for (size_t lane = 0; lane < DC_LANES && group * DC_LANES + lane < rows; lane++) {
            const uint32_t row = order[group * DC_LANES + lane];
            lay_row(w, &begins[row], row, gap_bits, label_bits, lane, data + starts[group],
                    data + starts[group + 1]);
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
