/* Max pooling, averages and normalization, channel by channel, for each instruction set compiled
 * anew: nn/pool.py and nn/norm.py define them. */
#ifndef DC_POOLING_H
#define DC_POOLING_H

#include <math.h>
#include <string.h>

#include "program/program.h"
#include "tasks.h"

#define CHAINS 8 /* sums at a time */

DC_INLINE float larger(float a, float b)
{
    return a > b ? a : b;
}

/* to = max(to, from), for every `stride`-th pixel of `batch` elements. */
DC_INLINE void take_larger(float *restrict to, const float *restrict from, size_t pixels,
                        size_t stride, size_t batch)
{
    if (stride == 1)
        for (size_t i = 0; i < pixels * batch; i++)
            to[i] = larger(to[i], from[i]);
    else if (stride == 2 && batch == 1) /* a constant, of which compilers make vectors */
        for (size_t i = 0; i < pixels; i++)
            to[i] = larger(to[i], from[2 * i]);
    else
        for (size_t i = 0; i < pixels; i++)
            for (size_t b = 0; b < batch; b++)
                to[i * batch + b] = larger(to[i * batch + b], from[i * stride * batch + b]);
}

/* The largest of each column of `count` rows, in one pass where they are two or three. */
DC_INLINE void largest_of_rows(const float *restrict rows, size_t count, size_t row_size,
                               float *restrict to)
{
    if (count == 2) {
        for (size_t k = 0; k < row_size; k++)
            to[k] = larger(rows[k], rows[row_size + k]);
    } else if (count == 3) {
        for (size_t k = 0; k < row_size; k++)
            to[k] = larger(larger(rows[k], rows[row_size + k]), rows[2 * row_size + k]);
    } else {
        memcpy(to, rows, row_size * sizeof *to);
        for (size_t i = 1; i < count; i++)
            take_larger(to, rows + i * row_size, row_size, 1, 1);
    }
}

/* A row of the output from the largest of each column of its windows. */
DC_INLINE void pool_row(const struct dc_geometry *g, const float *restrict columns,
                        float *restrict to)
{
    const size_t batch = (size_t)g->batch, width = (size_t)g->out_width;
    const int is_common = g->stride[1] == 2 && batch == 1 && g->padding[1] == 0;
    if (is_common && g->kernel[1] == 2 && 2 * g->out_width <= g->width) {
        for (size_t i = 0; i < width; i++)
            to[i] = larger(columns[2 * i], columns[2 * i + 1]);
        return;
    }
    if (is_common && g->kernel[1] == 3 && 2 * g->out_width < g->width) {
        for (size_t i = 0; i < width; i++)
            to[i] = larger(larger(columns[2 * i], columns[2 * i + 1]), columns[2 * i + 2]);
        return;
    }
    for (size_t i = 0; i < (size_t)g->out_width * batch; i++)
        to[i] = -INFINITY;
    for (int64_t place = 0; place < g->kernel[1]; place++) {
        /* The windows whose pixel at this place lies in the image. */
        const int64_t off = g->padding[1] - place, s = g->stride[1];
        const int64_t first = off > 0 ? (off + s - 1) / s : 0;
        const int64_t beyond = g->width - 1 + off < 0 ? 0 : (g->width - 1 + off) / s + 1;
        const int64_t end = beyond < g->out_width ? beyond : g->out_width;
        if (first < end)
            take_larger(to + (size_t)first * batch, columns + (size_t)(first * s - off) * batch,
                        (size_t)(end - first), (size_t)s, batch);
    }
}

DC_INLINE int max_pool(const struct dc_operation *op, size_t task, size_t tasks, float *scratch)
{
    const struct dc_geometry *g = &op->geometry;
    const size_t row_size = (size_t)(g->width * g->batch);
    const size_t out_size = (size_t)(g->out_width * g->batch);
    const size_t channels = (size_t)g->channels, end = dc_begin(channels, task + 1, tasks);
    for (size_t c = dc_begin(channels, task, tasks); c < end; c++)
        for (int64_t i = 0; i < g->out_height; i++) {
            const int64_t top = i * g->stride[0] - g->padding[0];
            const int64_t first = top > 0 ? top : 0;
            const int64_t last = top + g->kernel[0] < g->height ? top + g->kernel[0] : g->height;
            const float *row = op->x + (c * (size_t)g->height + (size_t)first) * row_size;
            largest_of_rows(row, (size_t)(last - first), row_size, scratch);
            pool_row(g, scratch, op->y + (c * (size_t)g->out_height + (size_t)i) * out_size);
        }
    return 1;
}

/* The pixels of an axis that windows are the mean of: from *first to before the result. */
DC_INLINE int64_t within(int64_t start, int64_t kernel, int64_t extent, int64_t *first)
{
    *first = start > 0 ? start : 0;
    return start + kernel < extent ? start + kernel : extent;
}

/* How many of a window's places count, from its start, with the padding before and after. */
DC_INLINE int64_t counted(int64_t start, int64_t kernel, int64_t extent, int64_t after, int all)
{
    int64_t first;
    if (!all)
        return within(start, kernel, extent, &first) - first;
    return start + kernel < extent + after ? kernel : extent + after - start;
}

