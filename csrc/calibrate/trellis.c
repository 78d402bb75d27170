/* Labels for the rows of a layer's weights along a trellis: a sweep with compensated errors, and
 * descent.
 *
 * All arithmetic is that of the twin, operation by operation, in double precision: the same labels,
 * bit for bit. Of each row there are eight versions, the cheapest that end in each state, each with
 * weights or slopes of its own. A column's step writes them from one half of the workspace to the
 * other, so that versions are never copied. */
#include <math.h>
#include <string.h>

#include "deepcompress.h"
#include "platform.h"
#include "tasks.h"
#include "trellis.h"
#include "pool/pool.h"

DC_ROUND_PRODUCTS

enum { MOST_LEVELS = 256 }; /* as labels are bytes */

/* Levels that a state of either parity allows, with numbers of either parity. */
struct subset {
    size_t count;
    double levels[MOST_LEVELS], rates[MOST_LEVELS];
    uint8_t labels[MOST_LEVELS];
};

struct problem {
    const double *numbers; /* of a sweep, what weights have become; else their slopes */
    const double *weights; /* of descent; else NULL */
    size_t rows, cols;
    const double *matrix, *matters;
    const uint8_t *idle;
    size_t zero;
    struct subset subsets[2][2];
    uint8_t *labels;
    char *scratch;
    size_t scratch_each, tasks;
};

/* What a row's versions need: two halves of numbers, and how each came about. */
struct versions {
    double *before, *after;
    uint8_t *chosen, *from; /* for each column, eight labels, and the states that they came from */
    double costs[TRELLIS_STATES];
};

struct step {
    double cost, change; /* so much of a row of the matrix is to be added to the numbers */
    uint8_t label, from;
};

static void divide(struct problem *p, const double *levels, const double *rates, size_t count)
{
    for (size_t k = 0; k < count; k++) {
        const size_t rank = k > p->zero ? k - p->zero : p->zero - k;
        const size_t number = (rank + 1) / 2;
        for (size_t odd = 0; odd < 2; odd++) {
            if (rank && rank % 2 != odd)
                continue;
            struct subset *set = &p->subsets[odd][number % 2];
            set->levels[set->count] = levels[k];
            set->rates[set->count] = rates[odd * count + k];
            set->labels[set->count++] = (uint8_t)k;
        }
    }
}

/* The first level with the least cost. */
static inline size_t best_of(const struct subset *set, double value, double weight, double *least)
{
    double costs[MOST_LEVELS];
    for (size_t k = 0; k < set->count; k++) {
        const double off = value - set->levels[k];
        costs[k] = weight * (off * off) + set->rates[k];
    }
    size_t best = 0;
    *least = costs[0];
    for (size_t k = 1; k < set->count; k++) {
        best = costs[k] < *least ? k : best;
        *least = costs[k] < *least ? costs[k] : *least;
    }
    return best;
}

static void choose(const struct problem *p, const struct versions *v, size_t row, size_t i,
                   struct step *steps)
{
    const size_t width = p->cols + 1;
    const double pivot = p->matrix[i * width + i], matters = p->matters[row];
    const double weight = p->weights ? matters * pivot : matters / (pivot * pivot);
    for (unsigned state = 0; state < TRELLIS_STATES; state++)
        steps[state] = (struct step){.cost = INFINITY, .from = (uint8_t)state};
    for (unsigned state = 0; state < TRELLIS_STATES; state++) {
        if (v->costs[state] == INFINITY)
            continue;
        const double number = v->before[state * width + i];
        const double own = p->weights ? p->weights[row * width + i] : number;
        const double value = p->weights ? own - number / pivot : number;
        const double base = weight * ((value - own) * (value - own));
        if (p->idle[i]) { /* 0 is an even number in each state */
            const double cost = v->costs[state], change = 0 - own;
            struct step *step = &steps[trellis_following(state, 0)];
            if (cost < step->cost)
                *step = (struct step){cost, p->weights ? change : change / pivot, (uint8_t)p->zero,
                                      (uint8_t)state};
            continue;
        }
        for (unsigned odd = 0; odd < 2; odd++) {
            const struct subset *set = &p->subsets[state & 1][odd];
            if (!set->count)
                continue;
            double least;
            const size_t best = best_of(set, value, weight, &least);
            const double cost = v->costs[state] + (least - base);
            struct step *step = &steps[trellis_following(state, odd)];
            if (!(cost < step->cost))
                continue;
            const double change = set->levels[best] - own;
            *step = (struct step){cost, p->weights ? change : change / pivot, set->labels[best],
                                  (uint8_t)state};
        }
    }
}

