/* Products from a layout in lists: the portable kernels.
 *
 * What fills up the last eight of a row has the weight 0 and thus adds nothing, as x is finite. */
#include <string.h>

#include "layout/layout.h"
#include "platform.h"
#include "spmv/spmm_tiled.h"
#include "spmv/spmv.h"

struct eight {
    uint16_t col[DC_EIGHT];
    float weight[DC_EIGHT];
};

static inline struct eight load_eight(const uint8_t *data)
{
    struct eight e;
    for (unsigned k = 0; k < DC_EIGHT; k += 4) {
        const uint64_t cols = dc_load8(data + k * sizeof *e.col);
        for (unsigned i = 0; i < 4; i++)
            e.col[k + i] = (uint16_t)(cols >> 16 * i);
    }
    for (unsigned k = 0; k < DC_EIGHT; k++) {
        const uint32_t bits = dc_load4(data + sizeof e.col + k * sizeof bits);
        memcpy(e.weight + k, &bits, sizeof bits);
    }
    return e;
}

void dc_spmv_lists_scalar(const struct dc_layout *w, const float *x, float *y, size_t first,
                          size_t last)
{
    for (size_t r = first; r < last; r++) {
        const uint8_t *end = w->data + w->starts[r + 1];
        float sum[DC_EIGHT] = {0.0f};
        for (const uint8_t *at = w->data + w->starts[r]; at < end; at += DC_EIGHT_BYTES) {
            const struct eight e = load_eight(at);
            for (unsigned k = 0; k < DC_EIGHT; k++)
                sum[k] = dc_multiply_add(e.weight[k], x[e.col[k]], sum[k]);
        }
        y[r] = ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
    }
}

void dc_spmm_lists_scalar(const struct dc_layout *w, const float *x, size_t ldx, float *y,
                          size_t ldy, size_t n, size_t first, size_t last, void *scratch)
{
    (void)scratch;
    for (size_t r = first; r < last; r++) {
        const uint8_t *end = w->data + w->starts[r + 1];
        float *restrict to = y + r * ldy;
        memset(to, 0, n * sizeof *to);
        for (const uint8_t *at = w->data + w->starts[r]; at < end; at += DC_EIGHT_BYTES) {
            const struct eight e = load_eight(at);
            for (unsigned k = 0; k < DC_EIGHT; k++) {
                const float *from = x + e.col[k] * ldx, weight = e.weight[k];
                for (size_t j = 0; j < n; j++)
                    to[j] = dc_multiply_add(weight, from[j], to[j]);
            }
        }
    }
}

/* Without what fills up a row, whose label is 0. */
void dc_unpack_lists(const struct dc_layout *w, size_t row, uint32_t *entries, size_t stride)
{
    (void)stride; /* of one row */
    const uint8_t *end = w->data + w->starts[row + 1];
    const uint8_t *label = w->data + w->starts[w->rows] + w->starts[row] / DC_EIGHT_BYTES * DC_EIGHT;
    for (const uint8_t *at = w->data + w->starts[row]; at < end; at += DC_EIGHT_BYTES) {
        const struct eight e = load_eight(at);
        for (unsigned k = 0; k < DC_EIGHT; k++, label++) {
            *entries = (uint32_t)e.col[k] << 8 | *label;
            entries += *label != 0;
        }
    }
    entries[0] = entries[1] = DC_END;
}
