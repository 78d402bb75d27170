/* Products from a layout: the portable kernels.
 *
 * A filler, and what pads a row, has the weight 0 and thus adds nothing, as x is finite. */
#include <string.h>

#include "bits/bitreader.h"
#include "platform.h"
#include "layout/layout.h"
#include "spmv/spmv.h"

static inline size_t lanes_in_use(const struct dc_layout *w, size_t group)
{
    size_t rows = (size_t)w->rows - group * DC_LANES;
    return rows < DC_LANES ? rows : DC_LANES;
}

/* In line, so that it is compiled for each pair of widths: shifts by a constant take a third
 * of the time, and half of the instructions are shifts and masks.
 *
 * Two lanes at a time, as their values begin at a byte, from one end of the group to the other:
 * with the lanes in turn for each quad, a fifth of the time went to keeping their places and
 * sums in memory. Eight sums, so that no addition waits for the one before it. */
DC_INLINE void lanes_product(const struct dc_layout *w, const float *x, float *y, size_t first,
                                 size_t last, unsigned gap_bits, unsigned label_bits)
{
    const unsigned gap_mask = (1u << gap_bits) - 1, label_mask = (1u << label_bits) - 1;
    const size_t quad_bytes = dc_quad_bytes(gap_bits, label_bits);
    float codebook[256]; /* its own, so that the compiler knows that y isn't in it */
    memcpy(codebook, w->codebook, w->centroids * sizeof *codebook);
    for (size_t g = first; g < last; g++) {
        const size_t lanes = lanes_in_use(w, g);
        const uint8_t *begin = w->data + w->starts[g], *end = w->data + w->starts[g + 1];
        for (size_t l = 0; l < lanes; l += 2) {
            const float *at[2] = {x, x};
            float sums[2][DC_STEPS] = {{0.0f}};
            for (const uint8_t *gaps = begin; gaps < end; gaps += quad_bytes) {
                const uint64_t gap = dc_load8(gaps + l / 2 * gap_bits);
                const uint64_t label = dc_load8(gaps + 8 * gap_bits + l / 2 * label_bits);
                for (unsigned i = 0; i < 2; i++)
                    for (unsigned k = 0; k < DC_STEPS; k++) {
                        const unsigned value = i * DC_STEPS + k;
                        at[i] += gap >> value * gap_bits & gap_mask;
                        sums[i][k] = dc_multiply_add(
                            codebook[label >> value * label_bits & label_mask], *at[i], sums[i][k]);
                    }
            }
            for (size_t i = 0; i < 2 && l + i < lanes; i++)
                y[w->order[g * DC_LANES + l + i]] =
                    (sums[i][0] + sums[i][1]) + (sums[i][2] + sums[i][3]);
        }
    }
}

#define FOR_WIDTHS(gap_bits, label_bits)                                                          \
    case 8 * gap_bits + label_bits:                                                               \
        lanes_product(w, x, y, first, last, gap_bits, label_bits);                                \
        break;
#define FOR_GAPS(gap_bits)                                                                        \
    FOR_WIDTHS(gap_bits, 1)                                                                       \
    FOR_WIDTHS(gap_bits, 2)                                                                       \
    FOR_WIDTHS(gap_bits, 3)                                                                       \
    FOR_WIDTHS(gap_bits, 4)                                                                       \
    FOR_WIDTHS(gap_bits, 5)                                                                       \
    FOR_WIDTHS(gap_bits, 6)                                                                       \
    FOR_WIDTHS(gap_bits, 7)                                                                       \
    FOR_WIDTHS(gap_bits, 8)

void dc_spmv_lanes_scalar(const struct dc_layout *w, const float *x, float *y, size_t first,
                          size_t last)
{
    switch (8 * w->gap_bits + w->label_bits) {
        FOR_GAPS(1)
        FOR_GAPS(2)
        FOR_GAPS(3)
        FOR_GAPS(4)
        FOR_GAPS(5)
        FOR_GAPS(6)
        FOR_GAPS(7)
        FOR_GAPS(8)
    }
}

#define TAKEN 256 /* entries of a row that are unpacked at a time */
#define STRIP 16  /* columns whose sums a compiler keeps in registers */

/* Entries of a row, not fillers. */
struct taken {
    size_t count;
    float weight[TAKEN];
    const float *from[TAKEN]; /* the row of X */
};

