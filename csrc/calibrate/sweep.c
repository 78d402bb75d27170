/* Labels for the rows of a layer's weights: a sweep with compensated errors, and descent.
 *
 * All arithmetic is that of the twin, operation by operation, in double precision: the same labels
 * and weights, bit for bit. A row is the work of one thread, which takes some side by side: with a
 * matrix that no cache holds, each row alone would wait for memory most of the time (2048 x 2048: 1.2
 * instead of 4.2 s).
 */
#include "deepcompress.h"
#include "platform.h"
#include "tasks.h"
#include "pool/pool.h"

DC_ROUND_PRODUCTS

enum {
    MOST_LEVELS = 256, /* as labels are bytes */
    ROWS = 16           /* side by side, for which a row of the matrix comes from memory once */
};

/* The first level with the least cost. */
static inline uint8_t best_level(double value, double matters, const double *levels,
                                 const double *rates, size_t count)
{
    double costs[MOST_LEVELS];
    for (size_t k = 0; k < count; k++) {
        const double off = value - levels[k];
        costs[k] = matters * (off * off) + rates[k];
    }
    size_t best = 0;
    double least = costs[0];
    for (size_t k = 1; k < count; k++) {
        best = costs[k] < least ? k : best;
        least = costs[k] < least ? costs[k] : least;
    }
    return (uint8_t)best;
}

struct sweep {
    double *weights, *slopes;
    size_t rows, cols;
    const double *matrix, *matters, *levels, *rates;
    size_t count;
    uint8_t *labels;
    size_t tasks;
};

static void sweep_column(const struct sweep *s, size_t row, size_t i)
{
    const size_t width = s->cols + 1;
    double *w = s->weights + row * width;
    const double *u = s->matrix + i * width;
    const double pivot = u[i];
    const uint8_t label =
        best_level(w[i], s->matters[row] / (pivot * pivot), s->levels, s->rates, s->count);
    const double error = (w[i] - s->levels[label]) / pivot;
    s->labels[row * s->cols + i] = label;
    w[i] = s->levels[label];
    for (size_t j = i + 1; j < width; j++)
        w[j] -= error * u[j];
}

static void descend_column(const struct sweep *s, size_t row, size_t i)
{
    const size_t cols = s->cols, width = cols + 1;
    double *w = s->weights + row * width, *m = s->slopes + row * width;
    const double *h = s->matrix + i * width;
    const double pivot = h[i];
    double change;
    if (i < cols) {
        const double value = w[i] - m[i] / pivot;
        const uint8_t label =
            best_level(value, s->matters[row] * pivot, s->levels, s->rates, s->count);
        s->labels[row * cols + i] = label;
        change = s->levels[label] - w[i];
        w[i] = s->levels[label];
    } else { /* the bias takes any value */
        change = -m[i] / pivot;
        w[i] += change;
    }
    if (change == 0)
        return;
    for (size_t j = 0; j < width; j++)
        m[j] += change * h[j];
}

static void do_rows(void *context, size_t first, size_t end, size_t thread)
{
    const struct sweep *s = context;
    (void)thread;
    const size_t last = dc_begin(s->rows, end, s->tasks);
    for (size_t row = dc_begin(s->rows, first, s->tasks); row < last; row += ROWS) {
        const size_t stop = last - row < ROWS ? last : row + ROWS;
        for (size_t i = 0; i < s->cols + (s->slopes != NULL); i++)
            for (size_t r = row; r < stop; r++)
                if (s->slopes)
                    descend_column(s, r, i);
                else
                    sweep_column(s, r, i);
    }
}

void dc_sweep(double *weights, size_t rows, size_t cols, const double *factor,
              const double *matters, const double *levels, const double *rates, size_t count,
              uint8_t *labels, const struct dc_team *team)
{
    struct sweep s = {weights, NULL, rows, cols, factor, matters, levels, rates, count, labels,
                      dc_tasks_of(team, rows)};
    dc_deal(team, s.tasks, do_rows, &s);
}

void dc_descend(double *weights, double *slopes, size_t rows, size_t cols, const double *hessian,
                const double *matters, const double *levels, const double *rates, size_t count,
                uint8_t *labels, const struct dc_team *team)
{
    struct sweep s = {weights, slopes, rows, cols, hessian, matters, levels, rates, count, labels,
                      dc_tasks_of(team, rows)};
    dc_deal(team, s.tasks, do_rows, &s);
}
