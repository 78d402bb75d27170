/* The surviving weights of a packed tensor, one after the other. */
#ifndef DC_SURVIVORS_H
#define DC_SURVIVORS_H

#include "bits/bitreader.h"
#include "deepcompress.h"

struct dc_survivors {
    const struct dc_tensor *w;
    size_t next, end; /* the next entry, and where its eight end */
    uint64_t gaps, labels;
    int64_t row, col; /* of the survivor, or filler, read last */
    unsigned label;
};

static inline struct dc_survivors dc_survivors_of(const struct dc_tensor *w)
{
    return (struct dc_survivors){.w = w, .col = -1};
}

/* Those from an entry on, when the entry before it is `col` columns from the start of `row`. */
static inline struct dc_survivors dc_survivors_from(const struct dc_tensor *w, size_t entry,
                                                    int64_t row, int64_t col)
{
    struct dc_survivors s = {.w = w, .next = entry, .end = entry, .row = row, .col = col};
    const size_t entries = (size_t)w->entries, first = entry - entry % 8;
    if (first != entry) { /* in the midst of eight */
        s.gaps = dc_load_eight(w->gaps, first, entries, w->gap_bits) >> entry % 8 * w->gap_bits;
        s.labels =
            dc_load_eight(w->labels, first, entries, w->label_bits) >> entry % 8 * w->label_bits;
        s.end = dc_end_of_eight(first, entries);
    }
    return s;
}

/* 0 if it is known that no weight survives in the rows from `row` to before `end`, which may lie
 * beyond the last: else each of many empty rows would go through the same fillers. */
static inline int dc_may_survive(const struct dc_tensor *w, const struct dc_row *begins,
                                 size_t row, size_t end)
{
    const uint64_t after = end < (size_t)w->rows ? begins[end].entry : (uint64_t)w->entries;
    return row < (size_t)w->rows && begins[row].entry != after;
}

/* Moves on to the next survivor; 0 at the end. The place is followed as a column that
 * advances by gap + 1 and drops by `cols` at each row it passes, which saves a division
 * per entry. */
static inline int dc_next_survivor(struct dc_survivors *s)
{
    const struct dc_tensor *w = s->w;
    const unsigned gap_bits = w->gap_bits, label_bits = w->label_bits;
    do {
        if (s->next == s->end) {
            size_t entries = (size_t)w->entries;
            if (s->next == entries)
                return 0;
            s->gaps = dc_load_eight(w->gaps, s->next, entries, gap_bits);
            s->labels = dc_load_eight(w->labels, s->next, entries, label_bits);
            s->end = dc_end_of_eight(s->next, entries);
        }
        s->next++;
        s->col += ((unsigned)s->gaps & ((1u << gap_bits) - 1)) + 1;
        for (; s->col >= w->cols; s->col -= w->cols)
            s->row++;
        s->label = (unsigned)s->labels & ((1u << label_bits) - 1);
        s->gaps >>= gap_bits;
        s->labels >>= label_bits;
    } while (s->label == 0);
    return 1;
}

#endif
