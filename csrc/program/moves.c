/* Numbers that are moved, and nothing else: nn/rearranging.py and transposed.py define where to. */
#include <string.h>

#include "program/program.h"
#include "tasks.h"

void dc_pad(const struct dc_operation *op, size_t task, size_t tasks)
{
    const struct dc_geometry *g = &op->geometry;
    const size_t batch = (size_t)g->batch, row_size = (size_t)g->out_width * batch;
    const size_t image = (size_t)g->out_height * row_size, apart = (size_t)g->stride[1];
    const size_t channels = (size_t)g->channels, end = dc_begin(channels, task + 1, tasks);
    const float *x = op->x + dc_begin(channels, task, tasks) * (size_t)(g->height * g->width) * batch;
    for (size_t c = dc_begin(channels, task, tasks); c < end; c++) {
        float *y = op->y + c * image;
        memset(y, 0, image * sizeof *y);
        y += (size_t)g->padding[0] * row_size + (size_t)g->padding[1] * batch;
        for (int64_t i = 0; i < g->height; i++, y += (size_t)g->stride[0] * row_size)
            if (apart == 1) {
                memcpy(y, x, (size_t)g->width * batch * sizeof *y);
                x += (size_t)g->width * batch;
            } else {
                for (int64_t j = 0; j < g->width; j++, x += batch)
                    memcpy(y + (size_t)j * apart * batch, x, batch * sizeof *y);
            }
    }
}

void dc_permute(const struct dc_operation *op, size_t task, size_t tasks)
{
    const struct dc_geometry *g = &op->geometry; /* of y */
    const size_t batch = (size_t)g->batch, rows = (size_t)(g->channels * g->height);
    const size_t height = (size_t)g->height, width = (size_t)g->width;
    const size_t end = dc_begin(rows, task + 1, tasks);
    for (size_t row = dc_begin(rows, task, tasks); row < end; row++) {
        const float *x = op->x + row / height * (size_t)op->step[0] +
                         row % height * (size_t)op->step[1];
        float *y = op->y + row * width * batch;
        for (size_t j = 0; j < width; j++)
            for (size_t b = 0; b < batch; b++)
                y[j * batch + b] = x[j * (size_t)op->step[2] + b];
    }
}
