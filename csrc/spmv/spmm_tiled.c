/* Y = W X, some columns of X at a time, in tiles of W's columns.
 *
 * Rows of W are unpacked into the caller's scratch memory, and gone through tile by tile: the
 * rows of X that belong to a tile are copied side by side, aligned, so that they stay near while
 * each row of W takes what it needs of them, and no load touches two lines of the cache. */
#include <string.h>

#include "layout/layout.h"
#include "spmv/spmm_tiled.h"

#define ROWS 1024             /* of W that are unpacked at once, */
#define ENTRY_BYTES (4 << 20) /* if they take no more than that, but at least those of a part */
#define TILE_BYTES (48 << 10) /* of X: with tiles that the first cache held as a whole, rows of W
                                 would begin and end more often than is worth it */

static struct dc_rows rows_of(const struct dc_layout *w)
{
    const size_t each = dc_rows_of_part(w), parts = dc_parts(w);
    size_t longest = 0;
    for (size_t i = 0; i < parts; i++) {
        size_t bytes = (size_t)(w->starts[i + 1] - w->starts[i]);
        longest = bytes > longest ? bytes : longest;
    }
    if (w->kind == DC_LAYOUT_LANES)
        longest = longest / dc_quad_bytes(w->gap_bits, w->label_bits) * DC_STEPS;
    if (w->kind == DC_LAYOUT_LISTS)
        longest = w->order[0];
    struct dc_rows r = {.stride = (longest + 31) / 16 * 16};
    r.most = ENTRY_BYTES / (r.stride * sizeof *r.entries) / each * each;
    r.most = r.most > ROWS ? ROWS : r.most < each ? each : r.most;
    r.most = r.most > parts * each ? parts * each : r.most;
    return r;
}

static size_t panel_bytes(const struct dc_tiling *t)
{
    return t->panel * t->vector * sizeof(float);
}

size_t dc_tiled_scratch(const struct dc_tiling *t, const struct dc_layout *w)
{
    const struct dc_rows r = rows_of(w);
    const size_t row = r.stride * sizeof *r.entries + panel_bytes(t) + sizeof *r.next +
                       sizeof *r.place;
    return TILE_BYTES + r.most * row + DC_AHEAD * sizeof *r.next + 64;
}

static struct dc_rows place_rows(const struct dc_tiling *t, const struct dc_layout *w,
                                 void *scratch)
{
    struct dc_rows r = rows_of(w);
    r.tile = (float *)(((uintptr_t)scratch + 63) / 64 * 64);
    r.sums = r.tile + TILE_BYTES / sizeof *r.tile;
    r.entries = (uint32_t *)(r.sums + r.most * panel_bytes(t) / sizeof *r.sums);
    r.next = r.entries + r.most * r.stride;
    r.place = r.next + r.most + DC_AHEAD;
    return r;
}

/* `n` columns of all that is unpacked. */
static void panel_product(const struct dc_tiling *t, const struct dc_layout *w,
                          const struct dc_rows *rows, const float *x, size_t ldx, float *y,
                          size_t ldy, size_t n)
{
    const size_t vectors = (n + t->vector - 1) / t->vector;
    const size_t stride = t->vector * vectors, cols = (size_t)w->cols;
    const size_t tile_rows = TILE_BYTES / (stride * sizeof(float));
    memset(rows->next, 0, (rows->count + DC_AHEAD) * sizeof *rows->next);
    for (size_t first = 0; first == 0 || first < cols; first += tile_rows) {
        const size_t last = first + tile_rows < cols ? first + tile_rows : cols;
        for (size_t c = first; c < last; c++) {
            float *to = rows->tile + (c - first) * stride;
            memcpy(to, x + c * ldx, n * sizeof *to);
            memset(to + n, 0, (stride - n) * sizeof *to);
        }
        t->product(w->codebook, rows, (uint32_t)first,
                   last < cols ? (uint32_t)(last << 8) : DC_END, (unsigned)vectors);
    }
    for (size_t i = 0; i < rows->count; i++)
        memcpy(y + rows->place[i] * ldy, rows->sums + i * stride, n * sizeof *y);
}

void dc_tiled_product(const struct dc_tiling *t, const struct dc_layout *w, const float *x,
                      size_t ldx, float *y, size_t ldy, size_t n, size_t first, size_t last,
                      void *scratch)
{
    struct dc_rows rows = place_rows(t, w, scratch);
    const size_t vectors = (n + t->vector - 1) / t->vector;
    const size_t panels = (vectors + t->panel - 1) / t->panel, each = dc_rows_of_part(w);
    for (size_t part = first; part < last; part++) {
        t->unpack(w, part, rows.entries + rows.count * rows.stride, rows.stride);
        for (size_t r = part * each; r < (part + 1) * each && r < (size_t)w->rows; r++)
            rows.place[rows.count++] = (uint32_t)dc_row_in_place(w, r);
        if (rows.count + each <= rows.most && part + 1 < last)
            continue;
        /* Of about the same width, so that none is much less efficient. */
        for (size_t p = 0; p < panels; p++) {
            const size_t from = vectors * p / panels * t->vector;
            size_t to = vectors * (p + 1) / panels * t->vector;
            to = to < n ? to : n;
            panel_product(t, w, &rows, x + from, ldx, y + from, ldy, to - from);
        }
        rows.count = 0;
    }
}
