/* What the parts of a convolution by Winograd's transforms share; winograd.c has the frame. */
#ifndef DC_WINOGRAD_H
#define DC_WINOGRAD_H

#include "dispatch.h"

#define DC_EDGE 4   /* pixels along a side of an output's tile */
#define DC_REACH 6  /* and of the image's tile below it */
#define DC_PLACES (DC_REACH * DC_REACH)
#define DC_BAND 96  /* tiles that are transformed together at most */

/* Consecutive tiles of a row of tiles. */
struct dc_tiles {
    size_t at, count;    /* where in the band */
    int64_t row, column; /* of the output, where the first tile begins */
};

dc_transform_kernel dc_transform_scalar, dc_transform_avx2;
dc_restore_kernel dc_restore_scalar, dc_restore_avx2;

/* How many bands there are; what is computed of each on its own. */
size_t dc_winograd_bands(const struct dc_geometry *g);

/* Bands [first, end) of an operation of the kind DC_WINOGRAD; returns 1 if all sums are finite
 * before the ReLU, else 0. `scratch` has dc_winograd_scratch bytes. */
int dc_winograd(enum dc_isa isa, const struct dc_operation *op, size_t first, size_t end,
                void *scratch);
size_t dc_winograd_scratch(const struct dc_operation *op);

#endif
