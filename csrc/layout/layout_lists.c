/* From the stream of gaps and labels to lists. spmv/lists.py defines the bytes. */
#include <string.h>

#include "layout/lists.h"
#include "layout/survivors.h"
#include "tasks.h"
#include "pool/pool.h"

#define LABELS 256

/* The weights that a row has in a block, in order of columns. */
struct listed {
    size_t count, place; /* the number of its head among all */
    uint32_t of_label[LABELS];
    uint16_t col[DC_BLOCK_COLS];
    uint8_t label[DC_BLOCK_COLS];
};

static size_t sixteens_of(const struct listed *s, uint32_t centroids)
{
    size_t fours = 0;
    for (size_t l = 0; l < centroids; l++)
        fours += s->of_label[l] / 4;
    return fours / 4;
}

/* Writes them to the segment at p, and the labels of its eights, by label and then by column. */
static void write_segment(const struct dc_tensor *w, const struct listed *s, uint8_t *p,
                          uint8_t *labels)
{
    const size_t in_sixteens = DC_SIXTEEN * sixteens_of(s, w->centroids);
    uint8_t *const eights = p + in_sixteens / DC_SIXTEEN * DC_SIXTEEN_BYTES;
    size_t next[LABELS], left[LABELS], rest[LABELS], at = 0, rest_at = 0;
    for (size_t l = 0; l < w->centroids; l++) {
        const size_t fours = s->of_label[l] / 4 * 4, room = in_sixteens - at;
        left[l] = fours < room ? fours : room;
        next[l] = at;
        rest[l] = rest_at;
        at += left[l];
        rest_at += s->of_label[l] - left[l];
    }
    for (size_t i = 0; i < s->count; i++) {
        const unsigned label = s->label[i];
        uint8_t *cols;
        if (left[label]) {
            const size_t k = next[label]++;
            cols = p + k / DC_SIXTEEN * DC_SIXTEEN_BYTES;
            cols[DC_SIXTEEN * sizeof(uint16_t) + k % DC_SIXTEEN / 4] = (uint8_t)label;
            cols += k % DC_SIXTEEN * sizeof(uint16_t);
            left[label]--;
        } else {
            const size_t k = rest[label]++;
            uint32_t weight;
            memcpy(&weight, w->codebook + label, sizeof weight);
            cols = eights + k / DC_EIGHT * DC_EIGHT_BYTES;
            dc_store4(cols + DC_EIGHT * sizeof(uint16_t) + k % DC_EIGHT * sizeof weight, weight);
            cols += k % DC_EIGHT * sizeof(uint16_t);
            labels[k] = (uint8_t)label;
        }
        cols[0] = (uint8_t)s->col[i];
        cols[1] = (uint8_t)(s->col[i] >> 8);
    }
}

/* What is wanted of the segments: either is counted, or written where `places` say. */
struct listing {
    const struct dc_tensor *w;
    const struct dc_row *begins;
    uint32_t *counts;
    const uint64_t *places;
    uint8_t *data;
    size_t tasks;
};

static void end_segment(const struct listing *l, const struct listed *s)
{
    if (!l->counts) {
        const uint64_t *place = l->places + 2 * s->place;
        write_segment(l->w, s, l->data + place[0], l->data + place[1]);
        return;
    }
    const size_t sixteens = sixteens_of(s, l->w->centroids);
    const size_t eights = (s->count - sixteens * DC_SIXTEEN + DC_EIGHT - 1) / DC_EIGHT;
    l->counts[s->place] = (uint32_t)(sixteens | eights << 16);
}

static void list_part(const struct listing *l, size_t part)
{
    const struct dc_tensor *w = l->w;
    const size_t blocks = dc_block_count(w->cols), width = dc_block_width(w->cols);
    const size_t row = part * DC_LISTED_ROWS, end = row + DC_LISTED_ROWS;
    if (!dc_may_survive(w, l->begins, row, end))
        return;
    struct dc_survivors from = dc_survivors_from(w, l->begins[row].entry, (int64_t)row,
                                                 l->begins[row].before);
    struct listed s;
    s.count = 0;
    while (dc_next_survivor(&from) && (size_t)from.row < end) {
        const size_t block = (size_t)from.col / width;
        const size_t place = (part * blocks + block) * DC_LISTED_ROWS + (size_t)from.row - row;
        if (s.count && place != s.place) {
            end_segment(l, &s);
            s.count = 0;
        }
        if (!s.count) {
            s.place = place;
            memset(s.of_label, 0, w->centroids * sizeof *s.of_label);
        }
        s.col[s.count] = (uint16_t)((size_t)from.col - block * width);
        s.label[s.count++] = (uint8_t)from.label;
        s.of_label[from.label]++;
    }
    if (s.count)
        end_segment(l, &s);
}

static size_t parts_of(const struct dc_tensor *w)
{
    return ((size_t)w->rows + DC_LISTED_ROWS - 1) / DC_LISTED_ROWS;
}

static void list_tasks(void *context, size_t first, size_t end, size_t thread)
{
    const struct listing *l = context;
    (void)thread;
    const size_t parts = parts_of(l->w), last = dc_begin(parts, end, l->tasks);
    for (size_t part = dc_begin(parts, first, l->tasks); part < last; part++)
        list_part(l, part);
}

void dc_list_counts(const struct dc_tensor *w, const struct dc_row *begins, uint32_t *counts,
                    const struct dc_team *team)
{
    struct listing l = {w, begins, counts, NULL, NULL, dc_tasks_of(team, parts_of(w))};
    dc_deal(team, l.tasks, list_tasks, &l);
}

void dc_layout_lists(const struct dc_tensor *w, const struct dc_row *begins,
                     const uint64_t *places, uint8_t *data, const struct dc_team *team)
{
    struct listing l = {w, begins, NULL, places, data, dc_tasks_of(team, parts_of(w))};
    dc_deal(team, l.tasks, list_tasks, &l);
}
