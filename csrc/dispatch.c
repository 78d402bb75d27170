/* Which instruction sets there are, and the kernels that go with each. */
#include "spmv.h"
#include "tiles.h"

struct kernels {
    const char *name;
    dc_spmv_kernel *spmv_lanes, *spmv_masks, *spmv_tiles;
    dc_spmm_kernel *spmm_lanes, *spmm_masks, *spmm_tiles;
};

#if DC_X86
#define ON_X86(kernel) kernel
#else
#define ON_X86(kernel) 0
#endif

static const struct kernels sets[] = {
    [DC_SCALAR] = {"scalar", dc_spmv_lanes_scalar, dc_spmv_masks_scalar, dc_spmv_tiles_scalar,
                   dc_spmm_lanes_scalar, dc_spmm_masks_scalar, dc_spmm_tiles_scalar},
    /* Without an instruction to spread bytes by a mask, the scalar way is as good. */
    [DC_AVX2] = {"avx2", ON_X86(dc_spmv_lanes_avx2), dc_spmv_masks_scalar,
                 ON_X86(dc_spmv_tiles_avx2), ON_X86(dc_spmm_lanes_avx2), dc_spmm_masks_scalar,
                 ON_X86(dc_spmm_tiles_avx2)},
    /* Tiles are for processors without it, which spread no bytes by a mask. */
    [DC_AVX512] = {"avx512", ON_X86(dc_spmv_lanes_avx512), ON_X86(dc_spmv_masks_avx512),
                   ON_X86(dc_spmv_tiles_avx2), ON_X86(dc_spmm_lanes_avx512),
                   ON_X86(dc_spmm_masks_avx512), ON_X86(dc_spmm_tiles_avx2)},
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
#if DC_X86
    /* True only if the operating system saves the registers as well: the runtimes of gcc
     * (since 6) and clang read XCR0 for it. */
    case DC_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
               __builtin_cpu_supports("bmi");
    case DC_AVX512:
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

/* Unpacked entries have 24 bits for a column. */
static int unpacks_rows(enum dc_isa isa, const struct dc_layout *w)
{
    return isa != DC_SCALAR && w->cols < 1 << 24;
}

size_t dc_spmm_scratch(enum dc_isa isa, const struct dc_layout *w)
{
#if DC_X86
    if (w->gap_bits == DC_TILES)
        return isa == DC_SCALAR ? 0 : dc_spmm_tiles_scratch_avx2();
    if (!unpacks_rows(isa, w))
        return 0;
    if (isa == DC_AVX512)
        return dc_spmm_scratch_avx512(w);
    return w->gap_bits ? dc_spmm_scratch_avx2(w) : 0;
#else
    (void)isa, (void)w;
    return 0;
#endif
}

enum dc_status dc_spmm(enum dc_isa isa, const struct dc_layout *w, const float *x, size_t ldx,
                       float *y, size_t ldy, size_t n, size_t first, size_t last, void *scratch)
{
    if (!dc_isa_available(isa))
        return DC_NO_ISA;
    if (w->gap_bits == DC_TILES) {
        sets[isa].spmm_tiles(w, x, ldx, y, ldy, n, first, last, scratch);
        return DC_OK;
    }
    const struct kernels *set = unpacks_rows(isa, w) ? &sets[isa] : &sets[DC_SCALAR];
    (w->gap_bits ? set->spmm_lanes : set->spmm_masks)(w, x, ldx, y, ldy, n, first, last, scratch);
    return DC_OK;
}
