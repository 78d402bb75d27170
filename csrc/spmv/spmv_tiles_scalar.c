/* Products from a layout in tiles: the portable kernels.
 *
 * Padding has the weight 0 and thus adds nothing, as x is finite. */
#include <string.h>

#include "spmv/spmv.h"
#include "layout/tiles.h"

static size_t rows_of(const struct dc_layout *w, size_t part)
{
    const size_t rows = (size_t)w->rows - part * DC_TILED_ROWS;
    return rows < DC_TILED_ROWS ? rows : DC_TILED_ROWS;
}

void dc_spmv_tiles_scalar(const struct dc_layout *w, const float *x, float *y, size_t first,
                          size_t last)
{
    const unsigned label_bits = w->label_bits, tile_bits = dc_tile_bits(label_bits);
    const unsigned label_mask = (1u << label_bits) - 1;
    const size_t tiles = dc_tile_count(w->cols, label_bits);
    for (size_t part = first; part < last; part++) {
        float sums[DC_TILED_ROWS] = {0.0f};
        for (size_t tile = 0; tile < tiles; tile++) {
            const float *of_tile = x + (tile << tile_bits);
            const uint8_t *p = dc_tile_at(w, part, tile), *end = dc_tile_at(w, part, tile + 1);
            while (p < end) {
                const struct dc_group group = dc_group_at(p);
                p = dc_after_group(&group);
                for (size_t lane = 0; lane < DC_TILE_LANES; lane++) {
                    float sum = sums[group.rows[lane]];
                    for (const uint8_t *step = group.steps; step < p; step += DC_STEP_BYTES) {
                        const unsigned entry = dc_tile_entry(step, lane);
                        sum += w->codebook[entry & label_mask] * of_tile[entry >> label_bits];
                    }
                    sums[group.rows[lane]] = sum;
                }
            }
        }
        memcpy(y + part * DC_TILED_ROWS, sums, rows_of(w, part) * sizeof *y);
    }
}

void dc_spmm_tiles_scalar(const struct dc_layout *w, const float *x, size_t ldx, float *y,
                          size_t ldy, size_t n, size_t first, size_t last, void *scratch)
{
    (void)scratch;
    const unsigned label_bits = w->label_bits, tile_bits = dc_tile_bits(label_bits);
    const unsigned label_mask = (1u << label_bits) - 1;
    const size_t tiles = dc_tile_count(w->cols, label_bits);
    for (size_t part = first; part < last; part++) {
        float *own = y + part * DC_TILED_ROWS * ldy;
        for (size_t r = 0; r < rows_of(w, part); r++)
            memset(own + r * ldy, 0, n * sizeof *y);
        for (size_t tile = 0; tile < tiles; tile++) {
            const float *of_tile = x + (tile << tile_bits) * ldx;
            const uint8_t *p = dc_tile_at(w, part, tile), *end = dc_tile_at(w, part, tile + 1);
            while (p < end) {
                const struct dc_group group = dc_group_at(p);
                p = dc_after_group(&group);
                for (size_t lane = 0; lane < DC_TILE_LANES; lane++)
                    for (const uint8_t *step = group.steps; step < p; step += DC_STEP_BYTES) {
                        const unsigned entry = dc_tile_entry(step, lane);
                        if (!(entry & label_mask))
                            break; /* padding, of a row that there needn't be */
                        const float weight = w->codebook[entry & label_mask];
                        const float *restrict from = of_tile + (entry >> label_bits) * ldx;
                        float *restrict to = own + group.rows[lane] * ldy;
                        for (size_t j = 0; j < n; j++)
                            to[j] += weight * from[j];
                    }
            }
        }
    }
}
