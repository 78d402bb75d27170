/* How many entries rows have in lanes, and where they begin. spmv/lanes.py is the definition. */
#include "bits/bitreader.h"
#include "deepcompress.h"
#include "bits/fields.h"
#include "layout/survivors.h"
#include "pool/pool.h"

/* Fillers before an entry of a difference of at most 256, a byte for each width from 1 to 8.
 * Bytes of several entries are summed up in 16 bits: those of even widths, and of odd ones. */
#define SHORT 257
#define EVERY_OTHER 0x00ff00ff00ff00ffu
#define MOST_SUMS 257 /* of at most 255 */

static void find_fillers(uint64_t *fillers)
{
    for (uint32_t d = 0; d < SHORT; d++) {
        fillers[d] = 0;
        for (unsigned bits = 1; bits <= 8 && d >= 1u << bits; bits++)
            fillers[d] |= (uint64_t)((d - 1) / ((1u << bits) - 1)) << (8 * (bits - 1));
    }
}

/* Fillers that entries of a row need, by the width of gaps. */
struct sums {
    uint64_t odd, even;
    unsigned entries;
};

/* Of some entries, whose sums don't exceed a byte. */
static inline void add_fillers(struct sums *sums, uint64_t fillers, unsigned entries)
{
    sums->odd += fillers & EVERY_OTHER;
    sums->even += fillers >> 8 & EVERY_OTHER;
    sums->entries += entries;
}

/* Of four entries by their gaps; one is no more fillers than its gap. */
static inline uint64_t of_four(const uint64_t *fillers, uint64_t gaps, unsigned gap_bits)
{
    const unsigned mask = (1u << gap_bits) - 1;
    uint64_t sum = 0;
    for (unsigned k = 0; k < 4; k++)
        sum += fillers[(gaps >> k * gap_bits & mask) + 1];
    return sum;
}

/* Goes on by eight entries of the stream at a time that are all survivors of the row that the last
 * one is in, with sums of gaps that aren't large: most are, if the matrix isn't tiny. */
static void add_eights(struct sums *sums, const uint64_t *fillers, struct dc_survivors *s)
{
    const struct dc_tensor *w = s->w;
    const size_t entries = (size_t)w->entries;
    const unsigned gap_bits = w->gap_bits, label_bits = w->label_bits;
    const uint64_t ones = dc_field_ones(8, label_bits), low = ((uint64_t)1 << 4 * gap_bits) - 1;
    for (; sums->entries + 8 <= MOST_SUMS && entries - s->next >= 8; s->next += 8) {
        const uint64_t gaps = dc_load_eight(w->gaps, s->next, entries, gap_bits);
        const uint64_t labels = dc_load_eight(w->labels, s->next, entries, label_bits);
        const uint64_t fours = dc_sum_fours(gaps, gap_bits);
        const int64_t col = s->col + 8 + (int64_t)dc_sum_halves(fours, gap_bits);
        const int too_large = ((fours & low) | fours >> 4 * gap_bits) > UINT8_MAX;
        if (col >= w->cols || too_large || dc_zero_fields(labels, ones, label_bits))
            break;
        add_fillers(sums, of_four(fillers, gaps, gap_bits), 4);
        add_fillers(sums, of_four(fillers, gaps >> 4 * gap_bits, gap_bits), 4);
        s->col = col;
    }
    s->end = s->next;
}

/* How many columns entries take in all, fillers included: each its gap, and its own. */
static uint64_t columns_of(const struct dc_tensor *w, size_t end)
{
    const unsigned gap_bits = w->gap_bits;
    uint64_t columns = end; /* a multiple of 8, all before the last eight's end */
    for (size_t i = 0; i < end; i += 8)
        columns += dc_sum_halves(
            dc_sum_fours(dc_load_eight(w->gaps, i, (size_t)w->entries, gap_bits), gap_bits),
            gap_bits);
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
    const size_t entry = (size_t)w->entries / 8 / shares * share * 8;
    if (share == shares)
        return (struct beginning){(size_t)w->entries, w->rows - 1, w->cols - 1};
    const int64_t columns = (int64_t)columns_of(w, entry) - 1;
    return columns < 0 ? (struct beginning){0, -1, w->cols - 1}
                       : (struct beginning){entry, columns / w->cols, columns % w->cols};
}

/* A share's rows are those that begin among its entries, or after the entry before them. */
static void count_share(const struct dc_tensor *w, size_t share, size_t shares, uint32_t *counts,
                        struct dc_row *begins)
{
    const struct beginning from = begin_share(w, share, shares);
    const int64_t end = begin_share(w, share + 1, shares).row + 1;
    const size_t rows = (size_t)w->rows;
    uint64_t fillers[SHORT];
    find_fillers(fillers);
    const struct dc_tensor own = *w; /* a copy, which no count can change */
    struct dc_survivors s = dc_survivors_from(&own, from.entry, from.row, from.col);
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
            struct sums sums = {0, 0, 0};
            while (sums.entries < MOST_SUMS && more && s.row == current) {
                const uint32_t d = (uint32_t)(s.col - last);
                if (d < SHORT) {
                    add_fillers(&sums, fillers[d], 1);
                } else {
                    sums.entries++;
                    for (unsigned bits = 1; bits <= 8; bits++)
                        count[bits * rows] += (d - 1) / ((1u << bits) - 1);
                }
                if (s.next == s.end)
                    add_eights(&sums, fillers, &s);
                last = s.col;
                begin = (struct dc_row){s.next, s.col - w->cols};
                more = dc_next_survivor(&s);
            }
            count[0] += sums.entries;
            for (unsigned bits = 1; bits <= 8; bits++)
                count[bits * rows] += sums.entries + ((bits % 2 ? sums.odd : sums.even) >>
                                                      (bits - 1) / 2 * 16 & 0xffff);
        }
    }
}

struct counting {
    const struct dc_tensor *w;
    uint32_t *counts;
    struct dc_row *begins;
    size_t shares;
};

static void count_tasks(void *context, size_t first, size_t end, size_t thread)
{
    const struct counting *c = context;
    (void)thread;
    for (size_t share = first; share < end; share++)
        count_share(c->w, share, c->shares, c->counts, c->begins);
}

void dc_layout_counts(const struct dc_tensor *w, uint32_t *counts, struct dc_row *begins,
                      const struct dc_team *team)
{
    /* No more shares than threads, as each has to find its place in the stream first. */
    struct counting c = {w, counts, begins, dc_threads_of(team)};
    dc_deal(team, c.shares, count_tasks, &c);
}