/* Adds their products to a row of Y, and begins anew. */
static void add_products(struct taken *taken, float *restrict to, size_t n)
{
    size_t j = 0;
    for (; j + STRIP <= n; j += STRIP) {
        float sum[STRIP];
        memcpy(sum, to + j, sizeof sum);
        for (size_t i = 0; i < taken->count; i++) {
            const float *from = taken->from[i] + j;
            for (size_t k = 0; k < STRIP; k++)
                sum[k] = dc_multiply_add(taken->weight[i], from[k], sum[k]);
        }
        memcpy(to + j, sum, sizeof sum);
    }
    for (size_t i = 0; i < taken->count; i++)
        for (size_t k = j; k < n; k++)
            to[k] = dc_multiply_add(taken->weight[i], taken->from[i][k], to[k]);
    taken->count = 0;
}

void dc_spmm_lanes_scalar(const struct dc_layout *w, const float *x, size_t ldx, float *y,
                          size_t ldy, size_t n, size_t first, size_t last, void *scratch)
{
    (void)scratch;
    const unsigned gap_bits = w->gap_bits, label_bits = w->label_bits;
    const unsigned gap_mask = (1u << gap_bits) - 1, label_mask = (1u << label_bits) - 1;
    struct taken taken = {.count = 0};
    for (size_t g = first; g < last; g++) {
        const uint8_t *end = w->data + w->starts[g + 1];
        for (size_t l = 0; l < lanes_in_use(w, g); l++) {
            float *to = y + w->order[g * DC_LANES + l] * ldy;
            memset(to, 0, n * sizeof *to);
            size_t col = 0;
            for (const uint8_t *gaps = w->data + w->starts[g]; gaps < end;) {
                const uint8_t *labels = gaps + 8 * gap_bits;
                uint64_t gap = dc_load_lane(gaps, l, gap_bits);
                uint64_t label = dc_load_lane(labels, l, label_bits);
                for (unsigned step = 0; step < DC_STEPS; step++) {
                    col += gap & gap_mask;
                    taken.from[taken.count] = x + col * ldx;
                    taken.weight[taken.count] = w->codebook[label & label_mask];
                    taken.count += (label & label_mask) != 0;
                    gap >>= gap_bits;
                    label >>= label_bits;
                }
                if (taken.count + DC_STEPS > TAKEN)
                    add_products(&taken, to, n);
                gaps = labels + 8 * label_bits;
            }
            add_products(&taken, to, n);
        }
    }
}

void dc_spmv_masks_scalar(const struct dc_layout *w, const float *x, float *y, size_t first,
                          size_t last)
{
    const size_t masks = dc_mask_count(w->cols);
    for (size_t r = first; r < last; r++) {
        const uint8_t *label = w->data + w->starts[r];
        float sums[4] = {0.0f}; /* by turns of the mask */
        for (size_t i = 0; i < masks; i++)
            for (uint64_t mask = dc_load8(w->data + (r * masks + i) * 8); mask; mask &= mask - 1) {
                unsigned bit = dc_lowest_bit(mask);
                const float at = x[i * DC_MASK_COLS + dc_column_of_bit(bit)];
                sums[bit % 4] = dc_multiply_add(w->codebook[*label++], at, sums[bit % 4]);
            }
        y[r] = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    }
}

void dc_spmm_masks_scalar(const struct dc_layout *w, const float *x, size_t ldx, float *y,
                          size_t ldy, size_t n, size_t first, size_t last, void *scratch)
{
    (void)scratch;
    const size_t masks = dc_mask_count(w->cols);
    struct taken taken = {.count = 0};
    for (size_t r = first; r < last; r++) {
        const uint8_t *label = w->data + w->starts[r];
        float *to = y + r * ldy;
        memset(to, 0, n * sizeof *to);
        for (size_t i = 0; i < masks; i++) {
            for (uint64_t mask = dc_load8(w->data + (r * masks + i) * 8); mask; mask &= mask - 1) {
                size_t col = i * DC_MASK_COLS + dc_column_of_bit(dc_lowest_bit(mask));
                taken.from[taken.count] = x + col * ldx;
                taken.weight[taken.count++] = w->codebook[*label++];
            }
            if (taken.count + DC_MASK_COLS > TAKEN)
                add_products(&taken, to, n);
        }
        add_products(&taken, to, n);
    }
}