static void go_through(const struct problem *p, size_t row, char *scratch)
{
    const size_t width = p->cols + 1, half = TRELLIS_STATES * width;
    struct versions v = {.before = (double *)(void *)scratch};
    v.after = v.before + half;
    v.chosen = (uint8_t *)(v.after + half);
    v.from = v.chosen + TRELLIS_STATES * p->cols;
    for (unsigned state = 0; state < TRELLIS_STATES; state++) {
        v.costs[state] = state == TRELLIS_START ? 0 : INFINITY;
        memcpy(v.before + state * width, p->numbers + row * width, width * sizeof *v.before);
    }
    memcpy(v.after, v.before, half * sizeof *v.after);
    for (size_t i = 0; i < p->cols; i++) {
        struct step steps[TRELLIS_STATES];
        const double *line = p->matrix + i * width;
        choose(p, &v, row, i, steps);
        for (unsigned state = 0; state < TRELLIS_STATES; state++) {
            const struct step s = steps[state];
            const double *from = v.before + s.from * width;
            double *to = v.after + state * width;
            v.costs[state] = s.cost;
            v.chosen[i * TRELLIS_STATES + state] = s.label;
            v.from[i * TRELLIS_STATES + state] = s.from;
            for (size_t j = i + 1; j < width; j++)
                to[j] = from[j] + s.change * line[j];
        }
        double *swapped = v.before;
        v.before = v.after;
        v.after = swapped;
    }
    unsigned state = 0;
    for (unsigned other = 1; other < TRELLIS_STATES; other++)
        state = v.costs[other] < v.costs[state] ? other : state;
    for (size_t i = p->cols; i-- > 0;) {
        p->labels[row * p->cols + i] = v.chosen[i * TRELLIS_STATES + state];
        state = v.from[i * TRELLIS_STATES + state];
    }
}

static void do_rows(void *context, size_t first, size_t end, size_t thread)
{
    const struct problem *p = context;
    char *scratch = p->scratch + thread * p->scratch_each;
    const size_t last = dc_begin(p->rows, end, p->tasks);
    for (size_t row = dc_begin(p->rows, first, p->tasks); row < last; row++)
        go_through(p, row, scratch);
}

size_t dc_trellis_scratch(size_t cols)
{
    const size_t bytes = 2 * TRELLIS_STATES * ((cols + 1) * sizeof(double) + cols);
    return (bytes + 63) / 64 * 64;
}

void dc_trellis_sweep(const double *weights, size_t rows, size_t cols, const double *factor,
                      const double *matters, const double *levels, const double *rates,
                      size_t count, size_t zero, const uint8_t *idle, uint8_t *labels,
                      void *scratch, const struct dc_team *team)
{
    struct problem p = {.numbers = weights, .rows = rows, .cols = cols, .matrix = factor,
                        .matters = matters, .labels = labels, .scratch = scratch, .idle = idle,
                        .zero = zero, .scratch_each = dc_trellis_scratch(cols),
                        .tasks = dc_tasks_of(team, rows)};
    divide(&p, levels, rates, count);
    dc_deal(team, p.tasks, do_rows, &p);
}

void dc_trellis_descend(const double *weights, const double *slopes, size_t rows, size_t cols,
                        const double *hessian, const double *matters, const double *levels,
                        const double *rates, size_t count, size_t zero, const uint8_t *idle,
                        uint8_t *labels, void *scratch, const struct dc_team *team)
{
    struct problem p = {.numbers = slopes, .weights = weights, .rows = rows, .cols = cols,
                        .matrix = hessian, .matters = matters, .labels = labels,
                        .scratch = scratch, .idle = idle, .zero = zero, .scratch_each = dc_trellis_scratch(cols),
                        .tasks = dc_tasks_of(team, rows)};
    divide(&p, levels, rates, count);
    dc_deal(team, p.tasks, do_rows, &p);
}
