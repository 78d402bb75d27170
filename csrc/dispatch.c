/* Which instruction sets there are, and the kernels that go with each. */
#include "spmm_frame.h"
#include "spmv.h"

struct kernels {
    const char *name;
    dc_spmv_kernel *spmv_lanes, *spmv_masks;
    const struct dc_frame *spmm_lanes, *spmm_masks; /* none: the portable kernels without tiles */
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
    [DC_SCALAR] = {"scalar", dc_spmv_lanes_scalar, dc_spmv_masks_scalar, 0, 0},
    [DC_NEON] = {"neon", dc_spmv_lanes_scalar, dc_spmv_masks_scalar, ON_ARM(&dc_spmm_lanes_neon),
                 ON_ARM(&dc_spmm_masks_neon)},
    [DC_AVX2] = {"avx2", ON_X86(dc_spmv_lanes_avx2), dc_spmv_masks_scalar,
                 ON_X86(&dc_spmm_lanes_avx2), ON_X86(&dc_spmm_masks_avx2)},
    [DC_AVX512] = {"avx512", ON_X86(dc_spmv_lanes_avx512), ON_X86(dc_spmv_masks_avx512),
                   ON_X86(&dc_spmm_lanes_avx512), ON_X86(&dc_spmm_masks_avx512)},
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
     * (since 6) and clang read XCR0 for it. */
    case DC_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
               __builtin_cpu_supports("bmi");
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
    (w->gap_bits ? sets[isa].spmv_lanes : sets[isa].spmv_masks)(w, x, y, first, last);
    return DC_OK;
}

/* How a product goes through tiles, or NULL. Unpacked entries have 24 bits for a column. */
static const struct dc_frame *frame_of(enum dc_isa isa, const struct dc_layout *w)
{
    if (w->cols >= 1 << 24)
        return 0;
    return w->gap_bits ? sets[isa].spmm_lanes : sets[isa].spmm_masks;
}

size_t dc_spmm_scratch(enum dc_isa isa, const struct dc_layout *w)
{
    const struct dc_frame *frame = frame_of(isa, w);
    return frame ? dc_frame_scratch(frame, w) : 0;
}

enum dc_status dc_spmm(enum dc_isa isa, const struct dc_layout *w, const float *x, size_t ldx,
                       float *y, size_t ldy, size_t n, size_t first, size_t last, void *scratch)
{
    if (!dc_isa_available(isa))
        return DC_NO_ISA;
    const struct dc_frame *frame = frame_of(isa, w);
    if (frame)
        dc_frame_product(frame, w, x, ldx, y, ldy, n, first, last, scratch);
    else if (w->gap_bits)
        dc_spmm_lanes_scalar(w, x, ldx, y, ldy, n, first, last, scratch);
    else
        dc_spmm_masks_scalar(w, x, ldx, y, ldy, n, first, last, scratch);
    return DC_OK;
}
