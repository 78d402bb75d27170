/* dc_decode_gaps, against sums that can't overflow. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    uint64_t elements = 0;
    /* Sizes near the end of the gaps are those that matter, and those near 2**63. */
    unsigned form = take(&in) % 4;
    for (unsigned k = 0; k < (form == 0 ? 1 : form == 1 ? 2 : 8); k++)
        elements |= (uint64_t)take(&in) << (8 * k);
    if (form == 3)
        elements = UINT64_MAX - elements % 4096;
    elements &= INT64_MAX;

    size_t count = in.left, at = SIZE_MAX, good = 0;
    uint8_t *gaps = take_exact(&in, count);
    uint64_t behind = 0; /* elements up to an entry, itself included; at most 2**63 */
    for (; good < count && behind + gaps[good] < elements; good++)
        behind += gaps[good] + 1u;

    int64_t *positions = exact(count * sizeof *positions);
    enum dc_status status = dc_decode_gaps(gaps, count, (int64_t)elements, positions, &at);
    require(status == (good == count ? DC_OK : DC_BAD_POSITION));
    require(at == (good == count ? SIZE_MAX : good));
    behind = 0;
    for (size_t i = 0; i < good; i++) {
        behind += gaps[i] + 1u;
        require((uint64_t)positions[i] == behind - 1);
    }

    release(gaps, count);
    release(positions, count * sizeof *positions);
    return 0;
}
