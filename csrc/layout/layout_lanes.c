/* From the stream of gaps and labels to lanes. spmv/lanes.py defines the bytes. */
#include <string.h>

#include "bits/bitreader.h"
#include "bits/fields.h"
#include "layout/layout.h"
#include "layout/survivors.h"
#include "pool/pool.h"

/* The steps of a lane in a quad, as they are packed side by side. */
struct steps {
    uint64_t gaps, labels;
};

static inline void or_bits(uint8_t *packed, size_t at, unsigned size, uint64_t value, int is_last)
{
    packed += at / 8;
    value <<= at % 8;
    if (!is_last) { /* there is another quad of the group behind, so this thread's own */
        dc_store8(packed, dc_load8(packed) | value);
        return;
    }
    for (size_t k = 0; k < (size + at % 8 + 7) / 8; k++)
        packed[k] |= (uint8_t)(value >> (8 * k));
}

/* As many values of a stream as a lane has steps in a quad, and anything above them. */
static inline uint64_t four_at(const uint8_t *packed, size_t entry, unsigned width)
{
    const uint64_t bit = (uint64_t)entry * width; /* 32 bits may not do */
    return dc_load8(packed + (size_t)(bit / 8)) >> bit % 8;
}

/* Where a lane's next quad goes. */
struct place {
    uint8_t *group;
    const uint8_t *end;
    size_t lane;
};

#define GAP_FIELD 16 /* room for the sum of four differences */

/* Four gaps of at most 8 bits as fields of another width, or of the same. */
static inline uint64_t four_as(uint64_t gaps, unsigned from, unsigned to)
{
    const uint64_t mask = ((uint64_t)1 << from) - 1;
    return (gaps & mask) | (gaps >> from & mask) << to | (gaps >> 2 * from & mask) << 2 * to |
           (gaps >> 3 * from & mask) << 3 * to;
}

/* Writes whole quads as long as they are the stream's own entries, whose gaps are one less than
 * the layout's differences; `at` is the next entry and `col` the column of the one before. Most
 * are: if the stream has no filler there, the layout needs none, and the row goes on. */
static void lay_quads(const struct dc_tensor *w, unsigned gap_bits, size_t *at, int64_t *col,
                       struct place *to)
{
    const struct dc_tensor t = *w; /* a copy, which no store of bytes can change */
    const unsigned own_bits = t.gap_bits, label_bits = t.label_bits;
    const unsigned of_gaps = DC_STEPS * gap_bits, of_labels = DC_STEPS * label_bits;
    const uint64_t gap_ones = dc_field_ones(DC_STEPS, GAP_FIELD);
    const uint64_t label_ones = dc_field_ones(DC_STEPS, label_bits);
    const uint64_t too_large = gap_ones * (0xffffu & ~((1u << gap_bits) - 1));
    const uint64_t all_labels = ((uint64_t)1 << of_labels) - 1;
    const size_t gap_at = to->lane * of_gaps, label_at = to->lane * of_labels;
    const size_t quad_bytes = dc_quad_bytes(gap_bits, label_bits);
    uint8_t *group = to->group;
    size_t next = *at;
    int64_t last = *col;
    /* Neither are the stream's last bytes read, nor the group's last ones written. */
    for (; to->end - group > (ptrdiff_t)quad_bytes && (size_t)t.entries - next >= 64;
         next += DC_STEPS, group += quad_bytes) {
        const uint64_t labels = four_at(t.labels, next, label_bits);
        const uint64_t d = four_as(four_at(t.gaps, next, own_bits), own_bits, GAP_FIELD) + gap_ones;
        /* The sum of all fields comes to be in the highest. */
        const int64_t end = last + (int64_t)(d * gap_ones >> 3 * GAP_FIELD);
        if (dc_zero_fields(labels, label_ones, label_bits) || d & too_large || end >= t.cols)
            break;
        or_bits(group, gap_at, of_gaps, four_as(d, GAP_FIELD, gap_bits), 0);
        or_bits(group + 8 * gap_bits, label_at, of_labels, labels & all_labels, 0);
        last = end;
    }
    to->group = group;
    *at = next;
    *col = last;
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
            lay_quads(w, gap_bits, &after, &last, &to);
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
            uint8_t *next = to.group + dc_quad_bytes(gap_bits, label_bits);
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

static void lay_group(const struct dc_tensor *w, unsigned gap_bits, unsigned label_bits,
                      const struct dc_row *begins, const uint32_t *order, const uint64_t *starts,
                      size_t group, uint8_t *data)
{
    const size_t rows = (size_t)w->rows;
    for (size_t lane = 0; lane < DC_LANES && group * DC_LANES + lane < rows; lane++) {
        const uint32_t row = order[group * DC_LANES + lane];
        const struct place to = {data + starts[group], data + starts[group + 1], lane};
        if (dc_may_survive(w, begins, row, (size_t)row + 1))
            lay_row(w, &begins[row], row, gap_bits, label_bits, to);
    }
}

struct laying {
    const struct dc_tensor *w;
    unsigned gap_bits, label_bits;
    const struct dc_row *begins;
    const uint32_t *order;
    const uint64_t *starts;
    uint8_t *data;
    size_t groups, tasks;
};

static void lay_tasks(void *context, size_t first, size_t end, size_t thread)
{
    const struct laying *l = context;
    (void)thread;
    /* Groups are in descending order of their length, and neighbours are nearly as long. */
    for (size_t task = first; task < end; task++)
        for (size_t group = task; group < l->groups; group += l->tasks)
            lay_group(l->w, l->gap_bits, l->label_bits, l->begins, l->order, l->starts, group,
                      l->data);
}

void dc_layout_lanes(const struct dc_tensor *w, unsigned gap_bits, unsigned label_bits,
                     const struct dc_row *begins, const uint32_t *order, const uint64_t *starts,
                     uint8_t *data, const struct dc_team *team)
{
    const size_t groups = ((size_t)w->rows + DC_LANES - 1) / DC_LANES;
    struct laying l = {w,    gap_bits, label_bits, begins, order, starts,
                       data, groups,   dc_tasks_of(team, groups)};
    dc_deal(team, l.tasks, lay_tasks, &l);
}
