/* Which instruction sets there are, and the kernels that go with each. */
#include "spmv.h"

static const struct {
    const char *name;
    dc_spmv_kernel *spmv;
    dc_spmm_kernel *spmm;
} sets[] = {
    [DC_SCALAR] = {"scalar", dc_spmv_scalar, dc_spmm_scalar},
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
    case DC_ISA_COUNT: break;
    }
    return 0;
}

enum dc_status dc_spmv(enum dc_isa isa, const struct dc_tensor *w, const float *x, float *y)
{
    if (!dc_isa_available(isa))
        return DC_NO_ISA;
    sets[isa].spmv(w, x, y);
    return DC_OK;
}

enum dc_status dc_spmm(enum dc_isa isa, const struct dc_tensor *w, const float *x, size_t ldx,
                       float *y, size_t ldy, size_t n)
{
    if (!dc_isa_available(isa))
        return DC_NO_ISA;
    sets[isa].spmm(w, x, ldx, y, ldy, n);
    return DC_OK;
}
