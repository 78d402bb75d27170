/* From the stream of gaps and labels to tiles. spmv/tiles.py defines the bytes. */
#include "layout/survivors.h"
#include "layout/tiles.h"
#include "tasks.h"
#include "pool/pool.h"

/* The survivors of a part. */
struct tiled {
    struct dc_survivors s;
    size_t end, tiles; /* the row after the part's last, or 0 if there is none */
    unsigned tile_bits;
};

static struct tiled tiled_of(const struct dc_tensor *w, unsigned label_bits,
                             const struct dc_row *begins, size_t part)
{
    const size_t rows = (size_t)w->rows, row = part * DC_TILED_ROWS;
    const size_t end = rows - row < DC_TILED_ROWS ? rows : row + DC_TILED_ROWS;
    struct tiled t = {.end = end, .tiles = dc_tile_count(w->cols, label_bits),
                      .tile_bits = dc_tile_bits(label_bits)};
    if (dc_may_survive(w, begins, row, end))
        t.s = dc_survivors_from(w, begins[row].entry, (int64_t)row, begins[row].before);
    else
        t.end = 0;
    return t;
}

/* Moves on; 0 at the end. */
static inline int next_tiled(struct tiled *t)
{
    return t->end && dc_next_survivor(&t->s) && (size_t)t->s.row < t->end;
}

/* The number of the row of a tile that has the survivor. */
static inline size_t place_of(const struct tiled *t)
{
    const size_t row = (size_t)t->s.row, tile = (size_t)t->s.col >> t->tile_bits;
    return (row / DC_TILED_ROWS * t->tiles + tile) * DC_TILED_ROWS + row % DC_TILED_ROWS;
}

/* Consecutive survivors mostly are of the same row of a tile, and none of that row comes later:
 * what is kept of a row stays in a register meanwhile, as to load and store it each time would
 * take as long as all else. */

static void count_part(const struct dc_tensor *w, unsigned label_bits,
                       const struct dc_row *begins, size_t part, uint8_t *counts)
{
    struct tiled t = tiled_of(w, label_bits, begins, part);
    uint8_t *of_row = NULL; /* until there is a survivor */
    unsigned count = 0;
    while (next_tiled(&t)) {
        uint8_t *now = counts + place_of(&t);
        if (now != of_row) {
            if (of_row)
                *of_row = (uint8_t)count;
            of_row = now;
            count = 0;
        }
        count++;
    }
    if (of_row)
        *of_row = (uint8_t)count;
}

static void lay_part(const struct dc_tensor *w, unsigned label_bits, const struct dc_row *begins,
                     size_t part, const uint64_t *bits, uint8_t *data)
{
    struct tiled t = tiled_of(w, label_bits, begins, part);
    const uint64_t *of_row = NULL;
    uint64_t bit = 0;
    while (next_tiled(&t)) {
        const uint64_t *now = bits + place_of(&t);
        if (now != of_row) {
            of_row = now;
            bit = *now;
        }
        const unsigned col = (unsigned)t.s.col & ((1u << t.tile_bits) - 1);
        const unsigned entry = (col << label_bits | t.s.label) << bit % 8;
        data[bit / 8] |= (uint8_t)entry;
        data[bit / 8 + 1] |= (uint8_t)(entry >> 8);
        bit += DC_TILE_LANES * DC_ENTRY_BITS;
    }
}

static size_t parts_of(const struct dc_tensor *w)
{
    return ((size_t)w->rows + DC_TILED_ROWS - 1) / DC_TILED_ROWS;
}

struct tiling {
    const struct dc_tensor *w;
    unsigned label_bits;
    const struct dc_row *begins;
    const uint64_t *bits;
    uint8_t *to; /* data, or without `bits` counts */
    size_t tasks;
};

static void tile_tasks(void *context, size_t first, size_t end, size_t thread)
{
    const struct tiling *t = context;
    (void)thread;
    const size_t parts = parts_of(t->w), last = dc_begin(parts, end, t->tasks);
    for (size_t part = dc_begin(parts, first, t->tasks); part < last; part++)
        if (t->bits)
            lay_part(t->w, t->label_bits, t->begins, part, t->bits, t->to);
        else
            count_part(t->w, t->label_bits, t->begins, part, t->to);
}

void dc_tile_counts(const struct dc_tensor *w, unsigned label_bits, const struct dc_row *begins,
                    uint8_t *counts, const struct dc_team *team)
{
    struct tiling t = {w, label_bits, begins, NULL, counts, dc_tasks_of(team, parts_of(w))};
    dc_deal(team, t.tasks, tile_tasks, &t);
}

void dc_layout_tiles(const struct dc_tensor *w, unsigned label_bits, const struct dc_row *begins,
                     const uint64_t *bits, uint8_t *data, const struct dc_team *team)
{
    struct tiling t = {w, label_bits, begins, bits, data, dc_tasks_of(team, parts_of(w))};
    dc_deal(team, t.tasks, tile_tasks, &t);
}
