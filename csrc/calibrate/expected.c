/* Labels for the rows of a layer's weights, errors compensated as for inputs that are expected.
 *
 * All arithmetic is that of the twin, operation by operation, in double precision: the same labels.
 * A column's borders between labels hold for all rows, so that a task takes many rows through a few
 * columns: as many as a cache line has weights, which come to lie side by side.
 */
#include <math.h>
#include <string.h>

#include "deepcompress.h"
#include "platform.h"
#include "tasks.h"
#include "pool/pool.h"

DC_ROUND_PRODUCTS

enum {
    MOST_LEVELS = 256, /* as labels are bytes */
    ROWS = 256,        /* at once */
    COLUMNS = 16
};

/* The labels that are the best of some value, and the borders between them. */
struct intervals {
    size_t half; /* a power of two; the borders are 2 * half - 1, the last ones infinite */
    double borders[MOST_LEVELS];
    uint8_t labels[MOST_LEVELS];
};

static void find_intervals(struct intervals *found, const double *levels, const double *charged,
                           size_t count, double cost)
{
    double above[MOST_LEVELS]; /* of what value each is better than the one before */
    double bits[MOST_LEVELS];
    size_t best = 0;
    for (size_t k = 0; k < count; k++)
        bits[k] = charged[k] / cost;
    for (size_t k = 0; k < count; k++) {
        double border = -INFINITY;
        while (best) {
            const size_t last = found->labels[best - 1];
            const double rise = levels[k] - levels[last], more = bits[k] - bits[last];
            if (rise > 0)
                border = (levels[k] + levels[last]) / 2 + more / (2 * rise);
            else
                border = more < 0 ? -INFINITY : INFINITY;
            if (border > above[best - 1])
                break;
            best--;
            border = -INFINITY;
        }
        if (border < INFINITY) {
            found->labels[best] = (uint8_t)k;
            above[best++] = border;
        }
    }
    found->half = 1;
    while (2 * found->half < best)
        found->half *= 2;
    for (size_t k = 0; k < 2 * found->half - 1; k++)
        found->borders[k] = k + 1 < best ? above[k + 1] : INFINITY;
}

/* The cheapest label: as many labels as borders are below the value come before it. */
static inline uint8_t cheapest(const struct intervals *in, double value)
{
    size_t at = 0;
    for (size_t step = in->half; step; step /= 2)
        at += value > in->borders[at + step - 1] ? step : 0;
    return in->labels[at];
}

struct problem {
    const float *targets;
    size_t rows, cols, positions;
    const double *costs, *same, *other; /* of a sweep; else NULL */
    double shared, alike;               /* of descent */
    const double *levels, *charged;
    size_t count;
    uint8_t *labels;
    size_t tasks;
};

/* Some rows and columns, side by side by column. */
struct tile {
    float targets[COLUMNS][ROWS];
    uint8_t labels[COLUMNS][ROWS];
};

static void load(struct tile *tile, const struct problem *p, size_t row, size_t rows, size_t col,
                 size_t cols)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < cols; i++) {
            const size_t at = (row + r) * p->cols + col + i;
            tile->targets[i][r] = p->targets[at];
            tile->labels[i][r] = p->costs ? 0 : p->labels[at];
        }
}

static void store(const struct tile *tile, const struct problem *p, size_t row, size_t rows,
                  size_t col, size_t cols)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < cols; i++)
            p->labels[(row + r) * p->cols + col + i] = tile->labels[i][r];
}

static void sweep(const struct problem *p, size_t row, size_t rows)
{
    struct tile tile;
    struct intervals in;
    double all[ROWS] = {0}, own[ROWS] = {0};
    for (size_t col = 0; col < p->cols; col += COLUMNS) {
        const size_t cols = p->cols - col < COLUMNS ? p->cols - col : COLUMNS;
        load(&tile, p, row, rows, col, cols);
        for (size_t i = 0; i < cols; i++) {
            const size_t at = col + i;
            if (at % p->positions == 0)
                memset(own, 0, sizeof own);
            find_intervals(&in, p->levels, p->charged, p->count, p->costs[at]);
            const double other = p->other[at], more = p->same[at] - p->other[at];
            for (size_t r = 0; r < rows; r++) {
                const double value = (double)tile.targets[i][r] + all[r] + own[r];
                const uint8_t label = cheapest(&in, value);
                const double error = value - p->levels[label];
                tile.labels[i][r] = label;
                all[r] += error * other;
                own[r] += error * more;
            }
        }
        store(&tile, p, row, rows, col, cols);
    }
}

static inline double error_of(const struct problem *p, size_t row, size_t col)
{
    const size_t at = row * p->cols + col;
    return p->levels[p->labels[at]] - (double)p->targets[at];
}

static void descend(const struct problem *p, size_t row, size_t rows)
{
    struct tile tile;
    struct intervals in;
    double of_row[ROWS] = {0}, of_channel[ROWS] = {0};
    find_intervals(&in, p->levels, p->charged, p->count, 1);
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < p->cols; i++)
            of_row[r] += error_of(p, row + r, i);
    const double both = p->shared + p->alike;
    for (size_t col = 0; col < p->cols; col += COLUMNS) {
        const size_t cols = p->cols - col < COLUMNS ? p->cols - col : COLUMNS;
        load(&tile, p, row, rows, col, cols);
        for (size_t i = 0; i < cols; i++) {
            if ((col + i) % p->positions == 0)
                for (size_t r = 0; r < rows; r++) {
                    of_channel[r] = 0;
                    for (size_t j = 0; p->alike != 0 && j < p->positions; j++)
                        of_channel[r] += error_of(p, row + r, col + i + j);
                }
            for (size_t r = 0; r < rows; r++) {
                const double target = tile.targets[i][r], before = p->levels[tile.labels[i][r]];
                const double free = target + both * (before - target) - p->alike * of_channel[r] -
                                    p->shared * of_row[r];
                const uint8_t label = cheapest(&in, free);
                const double change = p->levels[label] - before;
                tile.labels[i][r] = label;
                of_row[r] += change;
                of_channel[r] += change;
            }
        }
        store(&tile, p, row, rows, col, cols);
    }
}

static void do_rows(void *context, size_t first, size_t end, size_t thread)
{
    const struct problem *p = context;
    (void)thread;
    const size_t last = dc_begin(p->rows, end, p->tasks);
    for (size_t row = dc_begin(p->rows, first, p->tasks); row < last; row += ROWS)
        (p->costs ? sweep : descend)(p, row, last - row < ROWS ? last - row : ROWS);
}

void dc_expected_sweep(const float *targets, size_t rows, size_t cols, size_t positions,
                       const double *costs, const double *same, const double *other,
                       const double *levels, const double *charged, size_t count, uint8_t *labels,
                       const struct dc_team *team)
{
    struct problem p = {targets, rows,    cols,  positions, costs,  same,
                        other,   0,       0,     levels,    charged, count,
                        labels,  dc_tasks_of(team, rows)};
    dc_deal(team, p.tasks, do_rows, &p);
}

void dc_expected_descend(const float *targets, size_t rows, size_t cols, size_t positions,
                         double shared, double alike, const double *levels, const double *charged,
                         size_t count, uint8_t *labels, const struct dc_team *team)
{
    struct problem p = {targets, rows,   cols,  positions, NULL,    NULL,
                        NULL,    shared, alike, levels,    charged, count,
                        labels,  dc_tasks_of(team, rows)};
    dc_deal(team, p.tasks, do_rows, &p);
}
