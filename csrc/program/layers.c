/* Max pooling, averages and normalization, channel by channel: nn/pool.py and nn/norm.py define
 * them. */
#include <math.h>
#include <string.h>

#include "program/program.h"
#include "tasks.h"

static inline float larger(float a, float b)
{
    return a > b ? a : b;
}

/* to = max(to, from), for every `stride`-th pixel of `batch` elements. */
static void take_larger(float *restrict to, const float *restrict from, size_t pixels,
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

/* A row of the output from the largest of each column of its windows. */
static void pool_row(const struct dc_geometry *g, const float *columns, float *to)
{
    const size_t batch = (size_t)g->batch;
    for (size_t i = 0; i < (size_t)g->out_width * batch; i++)
        to[i] = -INFINITY;
    for (int64_t place = 0; place < g->kernel; place++) {
        /* The windows whose pixel at this place lies in the image. */
        const int64_t off = g->padding - place, s = g->stride;
        const int64_t first = off > 0 ? (off + s - 1) / s : 0;
        const int64_t beyond = g->width - 1 + off < 0 ? 0 : (g->width - 1 + off) / s + 1;
        const int64_t end = beyond < g->out_width ? beyond : g->out_width;
        if (first < end)
            take_larger(to + (size_t)first * batch, columns + (size_t)(first * s - off) * batch,
                        (size_t)(end - first), (size_t)s, batch);
    }
}

int dc_max_pool(const struct dc_operation *op, size_t task, size_t tasks, float *scratch)
{
    const struct dc_geometry *g = &op->geometry;
    const size_t row_size = (size_t)(g->width * g->batch);
    const size_t out_size = (size_t)(g->out_width * g->batch);
    const size_t channels = (size_t)g->channels, end = dc_begin(channels, task + 1, tasks);
    for (size_t c = dc_begin(channels, task, tasks); c < end; c++)
        for (int64_t i = 0; i < g->out_height; i++) {
            const int64_t top = i * g->stride - g->padding;
            const int64_t first = top > 0 ? top : 0;
            const int64_t last = top + g->kernel < g->height ? top + g->kernel : g->height;
            const float *row = op->x + (c * (size_t)g->height + (size_t)first) * row_size;
            memcpy(scratch, row, row_size * sizeof *row);
            for (int64_t h = first + 1; h < last; h++)
                take_larger(scratch, row += row_size, row_size, 1, 1);
            pool_row(g, scratch, op->y + (c * (size_t)g->out_height + (size_t)i) * out_size);
        }
    return 1;
}

int dc_average(const struct dc_operation *op, size_t task, size_t tasks)
{
    const struct dc_geometry *g = &op->geometry;
    const size_t batch = (size_t)g->batch, size = (size_t)(g->height * g->width) * batch;
    const size_t channels = (size_t)g->channels;
    const size_t first = dc_begin(channels, task, tasks), end = dc_begin(channels, task + 1, tasks);
    const float *x = op->x + first * size;
    for (size_t c = first; c < end; c++, x += size)
        for (size_t b = 0; b < batch; b++) {
            double sum = 0;
            for (size_t i = b; i < size; i += batch)
                sum += x[i];
            op->y[c * batch + b] = (float)(sum / (double)(g->height * g->width));
        }
    return dc_all_finite(op->y + first * batch, (end - first) * batch);
}

/* Elements from `from` to before `to` of all channels, at most NORM_RUN. */
#define NORM_RUN 256

static int normalize_run(const struct dc_operation *op, size_t from, size_t to, size_t size)
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

int dc_normalize(const struct dc_operation *op, size_t task, size_t tasks)
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
