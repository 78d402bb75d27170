/* Which instruction sets there are, and the kernels that go with each. */
#include "dispatch.h"
#include "huffman/huffman_rounds.h"
#include "program/program.h"
#include "rans/rans_states.h"
#include "spconv/spconv.h"
#include "spconv/winograd.h"
#include "spmv/spmm_tiled.h"
#include "spmv/spmv.h"

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

#define SPMV(layout) dc_spmv_##layout##_scalar,
#define SPMM(layout) dc_spmm_##layout##_scalar,

/* What several sets have in common. */
#define PORTABLE                                                                                  \
    .spmm = {DC_LAYOUTS(SPMM)},                                                                   \
    .block = dc_block_product_scalar, .dense = dc_dense_product_scalar, .rows = dc_rows_scalar,   \
    .gather = dc_gather_scalar, .finish = dc_finish_scalar,                                       \
    .transform = dc_transform_scalar, .restore = dc_restore_scalar,                               \
    .layer = dc_layer_scalar, .bias = dc_bias_scalar, .huffman = &dc_huffman_scalar,                                  \
    .rans = &dc_rans_scalar
#define OF_AVX2                                                                                   \
    .spmm = {[DC_LAYOUT_TILES] = ON_X86(dc_spmm_tiles_avx2)},                                     \
    .tiles_scratch = DC_TILES_SCRATCH_AVX2, .block = ON_X86(dc_block_product_avx2),               \
    .dense = ON_X86(dc_dense_product_avx2), .rows = ON_X86(dc_rows_avx2),                         \
    .gather = ON_X86(dc_gather_avx2), .finish = ON_X86(dc_finish_avx2),                           \
    .transform = ON_X86(dc_transform_avx2), .restore = ON_X86(dc_restore_avx2),                   \
    .layer = ON_X86(dc_layer_avx2), .bias = ON_X86(dc_bias_avx2), .huffman = ON_X86(&dc_huffman_avx2),                         \
    .rans = ON_X86(&dc_rans_avx2)

/* By kind of layout: lanes, masks, tiles, lists. For a vector, the portable way is as good where nothing
 * spreads bytes by a mask; and with NEON, which can't gather either, for all but lists: a vector
 * look-up of eight labels saves lanes a tenth of the instructions, but each takes several cycles.
 * Tiles would take 8 to 26 % less than NEON's lists, by llvm-mca, before padding and tables; but
 * products with matrices would then need them, too. AVX-512 does spread bytes, and needs no tiles
 * of its own; nor lists, as it unpacks lanes in as little time, where a processor gathers elements
 * as fast as it loads them. */
static const struct dc_kernels sets[] = {
    [DC_SCALAR] = {"scalar", DC_LAYOUT_LANES, DC_LAYOUT_LISTS, PORTABLE,
                   .spmv = {DC_LAYOUTS(SPMV)}},
    [DC_NEON] = {"neon", DC_LAYOUT_LANES, DC_LAYOUT_LISTS, PORTABLE,
                 .spmv = {0, 0, 0, ON_ARM(dc_spmv_lists_neon)},
                 .tiling = {ON_ARM(&dc_lanes_neon), ON_ARM(&dc_masks_neon), 0,
                            ON_ARM(&dc_lists_neon)}},
    [DC_AVX2] = {"avx2", DC_LAYOUT_TILES, DC_LAYOUT_LISTS, OF_AVX2,
                 .spmv = {ON_X86(dc_spmv_lanes_avx2), 0, ON_X86(dc_spmv_tiles_avx2),
                          ON_X86(dc_spmv_lists_avx2)},
                 .tiling = {ON_X86(&dc_lanes_avx2), ON_X86(&dc_masks_avx2), 0,
                            ON_X86(&dc_lists_avx2)}},
    [DC_AVX512] = {"avx512", DC_LAYOUT_MASKS, DC_LAYOUT_LANES, OF_AVX2,
                   .spmv = {ON_X86(dc_spmv_lanes_avx512), ON_X86(dc_spmv_masks_avx512),
                            ON_X86(dc_spmv_tiles_avx2), ON_X86(dc_spmv_lists_avx512)},
                   .tiling = {ON_X86(&dc_lanes_avx512), ON_X86(&dc_masks_avx512), 0,
                              ON_X86(&dc_lists_avx512)}},
};

#define ONE(layout) +1
_Static_assert(sizeof sets / sizeof sets[0] == DC_ISA_COUNT, "every set has kernels");
_Static_assert(0 DC_LAYOUTS(ONE) == DC_LAYOUT_KINDS, "every layout has kernels");

const struct dc_kernels *dc_kernels_of(enum dc_isa isa)
{
    return &sets[isa];
}

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
        return dc_isa_available(DC_AVX2) && __builtin_cpu_supports("avx512f") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2");
#else
    case DC_AVX2:
    case DC_AVX512:
#endif
    case DC_ISA_COUNT: break;
    }
    return 0;
}

/* Whether elements are gathered by AVX-512 in more time than they are loaded one by one, as on AMD's
 * processors. Layouts that are made for gathering are then none to choose: nanoseconds per weight on
 * a Zen 4, of Table 8's layers with 9 % and 25 % kept in a loop, are 0.37 for lanes and 0.34 for
 * masks, but 0.17 to 0.20 for lists. With tiles it would be 0.19, but
 * products with 64 columns take 5 to 27 % more time from tiles or masks than from lanes. */
static int gathers_slowly(enum dc_isa isa)
{
#if DC_X86
    return isa == DC_AVX512 && __builtin_cpu_is("amd");
#else
    (void)isa;
    return 0;
#endif
}

enum dc_layout_kind dc_dense_layout(enum dc_isa isa)
{
    if (!dc_isa_available(isa) || gathers_slowly(isa))
        return DC_LAYOUT_LANES;
    return sets[isa].dense_layout;
}

enum dc_layout_kind dc_cached_layout(enum dc_isa isa)
{
    if (!dc_isa_available(isa))
        return DC_LAYOUT_LANES;
    return gathers_slowly(isa) ? DC_LAYOUT_LISTS : sets[isa].cached_layout;
}

/* Whether two sets have one kernel for a product, as far as sparse matrices go. */
static int is_same(enum dc_product product, const struct dc_kernels *a, const struct dc_kernels *b)
{
    switch (product) {
    case DC_VECTOR_PRODUCT: return a->spmv[DC_LAYOUT_LANES] == b->spmv[DC_LAYOUT_LANES] &&
                                   a->spmv[DC_LAYOUT_LISTS] == b->spmv[DC_LAYOUT_LISTS];
    case DC_MATRIX_PRODUCT: return a->tiling[DC_LAYOUT_LANES] == b->tiling[DC_LAYOUT_LANES];
    case DC_CONVOLUTION: return a->block == b->block;
    }
    return 0;
}

const char *dc_kernel_name(enum dc_product product, enum dc_isa isa)
{
    unsigned first = 0;
    while (!is_same(product, &sets[first], &sets[isa]))
        first++;
    return sets[first].name;
}