DC_INLINE int mean_pool(const struct dc_operation *op, size_t task, size_t tasks, float *scratch)
{
    const struct dc_geometry *g = &op->geometry;
    const size_t batch = (size_t)g->batch, row_size = (size_t)g->width * batch;
    const size_t channels = (size_t)g->channels, end = dc_begin(channels, task + 1, tasks);
    int is_finite = 1;
    for (size_t c = dc_begin(channels, task, tasks); c < end; c++)
        for (int64_t i = 0; i < g->out_height; i++) {
            const int64_t top = i * g->stride[0] - g->padding[0];
            int64_t first, last = within(top, g->kernel[0], g->height, &first);
            const float *row = op->x + (c * (size_t)g->height + (size_t)first) * row_size;
            float *y = op->y + (c * (size_t)g->out_height + (size_t)i) * (size_t)g->out_width * batch;
            memcpy(scratch, row, row_size * sizeof *row);
            for (int64_t h = first + 1; h < last; h++) {
                row += row_size;
                for (size_t k = 0; k < row_size; k++)
                    scratch[k] += row[k];
            }
            const int64_t rows = counted(top, g->kernel[0], g->height, op->step[0], op->size != 0);
            for (int64_t j = 0; j < g->out_width; j++, y += batch) {
                const int64_t left = j * g->stride[1] - g->padding[1];
                last = within(left, g->kernel[1], g->width, &first);
                const int64_t count =
                    rows * counted(left, g->kernel[1], g->width, op->step[1], op->size != 0);
                for (size_t b = 0; b < batch; b++) {
                    float sum = 0.0f;
                    for (int64_t w = first; w < last; w++)
                        sum += scratch[(size_t)w * batch + b];
                    y[b] = sum / (float)count;
                }
                is_finite &= all_finite(y, batch);
            }
        }
    return is_finite;
}

/* The means of `chains` images, one after the other, each of `batch` pixels side by side: sums that
 * don't wait for each other. */
DC_INLINE void means(const float *x, size_t chains, size_t size, size_t batch, float *y)
{
    double sum[CHAINS] = {0};
    for (size_t i = 0; i < size; i += batch)
        for (size_t k = 0; k < chains; k++)
            sum[k] += x[k * size + i];
    for (size_t k = 0; k < chains; k++)
        y[k * batch] = (float)(sum[k] / (double)(size / batch));
}

DC_INLINE int average(const struct dc_operation *op, size_t task, size_t tasks)
{
    const struct dc_geometry *g = &op->geometry;
    const size_t batch = (size_t)g->batch, size = (size_t)(g->height * g->width) * batch;
    const size_t channels = (size_t)g->channels;
    const size_t first = dc_begin(channels, task, tasks), end = dc_begin(channels, task + 1, tasks);
    size_t c = first;
    for (; c + CHAINS <= end; c += CHAINS)
        for (size_t b = 0; b < batch; b++)
            means(op->x + c * size + b, CHAINS, size, batch, op->y + c * batch + b);
    for (; c < end; c++)
        for (size_t b = 0; b < batch; b++)
            means(op->x + c * size + b, 1, size, batch, op->y + c * batch + b);
    return all_finite(op->y + first * batch, (end - first) * batch);
}

/* Elements from `from` to before `to` of all channels, at most NORM_RUN. */
#define NORM_RUN 256

DC_INLINE int normalize_run(const struct dc_operation *op, size_t from, size_t to, size_t size)
{
    const int64_t reach = op->size / 2, channels = op->geometry.channels;
    float sum[NORM_RUN];
    uint32_t found = 0;
    for (int64_t c = 0; c < channels; c++) {
        const int64_t first = c > reach ? c - reach : 0;
        const int64_t last = channels - 1 - c > reach ? c + reach : channels - 1;
        const float *x = op->x + (size_t)c * size + from;
        float *y = op->y + (size_t)c * size + from;
        memset(sum, 0, sizeof sum);
        for (int64_t other = first; other <= last; other++) {
            const float *z = op->x + (size_t)other * size + from;
            for (size_t i = 0; i < to - from; i++)
                sum[i] += z[i] * z[i];
        }
        for (size_t i = 0; i < to - from; i++) {
            const float root = sqrtf(op->k + op->alpha * sum[i]);
            const float divided = x[i] * (1.0f / (root * sqrtf(root)));
            uint32_t bits;
            memcpy(&bits, &divided, sizeof bits);
            y[i] = divided;
            /* 0 by infinity isn't, where alpha or k is 0; see dc_all_finite. */
            found |= (bits & 0x7f800000) == 0x7f800000;
        }
    }
    return !found;
}

DC_INLINE int normalize(const struct dc_operation *op, size_t task, size_t tasks)
{
    const struct dc_geometry *g = &op->geometry;
    const size_t size = (size_t)(g->height * g->width * g->batch);
    const size_t end = dc_begin(size, task + 1, tasks);
    int is_finite = 1;
    for (size_t from = dc_begin(size, task, tasks); from < end; from += NORM_RUN)
        is_finite &=
            normalize_run(op, from, from + NORM_RUN < end ? from + NORM_RUN : end, size);
    return is_finite;
}

#undef CHAINS

#endif
