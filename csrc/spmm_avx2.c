/* Y = W X from lanes, up to 96 columns of X at a time, in tiles of W's columns.
 *
 * Rows of W are unpacked into the caller's scratch memory, an entry to a dword: its column above,
 * its label in the low byte. They are then gone through tile by tile: the rows of X that belong
 * to a tile are copied side by side, aligned, so that they stay near while each row of W takes
 * what it needs of them, and no load touches two lines of the cache. */
#include <string.h>

#include "layout.h"
#include "spmv.h"
#include "unpack_avx2.h"

#if DC_X86
#define ROWS 1024             /* of W that are unpacked at once, */
#define ENTRY_BYTES (4 << 20) /* if they take no more than that, but at least those of a group */
#define TILE_BYTES (48 << 10) /* of X: with tiles that the first cache held as a whole, rows of W
                                 would begin and end more often than is worth it */
#define AHEAD 8               /* rows whose entries are fetched before their turn */
#define VECTOR 8
#define PANEL 12              /* vectors of columns at once, whose sums are in registers */

/* How scratch memory is used; each part is aligned to a line of the cache. */
struct rows {
    size_t stride; /* entries of the longest row, and some ends; a multiple of 16 */
    size_t most;   /* rows, a multiple of DC_LANES */
    size_t count;
    float *tile, *sums;
    uint32_t *entries; /* of row i from i * stride on */
    uint32_t *next;    /* which entry of each row is next */
    uint32_t *place;   /* which row of Y is its */
};

static struct rows rows_of(const struct dc_layout *w)
{
    const size_t groups = ((size_t)w->rows + DC_LANES - 1) / DC_LANES;
    size_t longest = 0;
    for (size_t i = 0; i < groups; i++) {
        size_t bytes = (size_t)(w->starts[i + 1] - w->starts[i]);
        longest = bytes > longest ? bytes : longest;
    }
    longest = longest / dc_block_bytes(w->gap_bits, w->label_bits) * DC_STEPS;
    struct rows r = {.stride = (longest + 31) / 16 * 16};
    r.most = ENTRY_BYTES / (r.stride * sizeof *r.entries) / DC_LANES * DC_LANES;
    r.most = r.most > ROWS ? ROWS : r.most < DC_LANES ? DC_LANES : r.most;
    r.most = r.most > groups * DC_LANES ? groups * DC_LANES : r.most;
    return r;
}

size_t dc_spmm_scratch_avx2(const struct dc_layout *w)
{
    const struct rows r = rows_of(w);
    const size_t row = r.stride * sizeof *r.entries + PANEL * VECTOR * sizeof(float) +
                       sizeof *r.next + sizeof *r.place;
    return TILE_BYTES + r.most * row + AHEAD * sizeof *r.next + 64;
}

static struct rows place_rows(const struct dc_layout *w, void *scratch)
{
    struct rows r = rows_of(w);
    r.tile = (float *)(((uintptr_t)scratch + 63) / 64 * 64);
    r.sums = r.tile + TILE_BYTES / sizeof *r.tile;
    r.entries = (uint32_t *)(r.sums + r.most * PANEL * VECTOR);
    r.next = r.entries + r.most * r.stride;
    r.place = r.next + r.most + AHEAD;
    return r;
}

/* Adds the products of a tile, which begins at column `first`, with the entries below `end`, or
 * for `first` 0 writes them. `vectors` is a constant wherever this ends up. */
