/* What the kernels of a convolution meet in its images: im2col, a tile at a time; and what becomes of
 * the sums. For each instruction set compiled anew: both take a fifth of a convolution's time with
 * vectors of four. */
#ifndef DC_SPCONV_GATHER_H
#define DC_SPCONV_GATHER_H

#include <math.h>
#include <string.h>

#include "spconv/spconv.h"

/* Columns of a stretch that a place of the kernels meets in the image, not in its padding. */
struct run {
    size_t to, count;
    ptrdiff_t from; /* the first one's element, from the beginning of the channel */
};

/* Where the columns of a panel meet place (i, j) of the kernels; returns how many runs there are,
 * and tells in *is_whole whether they leave no column out. */
DC_INLINE size_t find_runs(const struct dc_geometry *g, const struct dc_panel *panel, int64_t i,
                        int64_t j, struct run *runs, int *is_whole)
{
    const int64_t down = i * g->dilation[0] - g->padding[0];
    const int64_t right = j * g->dilation[1] - g->padding[1], stride = g->stride[1];
    /* The pixels of an output's row that meet one of the image. */
    const int64_t first = right < 0 ? (-right + stride - 1) / stride : 0;
    const int64_t end = g->width > right ? (g->width - right - 1) / stride + 1 : 0;
    size_t count = 0, covered = 0;
    for (const struct dc_stretch *s = panel->stretch; s < panel->stretch + panel->stretches; s++) {
        const int64_t row = s->image_row + down;
        int64_t skipped = first * g->batch - s->in_row, last = end * g->batch - s->in_row;
        skipped = skipped > 0 ? skipped : 0;
        last = last < (int64_t)s->count ? last : (int64_t)s->count;
        if (row < 0 || row >= g->height || skipped >= last)
            continue;
        runs[count++] = (struct run){
            s->to + (size_t)skipped, (size_t)(last - skipped),
            (ptrdiff_t)((row * g->width + right) * g->batch + s->from + skipped * panel->step)};
        covered += (size_t)(last - skipped);
    }
    *is_whole = covered == panel->vectors * (size_t)DC_VECTOR;
    return count;
}

/* A vector. As a loop, since compilers make two halves of memcpy. */
DC_INLINE void copy_vector(float *restrict to, const float *restrict from)
{
    for (size_t k = 0; k < DC_VECTOR; k++)
        to[k] = from[k];
}

DC_INLINE void copy(float *restrict to, const float *restrict from, size_t count)
{
    if (count >= 8) {
        for (size_t k = 0; k + 8 < count; k += 8)
            copy_vector(to + k, from + k);
        copy_vector(to + count - 8, from + count - 8); /* some of them once more */
    } else if (count >= 4) {
        memcpy(to, from, 4 * sizeof *to);
        memcpy(to + count - 4, from + count - 4, 4 * sizeof *to);
    } else {
        for (size_t k = 0; k < count; k++)
            to[k] = from[k];
    }
}

/* Every `step`-th element; a step that is a constant lets compilers make vectors of it. */
DC_INLINE void pick(float *restrict to, const float *restrict from, size_t count, size_t step)
{
    if (step == 2)
        for (size_t k = 0; k < count; k++)
            to[k] = from[2 * k];
    else if (step == 4)
        for (size_t k = 0; k < count; k++)
            to[k] = from[4 * k];
    else
        for (size_t k = 0; k < count; k++)
            to[k] = from[step * k];
}

/* Tells whether all runs have eight columns and a vector of their own, as in narrow images. */
DC_INLINE int are_vectors(const struct run *runs, size_t count)
{
    for (size_t k = 0; k < count; k++)
        if (runs[k].count != DC_VECTOR || runs[k].to % DC_VECTOR)
            return 0;
    return 1;
}

/* Tells whether no place of the kernels ever meets the padding. */
DC_INLINE int lies_within(const struct dc_geometry *g)
{
    const int64_t bottom = (g->out_height - 1) * g->stride[0] + (g->kernel[0] - 1) * g->dilation[0];
    const int64_t right = (g->out_width - 1) * g->stride[1] + (g->kernel[1] - 1) * g->dilation[1];
    return g->padding[0] == 0 && g->padding[1] == 0 && bottom < g->height && right < g->width;
}

DC_INLINE void gather(const struct dc_geometry *g, const float *x, const struct dc_panel *panel,
                      size_t first, size_t last, float *tile)
{
    const size_t places = (size_t)(g->kernel[0] * g->kernel[1]), stride = panel->vectors * DC_VECTOR;
    const size_t channel = (size_t)g->height * (size_t)g->width * (size_t)g->batch;
    const size_t step = (size_t)panel->step;
    const int is_within = lies_within(g); /* the runs of all places are then those of the first */
    struct run runs[DC_PANEL * DC_VECTOR];
    int is_whole = 0;
    size_t count = is_within ? find_runs(g, panel, 0, 0, runs, &is_whole) : 0;
    /* Row r is place r % places of channel r / places: first a row of each place. */
    for (size_t begin = first; begin < last && begin < first + places; begin++) {
        const int64_t place = (int64_t)(begin % places);
        const int64_t i = place / g->kernel[1], j = place % g->kernel[1];
        const float *from = x + begin / places * channel;
        float *to = tile + (begin - first) * stride;
        if (is_within)
            from += (size_t)((i * g->dilation[0] * g->width + j * g->dilation[1]) * g->batch);
        else
            count = find_runs(g, panel, i, j, runs, &is_whole);
        const int vectors = step == 1 && are_vectors(runs, count);
        for (size_t row = begin; row < last; row += places) {
            if (!is_whole)
                memset(to, 0, stride * sizeof *to);
            if (vectors)
                for (size_t k = 0; k < count; k++)
                    copy_vector(to + runs[k].to, from + runs[k].from);
            for (const struct run *run = runs; run < runs + count && !vectors; run++)
                if (step == 1)
                    copy(to + run->to, from + run->from, run->count);
                else
                    pick(to + run->to, from + run->from, run->count, step);
            from += channel;
            to += places * stride;
        }
    }
}

/* A row of the output from its sums; returns 1 if all were finite before the ReLU, which hides
 * what overflows. Without branches, so that compilers make vectors of it. */
DC_INLINE int finish(const struct dc_convolution *c, const float *restrict sums, size_t count,
                     float added, float *restrict to)
{
    uint32_t found = 0;
    const float lowest = c->relu ? 0.0f : -INFINITY, high = c->high;
    for (size_t k = 0; k < count; k++) {
        float sum = sums[k] + added;
        uint32_t bits;
        memcpy(&bits, &sum, sizeof bits);
        sum = sum < lowest ? lowest : sum;
        to[k] = sum > high ? high : sum;
        found |= (bits & 0x7f800000) == 0x7f800000;
    }
    return !found;
}

#endif
