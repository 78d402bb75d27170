/* Products of a block of W with a tile of X: the portable kernel. */
#include <string.h>

#include "spconv/spconv.h"
#include "spconv/spconv_gather.h"

#define STRIP 16 /* columns whose sums a compiler keeps in registers */

static inline void strip_product(const uint16_t *data, size_t count, const float *codebook,
                                 const float *tile, size_t stride, float *sums, size_t width,
                                 int first)
{
    float sum[STRIP] = {0.0f};
    if (!first)
        memcpy(sum, sums, width * sizeof *sum);
    for (size_t i = 0; i < count; i++) {
        const float *from = tile + (data[i] & 255) * stride;
        const float weight = codebook[data[i] >> 8];
        for (size_t j = 0; j < width; j++)
            sum[j] += weight * from[j];
    }
    memcpy(sums, sum, width * sizeof *sum);
}

const uint16_t *dc_block_product_scalar(const uint16_t *data, size_t rows, const float *codebook,
                                        const float *tile, float *sums, unsigned vectors,
                                        int first)
{
    const size_t stride = (size_t)vectors * DC_VECTOR;
    for (; rows > 0; rows--, sums += stride) {
        const size_t count = *data++;
        size_t j = 0;
        for (; j + STRIP <= stride; j += STRIP)
            strip_product(data, count, codebook, tile + j, stride, sums + j, STRIP, first);
        if (j < stride)
            strip_product(data, count, codebook, tile + j, stride, sums + j, STRIP / 2, first);
        data += count;
    }
    return data;
}

void dc_gather_scalar(const struct dc_geometry *g, const float *x, const struct dc_panel *panel,
                    size_t first, size_t last, float *tile)
{
    gather(g, x, panel, first, last, tile);
}

int dc_finish_scalar(const struct dc_convolution *c, const float *sums, size_t count, float added,
                   float *to)
{
    return finish(c, sums, count, added, to);
}
