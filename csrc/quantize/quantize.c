/* Lloyd's algorithm on sorted values, and labels.
 *
 * A border moves little from one iteration to the next, so that it is looked for near its
 * old place, in steps that double. All arithmetic is that of the twin, operation by
 * operation: same centroids, bit for bit.
 */
#include <math.h>

#include "deepcompress.h"

void dc_outward_sums(const double *terms, size_t n, size_t zero, double *sums)
{
    double up = 0, down = 0;
    sums[zero] = 0;
    for (size_t i = zero; i < n; i++)
        sums[i + 1] = up += terms[i];
    for (size_t i = zero; i-- > 0;)
        sums[i] = -(down += terms[i]);
}

/* The first i in [0, n] with ordered[i] > bound (n if there is none), sought from `near`. */
static size_t upper_bound(const double *ordered, size_t n, double bound, size_t near)
{
    size_t low = near, high = near; /* all before `low` are <= bound, from `high` on > bound */
    if (near < n && ordered[near] <= bound) {
        for (size_t step = 1; high < n && ordered[high] <= bound; step *= 2) {
            low = high + 1;
            high = step < n - high ? high + step : n;
        }
    } else {
        for (size_t step = 1; low > 0 && ordered[low - 1] > bound; step *= 2) {
            high = low - 1;
            low = step < low ? low - step : 0;
        }
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ordered[middle] <= bound)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t dc_lloyd(const double *ordered, const double *sums, const double *masses, size_t n,
                size_t clusters, size_t limit, int upper, int64_t *borders, int64_t *next,
                double *centroids)
{
    for (size_t step = 1;; step++) {
        for (size_t i = 0; i < clusters; i++) {
            size_t begin = (size_t)borders[i], end = (size_t)borders[i + 1];
            double mass = masses ? masses[end] - masses[begin] : (double)(end - begin);
            double mean = (sums[end] - sums[begin]) / mass;
            const double first = ordered[begin], last = ordered[end - 1];
            mean = mean > first ? mean : first; /* sums are rounded */
            centroids[i] = mean < last ? mean : last;
        }
        if (step == limit)
            return step;
        int moved = 0, empty = 0;
        next[0] = 0;
        next[clusters] = (int64_t)n;
        for (size_t i = 1; i < clusters; i++) {
            double middle = (centroids[i - 1] + centroids[i]) / 2;
            if (upper) /* the values not above this are those below the middle */
                middle = nextafter(middle, -INFINITY);
            next[i] = (int64_t)upper_bound(ordered, n, middle, (size_t)borders[i]);
            moved |= next[i] != borders[i];
            empty |= next[i] == next[i - 1];
        }
        empty |= next[clusters] == next[clusters - 1];
        if (!moved || empty)
            return step;
        for (size_t i = 1; i < clusters; i++)
            borders[i] = next[i];
    }
}

void dc_assign(const float *values, size_t count, const double *bounds, unsigned depth,
               uint8_t *labels)
{
    for (size_t i = 0; i < count; i++) {
        const double value = values[i];
        unsigned below = 0; /* bounds that are known to be < value */
        for (unsigned step = 1u << depth >> 1; step > 0; step >>= 1)
            below += bounds[below + step - 1] < value ? step : 0;
        labels[i] = (uint8_t)below;
    }
}
