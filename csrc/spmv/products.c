/* dc_spmv and dc_spmm: the kernel that the instruction set has for the kind of the layout, or the
 * portable one. */
#include "spmv/spmm_tiled.h"
#include "spmv/spmv.h"

enum dc_status dc_spmv(enum dc_isa isa, const struct dc_layout *w, const float *x, float *y,
                       size_t first, size_t last)
{
    if (!dc_isa_available(isa))
        return DC_NO_ISA;
    dc_spmv_kernel *own = dc_kernels_of(isa)->spmv[w->kind];
    dc_spmv_kernel *kernel = own ? own : dc_kernels_of(DC_SCALAR)->spmv[w->kind];
    kernel(w, x, y, first, last);
    return DC_OK;
}

/* How a product unpacks rows and goes through them in tiles, or NULL. Unpacked entries have 24 bits
 * for a column. */
static const struct dc_tiling *tiling_of(enum dc_isa isa, const struct dc_layout *w)
{
    return w->cols < 1 << 24 ? dc_kernels_of(isa)->tiling[w->kind] : 0;
}

size_t dc_spmm_scratch(enum dc_isa isa, const struct dc_layout *w)
{
    const struct dc_tiling *tiling = tiling_of(isa, w);
    if (tiling)
        return dc_tiled_scratch(tiling, w);
    return w->kind == DC_LAYOUT_TILES ? dc_kernels_of(isa)->tiles_scratch : 0;
}

enum dc_status dc_spmm(enum dc_isa isa, const struct dc_layout *w, const float *x, size_t ldx,
                       float *y, size_t ldy, size_t n, size_t first, size_t last, void *scratch)
{
    if (!dc_isa_available(isa))
        return DC_NO_ISA;
    const struct dc_tiling *tiling = tiling_of(isa, w);
    if (tiling) {
        dc_tiled_product(tiling, w, x, ldx, y, ldy, n, first, last, scratch);
        return DC_OK;
    }
    dc_spmm_kernel *own = dc_kernels_of(isa)->spmm[w->kind];
    dc_spmm_kernel *kernel = own ? own : dc_kernels_of(DC_SCALAR)->spmm[w->kind];
    kernel(w, x, ldx, y, ldy, n, first, last, scratch);
    return DC_OK;
}