AVX2_INLINE void tile_product(const float *codebook, const struct rows *rows, uint32_t first,
                              uint32_t end, const unsigned vectors)
{
    const size_t stride = VECTOR * (size_t)vectors, before = first * stride;
    float *sums = rows->sums;
    for (size_t i = 0; i < rows->count; i++, sums += stride) {
        const uint32_t *begin = rows->entries + i * rows->stride, *entry = begin + rows->next[i];
        /* No row's entries follow those of the one before it. The last ones are of no row, or of
         * no use. */
        _mm_prefetch((const char *)(begin + AHEAD * rows->stride + rows->next[i + AHEAD]),
                     _MM_HINT_T0);
        __m256 sum[PANEL];
#pragma GCC unroll 12
        for (unsigned k = 0; k < vectors; k++)
            sum[k] = first ? _mm256_load_ps(sums + VECTOR * k) : _mm256_setzero_ps();
        for (; *entry < end; entry++) {
            const float *from = rows->tile + ((*entry >> 8) * stride - before);
            const __m256 weight = _mm256_broadcast_ss(codebook + (*entry & 255));
#pragma GCC unroll 12
            for (unsigned k = 0; k < vectors; k++)
                sum[k] = _mm256_fmadd_ps(weight, _mm256_load_ps(from + VECTOR * k), sum[k]);
        }
#pragma GCC unroll 12
        for (unsigned k = 0; k < vectors; k++)
            _mm256_store_ps(sums + VECTOR * k, sum[k]);
        rows->next[i] = (uint32_t)(entry - begin);
    }
}

#define FOR_VECTORS(n)                                                                            \
    case n: tile_product(codebook, rows, first, end, n); break;

AVX2 static void any_tile_product(const float *codebook, const struct rows *rows, uint32_t first,
                                  uint32_t end, unsigned vectors)
{
    switch (vectors) {
        FOR_VECTORS(1)
        FOR_VECTORS(2)
        FOR_VECTORS(3)
        FOR_VECTORS(4)
        FOR_VECTORS(5)
        FOR_VECTORS(6)
        FOR_VECTORS(7)
        FOR_VECTORS(8)
        FOR_VECTORS(9)
        FOR_VECTORS(10)
        FOR_VECTORS(11)
        FOR_VECTORS(12)
    }
}

/* `n` columns of all that is unpacked. */
static void panel_product(const struct dc_layout *w, const struct rows *rows, const float *x,
                          size_t ldx, float *y, size_t ldy, size_t n)
{
    const unsigned vectors = (unsigned)((n + VECTOR - 1) / VECTOR);
    const size_t stride = VECTOR * vectors, cols = (size_t)w->cols;
    const size_t tile_rows = TILE_BYTES / (stride * sizeof(float));
    memset(rows->next, 0, (rows->count + AHEAD) * sizeof *rows->next);
    for (size_t first = 0; first == 0 || first < cols; first += tile_rows) {
        const size_t last = first + tile_rows < cols ? first + tile_rows : cols;
        for (size_t c = first; c < last; c++) {
            float *to = rows->tile + (c - first) * stride;
            memcpy(to, x + c * ldx, n * sizeof *to);
            memset(to + n, 0, (stride - n) * sizeof *to);
        }
        any_tile_product(w->codebook, rows, (uint32_t)first,
                         last < cols ? (uint32_t)(last << 8) : DC_END, vectors);
    }
    for (size_t i = 0; i < rows->count; i++)
        memcpy(y + rows->place[i] * ldy, rows->sums + i * stride, n * sizeof *y);
}

AVX2 void dc_spmm_lanes_avx2(const struct dc_layout *w, const float *x, size_t ldx, float *y,
                             size_t ldy, size_t n, size_t first, size_t last, void *scratch)
{
    struct rows rows = place_rows(w, scratch);
    const size_t vectors = (n + VECTOR - 1) / VECTOR, panels = (vectors + PANEL - 1) / PANEL;
    for (size_t g = first; g < last; g++) {
        dc_unpack_avx2(w, g, rows.entries + rows.count * rows.stride, rows.stride);
        for (size_t l = 0; l < DC_LANES && g * DC_LANES + l < (size_t)w->rows; l++)
            rows.place[rows.count++] = w->order[g * DC_LANES + l];
        if (rows.count + DC_LANES <= rows.most && g + 1 < last)
            continue;
        /* Of about the same width, so that none is much less efficient. */
        for (size_t p = 0; p < panels; p++) {
            const size_t from = vectors * p / panels * VECTOR;
            size_t to = vectors * (p + 1) / panels * VECTOR;
            to = to < n ? to : n;
            panel_product(w, &rows, x + from, ldx, y + from, ldy, to - from);
        }
        rows.count = 0;
    }
}

#endif
