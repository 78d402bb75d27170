/* A depthwise convolution, for each instruction set compiled anew: a row of the output is the sum
 * of rows of the image, each times a weight. nn/conv.py defines it.
 *
 * Weights are few, and read from a dense array; the work is in the pixels. */
#ifndef DC_DEPTHWISE_H
#define DC_DEPTHWISE_H

#include "program/program.h"

/* to += weight * from, for every `stride`-th pixel of `batch` elements. */
DC_INLINE void add_row(float *restrict to, const float *restrict from, size_t pixels,
                       size_t stride, size_t batch, float weight)
{
    if (stride == 1)
        for (size_t i = 0; i < pixels * batch; i++)
            to[i] += weight * from[i];
    else if (stride == 2 && batch == 1) /* a constant, of which compilers make vectors */
        for (size_t i = 0; i < pixels; i++)
            to[i] += weight * from[2 * i];
    else
        for (size_t i = 0; i < pixels; i++)
            for (size_t b = 0; b < batch; b++)
                to[i * batch + b] += weight * from[i * stride * batch + b];
}

/* A row of the output, which has the bias. */
DC_INLINE void depthwise_row(const struct dc_geometry *g, const float *image,
                             const float *weights, int64_t row, float *to)
{
    const size_t batch = (size_t)g->batch;
    const int64_t s = g->stride[1];
    for (int64_t i = 0; i < g->kernel[0]; i++) {
        const int64_t h = row * g->stride[0] - g->padding[0] + i * g->dilation[0];
        if (h < 0 || h >= g->height)
            continue;
        const float *from = image + (size_t)(h * g->width) * batch;
        for (int64_t j = 0; j < g->kernel[1]; j++) {
            /* The windows whose pixel at this place lies in the image. */
            const int64_t off = g->padding[1] - j * g->dilation[1];
            const int64_t first = off > 0 ? (off + s - 1) / s : 0;
            const int64_t beyond = g->width - 1 + off < 0 ? 0 : (g->width - 1 + off) / s + 1;
            const int64_t end = beyond < g->out_width ? beyond : g->out_width;
            if (first < end)
                add_row(to + (size_t)first * batch, from + (size_t)(first * s - off) * batch,
                        (size_t)(end - first), (size_t)s, batch, weights[i * g->kernel[1] + j]);
        }
    }
}

DC_INLINE int depthwise(const struct dc_operation *op, size_t first, size_t last)
{
    const struct dc_geometry *g = &op->geometry;
    const size_t each = (size_t)(op->outputs / g->channels);
    const size_t places = (size_t)(g->kernel[0] * g->kernel[1]);
    const size_t image = (size_t)(g->height * g->width * g->batch);
    const size_t row_size = (size_t)(g->out_width * g->batch);
    int is_finite = 1;
    for (size_t output = first; output < last; output++) {
        float *y = op->y + output * (size_t)g->out_height * row_size;
        for (int64_t row = 0; row < g->out_height; row++, y += row_size) {
            for (size_t k = 0; k < row_size; k++)
                y[k] = op->bias[output];
            depthwise_row(g, op->x + output / each * image, op->dense + output * places, row, y);
            is_finite &= rectified(op, y, row_size);
        }
    }
    return is_finite;
}

#endif
