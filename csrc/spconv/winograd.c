/* Convolution of an image with dense kernels of 3x3 by Winograd's F(4x4, 3x3), which multiplies a
 * quarter as often (Lavin and Gray 2016); spmv/winograd.py defines it.
 *
 * Tiles of 6x6 pixels, four apart, are transformed to 36 numbers, and each of these is multiplied
 * with the transformed kernels for all channels: 36 products of matrices, by the kernel for dense
 * convolutions. Their sums are transformed back to 4x4 pixels. A band of up to 96 tiles goes all
 * the way at a time, so that what lies between stays near. */
#include <string.h>

#include "spconv/spconv.h"
#include "tasks.h"
#include "spconv/winograd.h"

#define DEPTH 64    /* channels of a tile for the kernel, which the first cache holds */
#define OUTPUTS 128 /* whose sums are held at a time */
#define PAGE 1024   /* elements, after which addresses have the same sets of a first cache */
#define ALIGNMENT 64

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t along(int64_t extent)
{
    return ((size_t)extent + DC_EDGE - 1) / DC_EDGE;
}

static size_t tiles_of(const struct dc_geometry *g)
{
    return along(g->out_height) * along(g->out_width);
}

size_t dc_winograd_bands(const struct dc_geometry *g)
{
    const size_t bands = (tiles_of(g) + DC_BAND - 1) / DC_BAND;
    return bands == 1 ? 1 : (bands + 1) / 2 * 2; /* two threads have as many each */
}

/* Elements from a place's numbers to those of the next: behind each other in a first cache, in which
 * those of all 36 are written and read together. */
static size_t apart(size_t rows, size_t width)
{
    return (rows * width + PAGE - 1) / PAGE * PAGE + width;
}

/* A band as rows of tiles; returns how many these are. */
static size_t stretches(const struct dc_geometry *g, size_t begin, size_t end,
                        struct dc_tiles *to)
{
    const size_t width = along(g->out_width);
    size_t count = 0;
    for (size_t at = begin; at < end; count++) {
        const size_t row = at / width, column = at % width;
        to[count] = (struct dc_tiles){at - begin, least(width - column, end - at),
                                      DC_EDGE * (int64_t)row, DC_EDGE * (int64_t)column};
        at += to[count].count;
    }
    return count;
}

/* The sums of outputs [first, last) for each of the 36 places. */
static void multiply(const struct dc_kernels *kernels, const struct dc_operation *op, size_t first,
                     size_t last, const float *images, unsigned vectors, float *sums)
{
    const size_t depth = (size_t)op->geometry.channels, width = vectors * DC_VECTOR;
    for (size_t place = 0; place < DC_PLACES; place++, images += apart(depth, width)) {
        const float *w = op->dense + place * depth * (size_t)op->outputs;
        for (size_t begin = 0; begin < depth; begin += DEPTH) {
            const size_t cols = least(DEPTH, depth - begin);
            kernels->dense(w + begin * (size_t)op->outputs + first * cols, cols, last - first, cols,
                           images + begin * width, sums, vectors, begin == 0);
        }
        sums += apart(last - first, width);
    }
}

static int band(const struct dc_kernels *kernels, const struct dc_operation *op, size_t begin,
                size_t end, float *images, float *sums)
{
    const struct dc_geometry *g = &op->geometry;
    const size_t channels = (size_t)g->channels, outputs = (size_t)op->outputs;
    const unsigned vectors = (unsigned)((end - begin + DC_VECTOR - 1) / DC_VECTOR);
    const size_t width = vectors * DC_VECTOR, step = apart(channels, width);
    const size_t place = (size_t)(g->out_height * g->out_width);
    struct dc_tiles tiles[DC_BAND];
    const size_t count = stretches(g, begin, end, tiles);
    int is_finite = 1;
    for (size_t c = 0; c < channels; c++) {
        const float *x = op->x + c * (size_t)(g->height * g->width);
        for (size_t i = 0; i < count; i++)
            kernels->transform(g, x, tiles + i, images + c * width, step);
        for (size_t i = 0; i < DC_PLACES && end - begin < width; i++)
            memset(images + i * step + c * width + (end - begin), 0,
                   (width - (end - begin)) * sizeof *images);
    }
    for (size_t first = 0; first < outputs; first += OUTPUTS) {
        const size_t last = least(first + OUTPUTS, outputs);
        multiply(kernels, op, first, last, images, vectors, sums);
        for (size_t o = first; o < last; o++)
            for (size_t i = 0; i < count; i++)
                is_finite &= kernels->restore(op, sums + (o - first) * width, apart(last - first, width),
                                              tiles + i, op->bias[o], op->y + o * place);
    }
    return is_finite;
}

int dc_winograd(enum dc_isa isa, const struct dc_operation *op, size_t first, size_t end,
                void *scratch)
{
    const size_t tiles = tiles_of(&op->geometry), bands = dc_winograd_bands(&op->geometry);
    float *images = (float *)(((uintptr_t)scratch + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    float *sums = images + DC_PLACES * apart((size_t)op->geometry.channels, DC_BAND);
    int is_finite = 1;
    for (size_t i = first; i < end; i++) /* of about the same width */
        is_finite &= band(dc_kernels_of(isa), op, dc_begin(tiles, i, bands),
                          dc_begin(tiles, i + 1, bands), images, sums);
    return is_finite;
}

size_t dc_winograd_scratch(const struct dc_operation *op)
{
    const size_t most = apart((size_t)op->geometry.channels, DC_BAND) +
                        apart(least((size_t)op->outputs, OUTPUTS), DC_BAND);
    return DC_PLACES * most * sizeof(float) + ALIGNMENT;
}
