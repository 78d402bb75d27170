/* Winograd's transforms, one stretch of tiles at a time, for each instruction set compiled anew:
 * loops over pixels or tiles, of which compilers make vectors. spmv/winograd.py has the matrices. */
#ifndef DC_WINOGRAD_TRANSFORMS_H
#define DC_WINOGRAD_TRANSFORMS_H

#include <math.h>
#include <string.h>

#include "spconv/winograd.h"

#define PIXELS (DC_EDGE * DC_BAND + 2) /* of the image's row below the tiles of a band */
#define ROOM (PIXELS + 14)

/* To six rows from six, for each of `count` columns. */
DC_INLINE void six_to_six(const float *const r[DC_REACH], size_t count, float *restrict a,
                          float *restrict b, float *restrict c, float *restrict d,
                          float *restrict e, float *restrict f)
{
    const float *r0 = r[0], *r1 = r[1], *r2 = r[2], *r3 = r[3], *r4 = r[4], *r5 = r[5];
    for (size_t k = 0; k < count; k++) {
        const float even = r4[k] - 4.0f * r2[k], odd = r3[k] - 4.0f * r1[k];
        const float near = r4[k] - r2[k], far = 2.0f * (r3[k] - r1[k]);
        a[k] = 4.0f * r0[k] - 5.0f * r2[k] + r4[k];
        b[k] = even + odd;
        c[k] = even - odd;
        d[k] = near + far;
        e[k] = near - far;
        f[k] = 4.0f * r1[k] - 5.0f * r3[k] + r5[k];
    }
}

/* To four rows from six. */
DC_INLINE void six_to_four(const float *const r[DC_REACH], size_t count, float *restrict a,
                           float *restrict b, float *restrict c, float *restrict d)
{
    const float *r0 = r[0], *r1 = r[1], *r2 = r[2], *r3 = r[3], *r4 = r[4], *r5 = r[5];
    for (size_t k = 0; k < count; k++) {
        const float sum = r1[k] + r2[k], difference = r1[k] - r2[k];
        const float far_sum = r3[k] + r4[k], far_difference = r3[k] - r4[k];
        a[k] = r0[k] + sum + far_sum;
        b[k] = difference + 2.0f * far_difference;
        c[k] = sum + 4.0f * far_sum;
        d[k] = difference + 8.0f * far_difference + r5[k];
    }
}

/* The image's tiles of a channel at `x`: place p of the first goes to to[p * apart + tiles->at]. */
DC_INLINE void transform(const struct dc_geometry *g, const float *x, const struct dc_tiles *tiles,
                         float *to, size_t apart)
{
    const size_t pixels = DC_EDGE * tiles->count + 2;
    const int64_t left = tiles->column - g->padding[1];
    const int64_t skipped = left < 0 ? -left : 0;
    const int64_t seen = g->width - left < (int64_t)pixels ? g->width - left : (int64_t)pixels;
    const float zeros[ROOM] = {0};
    float rows[DC_REACH][ROOM], phases[DC_EDGE][DC_BAND + 9];
    const float *image[DC_REACH];
    if (seen <= skipped) {
        for (size_t p = 0; p < DC_PLACES; p++)
            memset(to + p * apart + tiles->at, 0, tiles->count * sizeof *to);
        return;
    }
    for (int64_t i = 0; i < DC_REACH; i++) {
        const int64_t row = tiles->row - g->padding[0] + i;
        image[i] = row < 0 || row >= g->height ? zeros : x + row * g->width + left + skipped;
        memset(rows[i], 0, (size_t)skipped * sizeof **rows);
        memset(rows[i] + seen, 0, (pixels - (size_t)seen) * sizeof **rows);
    }
    six_to_six(image, (size_t)(seen - skipped), rows[0] + skipped, rows[1] + skipped,
               rows[2] + skipped, rows[3] + skipped, rows[4] + skipped, rows[5] + skipped);
    const float *across[DC_REACH] = {phases[0],     phases[1],     phases[2],
                                     phases[3],     phases[0] + 1, phases[1] + 1};
    for (size_t i = 0; i < DC_REACH; i++, to += DC_REACH * apart) {
        float *first = to + tiles->at;
        for (size_t k = 0; k < tiles->count; k++)
            for (size_t q = 0; q < DC_EDGE; q++)
                phases[q][k] = rows[i][DC_EDGE * k + q];
        phases[0][tiles->count] = rows[i][DC_EDGE * tiles->count];
        phases[1][tiles->count] = rows[i][DC_EDGE * tiles->count + 1];
        six_to_six(across, tiles->count, first, first + apart, first + 2 * apart,
                   first + 3 * apart, first + 4 * apart, first + 5 * apart);
    }
}

/* `count` pixels of the output from their sums; returns 1 if all are finite before the ReLU. */
DC_INLINE int finish_pixels(const struct dc_operation *op, const float *restrict sums, size_t count,
                            float added, float *restrict to)
{
    uint32_t found = 0;
    const float lowest = op->relu ? 0.0f : -INFINITY, high = op->relu ? op->high : INFINITY;
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

/* The output's tiles in the channel at `y`, of the sums of each place. */
DC_INLINE int restore(const struct dc_operation *op, const float *sums, size_t apart,
                      const struct dc_tiles *tiles, float added, float *y)
{
    const struct dc_geometry *g = &op->geometry;
    const size_t count = tiles->count;
    float rows[DC_EDGE][DC_REACH][DC_BAND], phases[DC_EDGE][DC_BAND], pixels[DC_EDGE * DC_BAND];
    int is_finite = 1;
    for (size_t j = 0; j < DC_REACH; j++) {
        const float *down[DC_REACH];
        for (size_t i = 0; i < DC_REACH; i++)
            down[i] = sums + (DC_REACH * i + j) * apart + tiles->at;
        six_to_four(down, count, rows[0][j], rows[1][j], rows[2][j], rows[3][j]);
    }
    const int64_t left = g->out_width - tiles->column;
    const size_t seen = left < (int64_t)(DC_EDGE * count) ? (size_t)left : DC_EDGE * count;
    for (int64_t i = 0; i < DC_EDGE && tiles->row + i < g->out_height; i++) {
        const float *across[DC_REACH];
        for (size_t j = 0; j < DC_REACH; j++)
            across[j] = rows[i][j];
        six_to_four(across, count, phases[0], phases[1], phases[2], phases[3]);
        for (size_t k = 0; k < count; k++)
            for (size_t q = 0; q < DC_EDGE; q++)
                pixels[DC_EDGE * k + q] = phases[q][k];
        is_finite &= finish_pixels(op, pixels, seen, added,
                                   y + (tiles->row + i) * g->out_width + tiles->column);
    }
    return is_finite;
}

#undef PIXELS
#undef ROOM

#endif
