/* Which instruction sets there are, and the kernels that go with each. */
#include "spmv/spmm_tiled.h"
#include "spmv/spmv.h"
#include "layout/tiles.h"

struct kernels {
    const char *name;
    dc_spmv_kernel *spmv_lanes, *spmv_masks, *spmv_tiles;
    dc_spmm_kernel *spmm_tiles;
    const struct dc_tiling *spmm_lanes, *spmm_masks; /* none: the portable kernels without tiles */
};

#if DC_X86
#define ON_X86(kernel) kernel
#else
#define ON_X86(kernel) 0
#endif
#if DC_ARM
#define ON_ARM(kernel) kernel
#else
#define ON_ARM(kernel) 0
#endif

/* For a vector, the portable way is as good where nothing spreads bytes by a mask; and with NEON,
 * which can't gather either: to look eight labels up as vectors would save a tenth of the
 * instructions, and those that do it take several cycles each. */
static const struct kernels sets[] = {
    [DC_SCALAR] = {"scalar", dc_spmv_lanes_scalar, dc_spmv_masks_scalar, dc_spmv_tiles_scalar,
                   dc_spmm_tiles_scalar, 0, 0},
    [DC_NEON] = {"neon", dc_spmv_lanes_scalar, dc_spmv_masks_scalar, dc_spmv_tiles_scalar,
                 dc_spmm_tiles_scalar, ON_ARM(&dc_lanes_neon), ON_ARM(&dc_masks_neon)},
    [DC_AVX2] = {"avx2", ON_X86(dc_spmv_lanes_avx2), dc_spmv_masks_scalar,
                 ON_X86(dc_spmv_tiles_avx2), ON_X86(dc_spmm_tiles_avx2), ON_X86(&dc_lanes_avx2),
                 ON_X86(&dc_masks_avx2)},
    /* Tiles are for processors without it, which spread no bytes by a mask. */
    [DC_AVX512] = {"avx512", ON_X86(dc_spmv_lanes_avx512), ON_X86(dc_spmv_masks_avx512),
                   ON_X86(dc_spmv_tiles_avx2), ON_X86(dc_spmm_tiles_avx2),
                   ON_X86(&dc_lanes_avx512), ON_X86(&dc_masks_avx512)},
};

_Static_assert(sizeof sets / sizeof sets[0] == DC_ISA_COUNT, "every set has kernels");

const char *dc_isa_name(enum dc_isa isa)
{
    return sets[isa].name;
}

int dc_isa_available(enum dc_isa isa)
{
    switch (isa) {
    case DC_SCALAR: return 1;
    case DC_NEON: return DC_ARM;
#if DC_X86
    /* True only if the operating system saves the registers as well: the runtimes of gcc
     * (since 6) and clang read XCR0 for it. LZCNT came with AVX2, if not before; gcc can be
     * asked for it since 11. */
    case DC_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
               __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    case DC_AVX512:
#ifdef DC_EMULATE_AVX512
        return dc_isa_available(DC_AVX2);
#endif
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi") &&
               __builtin_cpu_supports("avx512vbmi2");
#else
    case DC_AVX2:
    case DC_AVX512:
#endif
    case DC_ISA_COUNT: break;
    }
    return 0;
}

enum dc_status dc_spmv(enum dc_isa isa, const struct dc_layout *w, const float *x, float *y,
                       size_t first, size_t last)
{
    if (!dc_isa_available(isa))
        return DC_NO_ISA;
    const struct kernels *set = &sets[isa];
    (w->gap_bits == DC_TILES ? set->spmv_tiles
     : w->gap_bits           ? set->spmv_lanes
                             : set->spmv_masks)(w, x, y, first, last);
    return DC_OK;
}

/* How a product unpacks rows and goes through them in tiles; or NULL, as for a layout that is
 * itself in tiles. Unpacked entries have 24 bits for a column. */
static const struct dc_tiling *tiling_of(enum dc_isa isa, const struct dc_layout *w)
{
    if (w->cols >= 1 << 24 || w->gap_bits == DC_TILES)
        return 0;
    return w->gap_bits ? sets[isa].spmm_lanes : sets[isa].spmm_masks;
}

size_t dc_spmm_scratch(enum dc_isa isa, const struct dc_layout *w)
{
    if (w->gap_bits == DC_TILES)
        return isa < DC_AVX2 ? 0 : ON_X86(dc_spmm_tiles_scratch_avx2());
    const struct dc_tiling *tiling = tiling_of(isa, w);
    return tiling ? dc_tiled_scratch(tiling, w) : 0;
}

enum dc_status dc_spmm(enum dc_isa isa, const struct dc_layout *w, const float *x, size_t ldx,
                       float *y, size_t ldy, size_t n, size_t first, size_t last, void *scratch)
{
    if (!dc_isa_available(isa))
        return DC_NO_ISA;
    const struct dc_tiling *tiling = tiling_of(isa, w);
    if (tiling)
        dc_tiled_product(tiling, w, x, ldx, y, ldy, n, first, last, scratch);
    else
        (w->gap_bits == DC_TILES ? sets[isa].spmm_tiles
         : w->gap_bits           ? dc_spmm_lanes_scalar
                                 : dc_spmm_masks_scalar)(w, x, ldx, y, ldy, n, first, last, scratch);
    return DC_OK;
}
