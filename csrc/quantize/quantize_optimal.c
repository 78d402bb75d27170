/* The best partition of sorted values into intervals, one more interval at a time.
 *
 * The last border of the best partition doesn't move down where the end moves up (the costs are
 * a totally monotone matrix): the best border for the middle row divides the rows and the borders
 * of the rest. All arithmetic is that of the twin, operation by operation.
 */
#include <math.h>

#include "deepcompress.h"
#include "platform.h"

DC_ROUND_PRODUCTS

enum { CHUNK = 64 }; /* costs that are computed at once, by vectors */

#define SPLITTER 134217729.0 /* 2**27 + 1 */

struct pair {
    double high, low;
};

/* The 26 leading bits (Dekker 1971): products of two such are exact. */
static inline double leading(double value)
{
    double scaled = value * SPLITTER;
    return scaled - (scaled - value);
}

/* end - begin, of sums in two parts; the low part is at most half a unit of the high one. */
static inline struct pair difference(double end, double end_low, double begin, double begin_low)
{
    double high = end - begin, back = high - end;
    double low = (end - (high - back)) - (begin + back) + (end_low - begin_low);
    double sum = high + low;
    return (struct pair){sum, low - (sum - high)};
}

/* a * b without error (Dekker 1971). */
static inline struct pair product(double a, double b)
{
    double high = a * b, a_lead = leading(a), b_lead = leading(b);
    double a_rest = a - a_lead, b_rest = b - b_lead;
    double low = a_rest * b_rest - (((high - a_lead * b_lead) - a_rest * b_lead) - a_lead * b_rest);
    return (struct pair){high, low};
}

/* Adds to a sum, whose low part takes the errors of the high one. */
static inline void add(struct pair *sum, struct pair term)
{
    double high = sum->high + term.high, back = high - sum->high;
    sum->low += ((sum->high - (high - back)) + (term.high - back)) + term.low;
    sum->high = high;
}

static inline void add_moments(struct pair sums[3], double value, double weight)
{
    struct pair first = product(weight, value), second = product(first.high, value);
    second.low += first.low * value;
    add(&sums[0], (struct pair){weight, 0});
    add(&sums[1], first);
    add(&sums[2], second);
}

void dc_moments(const double *values, const double *weights, size_t n, size_t zero,
                double *moments)
{
    const size_t stride = n + 1;
    struct pair up[3] = {{0, 0}}, down[3] = {{0, 0}};
    for (size_t j = 0; j < 6; j++)
        moments[j * stride + zero] = 0;
    for (size_t i = 0; i <= n; i++)
        moments[6 * stride + i] = (double)i;
    for (size_t i = zero; i < n; i++) {
        add_moments(up, values[i], weights[i]);
        for (size_t j = 0; j < 3; j++) {
            moments[2 * j * stride + i + 1] = up[j].high;
            moments[(2 * j + 1) * stride + i + 1] = up[j].low;
        }
    }
    for (size_t i = zero; i-- > 0;) {
        add_moments(down, values[i], weights[i]);
        for (size_t j = 0; j < 3; j++) {
            moments[2 * j * stride + i] = -down[j].high;
            moments[(2 * j + 1) * stride + i] = -down[j].low;
        }
    }
}

/* The sum of squared distances from the mean, for an interval's moments: with m near the mean and
 * the rest r = first - m * mass of it, second - m * first - m * r - r**2 / mass. */
static inline double cost(struct pair mass, struct pair first, struct pair second)
{
    double inverse = 1 / mass.high;
    double m = leading(first.high * inverse);
    double mass_lead = leading(mass.high), mass_rest = mass.high - mass_lead;
    double lead = leading(first.high), rest = first.high - lead;
    double r = ((first.high - m * mass_lead) - m * mass_rest) + (first.low - m * mass.low);
    double all = ((second.high - m * lead) - m * rest) + (second.low - m * first.low);
    double squares = (all - m * r) - r * r * inverse;
    return squares > 0 ? squares : 0;
}

/* costs[i] of the interval from begin + i to `end`, for each i < count. */
static void costs_until(const double *moments, size_t stride, size_t begin, size_t count,
                        size_t end, double *restrict costs)
{
    const double *mass = moments, *mass_low = mass + stride;
    const double *first = mass_low + stride, *first_low = first + stride;
    const double *second = first_low + stride, *second_low = second + stride;
    const double *place = second_low + stride;
    for (size_t i = 0; i < count; i++) {
        size_t at = begin + i;
        double several =
            cost(difference(mass[end], mass_low[end], mass[at], mass_low[at]),
                 difference(first[end], first_low[end], first[at], first_low[at]),
                 difference(second[end], second_low[end], second[at], second_low[at]));
        costs[i] = place[end] - place[at] > 1 ? several : 0; /* which rounding mightn't find */
    }
}

/* What all rows of a search have in common. */
struct search {
    const double *moments;
    size_t stride, skip, apart;
    const double *before;
    size_t window_first, rows_first;
    double *least;
    int64_t *borders;
};

/* The rows from `first` to `last`, whose best borders are in low .. high. */
static void divide(const struct search *all, size_t first, size_t last, size_t low, size_t high)
{
    while (first <= last) {
        size_t row = first + (last - first) / 2;
        size_t end = high < row - all->apart ? high : row - all->apart, best = low;
        double least = INFINITY, costs[CHUNK];
        for (size_t from = low; from <= end; from += CHUNK) {
            size_t count = end + 1 - from < CHUNK ? end + 1 - from : CHUNK;
            /* A cluster costs nothing if it begins, after what it skips, at its end or behind. */
            size_t begin = from + all->skip, costly = begin < row ? row - begin : 0;
            costly = costly < count ? costly : count;
            costs_until(all->moments, all->stride, begin, costly, row, costs);
            for (size_t i = 0; i < count; i++) {
                double total = all->before[from + i - all->window_first];
                total += i < costly ? costs[i] : 0;
                if (total < least) {
                    least = total;
                    best = from + i;
                }
            }
        }
        all->least[row - all->rows_first] = least;
        all->borders[row - all->rows_first] = (int64_t)best;
        if (row > first)
            divide(all, first, row - 1, low, best);
        first = row + 1;
        low = best;
    }
}

void dc_best_borders(const double *moments, size_t stride, size_t skip, size_t apart,
                     const double *before, size_t window_first, size_t window_last,
                     size_t rows_first, size_t rows_last, double *least, int64_t *borders)
{
    const struct search all = {moments,      stride,     skip,  apart,  before,
                               window_first, rows_first, least, borders};
    divide(&all, rows_first, rows_last, window_first, window_last);
}
