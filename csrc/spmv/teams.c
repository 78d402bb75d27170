/* Products on several threads.
 *
 * Parts are dealt out in tasks of consecutive ones that have about as many stored bytes each. A part
 * is computed by one thread, in the same way whoever asks for it, so that no element is written
 * twice and no result depends on the number of threads. */
#include "deepcompress.h"
#include "layout/layout.h"
#include "tasks.h"
#include "pool/pool.h"

size_t dc_share(const struct dc_layout *w, size_t share, size_t shares)
{
    const size_t parts = dc_parts(w);
    /* Masks aren't in `starts`. */
    const uint64_t mask_bytes = w->kind == DC_LAYOUT_MASKS ? 8 * dc_mask_count(w->cols) : 0;
    const uint64_t total = w->starts[parts] - w->starts[0] + parts * mask_bytes;
    const uint64_t before = dc_begin(total, share, shares);
    if (share == shares)
        return parts; /* with those at the end that have no bytes */
    size_t low = 0, high = parts;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (w->starts[middle] - w->starts[0] + middle * mask_bytes < before)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct product {
    enum dc_isa isa;
    const struct dc_layout *w;
    const float *x;
    float *y;
    size_t ldx, ldy, n, tasks, scratch_each;
    char *scratch;
};

static void multiply_vector(void *context, size_t first, size_t end, size_t thread)
{
    const struct product *p = context;
    (void)thread;
    dc_spmv(p->isa, p->w, p->x, p->y, dc_share(p->w, first, p->tasks),
            dc_share(p->w, end, p->tasks));
}

static void multiply_matrix(void *context, size_t first, size_t end, size_t thread)
{
    const struct product *p = context;
    dc_spmm(p->isa, p->w, p->x, p->ldx, p->y, p->ldy, p->n, dc_share(p->w, first, p->tasks),
            dc_share(p->w, end, p->tasks), p->scratch + thread * p->scratch_each);
}

/* Parts in tiles have tables in common, the more the fewer tasks there are. */
static size_t most_tasks(const struct dc_layout *w, const struct dc_team *team)
{
    const size_t parts = dc_parts(w), threads = dc_threads_of(team);
    const size_t pairs = (parts + 1) / 2, most = pairs > threads ? pairs : threads;
    return w->kind == DC_LAYOUT_TILES && most < parts ? most : parts;
}

enum dc_status dc_spmv_shared(enum dc_isa isa, const struct dc_layout *w, const float *x, float *y,
                              const struct dc_team *team)
{
    if (!dc_isa_available(isa))
        return DC_NO_ISA;
    if (!team)
        return dc_spmv(isa, w, x, y, 0, dc_parts(w));
    struct product p = {.isa = isa, .w = w, .x = x, .y = y,
                        .tasks = dc_tasks_of(team, most_tasks(w, team))};
    dc_deal(team, p.tasks, multiply_vector, &p);
    return DC_OK;
}

enum dc_status dc_spmm_shared(enum dc_isa isa, const struct dc_layout *w, const float *x,
                              size_t ldx, float *y, size_t ldy, size_t n,
                              const struct dc_team *team, void *scratch)
{
    if (!dc_isa_available(isa))
        return DC_NO_ISA;
    if (!team)
        return dc_spmm(isa, w, x, ldx, y, ldy, n, 0, dc_parts(w), scratch);
    struct product p = {isa, w, x, y, ldx, ldy, n, dc_tasks_of(team, dc_parts(w)),
                        dc_spmm_scratch(isa, w), scratch};
    dc_deal(team, p.tasks, multiply_matrix, &p);
    return DC_OK;
}
