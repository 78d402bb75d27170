/* Products on several threads, by OpenMP where the build has it.
 *
 * Parts are dealt out in consecutive shares of about as many stored bytes each, one to a
 * thread. A part is computed by one thread, in the same way whoever asks for it, so that no
 * element is written twice and no result depends on the number of threads. One share is
 * computed without OpenMP, as a process that was forked can't enter it. */
#include "deepcompress.h"
#include "layout/layout.h"
#include "tasks.h"

#ifdef _OPENMP
#include <omp.h>
#endif

int dc_openmp(void)
{
#ifdef _OPENMP
    return _OPENMP;
#else
    return 0;
#endif
}

int dc_max_threads(void)
{
#ifdef _OPENMP
    return omp_get_max_threads();
#else
    return 1;
#endif
}

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

enum dc_status dc_spmv_shared(enum dc_isa isa, const struct dc_layout *w, const float *x, float *y,
                              size_t shares)
{
    if (!dc_isa_available(isa))
        return DC_NO_ISA;
    if (shares == 1)
        return dc_spmv(isa, w, x, y, 0, dc_parts(w));
    DC_IN_SHARES(shares, static, 1)
    for (size_t i = 0; i < shares; i++)
        dc_spmv(isa, w, x, y, dc_share(w, i, shares), dc_share(w, i + 1, shares));
    return DC_OK;
}

enum dc_status dc_spmm_shared(enum dc_isa isa, const struct dc_layout *w, const float *x,
                              size_t ldx, float *y, size_t ldy, size_t n, size_t shares,
                              void *scratch)
{
    if (!dc_isa_available(isa))
        return DC_NO_ISA;
    if (shares == 1)
        return dc_spmm(isa, w, x, ldx, y, ldy, n, 0, dc_parts(w), scratch);
    const size_t own = dc_spmm_scratch(isa, w);
    DC_IN_SHARES(shares, static, 1)
    for (size_t i = 0; i < shares; i++)
        dc_spmm(isa, w, x, ldx, y, ldy, n, dc_share(w, i, shares), dc_share(w, i + 1, shares),
                (char *)scratch + i * own);
    return DC_OK;
}
