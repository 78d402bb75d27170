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

/* How many columns entries take in all, fillers included: each its gap, and its own. */
static uint64_t columns_of(const struct dc_tensor *w, size_t end)
{
    const unsigned mask = (1u << w->gap_bits) - 1;
    uint64_t columns = end;
    for (size_t i = 0; i < end; i += 8) {
        uint64_t gaps = dc_load_block(w->gaps, i, (size_t)w->entries, w->gap_bits);
        for (size_t k = i; k < dc_block_end(i, end); k++, gaps >>= w->gap_bits)
            columns += gaps & mask;
    }
    return columns;
}

/* Where a share of the entries begins: at which one, and where the entry before it is. */
struct beginning {
    size_t entry;
    int64_t row, col;
};

static struct beginning begin_share(const struct dc_tensor *w, size_t share, size_t shares)
{
    if (share == 0 || w->cols == 0)
        return (struct beginning){0, share ? w->rows - 1 : -1, w->cols - 1};
    const size_t blocks = (size_t)w->entries / 8, entry = blocks / shares * share * 8;
    if (share == shares)
        return (struct beginning){(size_t)w->entries, w->rows - 1, w->cols - 1};
    const int64_t columns = (int64_t)columns_of(w, entry) - 1;
    return columns < 0 ? (struct beginning){0, -1, w->cols - 1}
                       : (struct beginning){entry, columns / w->cols, columns % w->cols};
}

/* A share's rows are those that begin among its entries, or after the entry before them. */
void dc_layout_counts(const struct dc_tensor *w, size_t share, size_t shares, uint32_t *counts,
                      struct dc_row *begins)
{
    const struct beginning from = begin_share(w, share, shares);
    const int64_t end = begin_share(w, share + 1, shares).row + 1;
    const size_t rows = (size_t)w->rows;
    uint64_t fillers[SHORT];
    find_fillers(fillers);
    struct dc_survivors s = dc_survivors_from(w, from.entry, from.row, from.col);
    struct dc_row begin = {from.entry, from.col - w->cols};
    int64_t row = from.row + 1;
    int more;
    while ((more = dc_next_survivor(&s)) && s.row < row)
        begin = (struct dc_row){s.next, s.col - w->cols};
    for (;;) {
        /* The entries before a row's first survivor are fillers, which the row may begin with. */
        for (; row < end && (!more || row <= s.row); row++) {
            begins[row] = begin;
            begin.before -= w->cols;
        }
        if (!more || s.row >= end)
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

/* As many values of a stream as a lane has steps in a block, and anything above them. */
static inline uint64_t four_at(const uint8_t *packed, size_t entry, unsigned width)
{
    const size_t bit = entry * width;
    return dc_load8(packed + bit / 8) >> bit % 8;
}

/* Where a lane's next block goes. */
struct place {
    uint8_t *group;
    const uint8_t *end;
    size_t lane;
};

/* Writes whole blocks as long as they are the stream's own entries, whose gaps are one less than
 * the layout's differences; `at` is the next entry and `col` the column of the one before. Most
 * are: if the stream has no filler there, the layout needs none, and the row goes on. */
static void lay_blocks(const struct dc_tensor *w, unsigned gap_bits, size_t *at, int64_t *col,
                       struct place *to)
{
    const unsigned label_bits = w->label_bits, largest = (1u << gap_bits) - 1;
    const unsigned gap_mask = (1u << w->gap_bits) - 1, label_mask = (1u << label_bits) - 1;
    const unsigned of_gaps = DC_STEPS * gap_bits, of_labels = DC_STEPS * label_bits;
    const size_t block_bytes = dc_block_bytes(gap_bits, label_bits);
    /* Neither are the stream's last bytes read, nor the group's last ones written. */
    while (to->end - to->group > (ptrdiff_t)block_bytes && (size_t)w->entries - *at >= 64) {
        const uint64_t gaps = four_at(w->gaps, *at, w->gap_bits);
        const uint64_t labels = four_at(w->labels, *at, label_bits);
        uint64_t packed = 0;
        unsigned others = 0;
        int64_t last = *col;
        for (unsigned step = 0; step < DC_STEPS; step++) {
            const unsigned d = ((unsigned)(gaps >> step * w->gap_bits) & gap_mask) + 1;
            others |= (d > largest) | ((labels >> step * label_bits & label_mask) == 0);
            packed |= (uint64_t)d << step * gap_bits;
            last += d;
        }
        if (others || last >= w->cols)
            return;
        or_bits(to->group, to->lane * of_gaps, of_gaps, packed, 0);
        or_bits(to->group + 8 * gap_bits, to->lane * of_labels, of_labels,
                labels & (((uint64_t)1 << of_labels) - 1), 0);
        to->group += block_bytes;
        *at += DC_STEPS;
        *col = last;
    }
}

static void lay_row(const struct dc_tensor *w, const struct dc_row *begin, int64_t row,
                    unsigned gap_bits, unsigned label_bits, struct place to)
{
    const uint32_t largest = (1u << gap_bits) - 1;
    struct dc_survivors s = dc_survivors_from(w, begin->entry, row, begin->before);
    struct steps steps = {0, 0};
    size_t step = 0, after = SIZE_MAX; /* the entry behind the one laid last, if that was whole */
    int64_t last = 0;
    int more = dc_next_survivor(&s) && s.row == row;
    while (more || step % DC_STEPS) {
        if (more && step % DC_STEPS == 0 && s.next - 1 == after && w->label_bits == label_bits) {
            lay_blocks(w, gap_bits, &after, &last, &to);
            s = dc_survivors_from(w, after, row, last);
            more = dc_next_survivor(&s) && s.row == row;
            after = SIZE_MAX;
            continue;
        }
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
            uint8_t *next = to.group + dc_block_bytes(gap_bits, label_bits);
            or_bits(to.group, to.lane * of_gaps, of_gaps, steps.gaps, next == to.end);
            or_bits(to.group + 8 * gap_bits, to.lane * of_labels, of_labels, steps.labels,
                    next == to.end);
            steps = (struct steps){0, 0};
            to.group = next;
        }
        after = label ? s.next : SIZE_MAX;
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
            const struct place to = {data + starts[group], data + starts[group + 1], lane};
            if (dc_may_survive(w, begins, row, (size_t)row + 1))
                lay_row(w, &begins[row], row, gap_bits, label_bits, to);
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
