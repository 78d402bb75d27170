/* Whether floats are finite. */
#include "deepcompress.h"
#include "bits/finite.h"

int dc_all_finite(const float *x, size_t count)
{
    return all_finite(x, count);
}
