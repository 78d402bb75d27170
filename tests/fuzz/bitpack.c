/* dc_unpack, against its definition bit by bit, and dc_pack, which leads back. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    unsigned bits = take(&in) % 8 + 1;
    size_t short_of = take(&in) % 8;
    size_t count = in.left * 8 / bits;
    count = count > short_of ? count - short_of : 0;
    size_t bytes = (count * bits + 7) / 8;
    uint8_t *packed = take_exact(&in, bytes), *values = exact(count), *again = exact(bytes);

    dc_unpack(packed, count, bits, values);
    for (size_t i = 0; i < count; i++)
        require(values[i] == packed_value(packed, i, bits));

    dc_pack(values, count, bits, again);
    if (count * bits % 8) /* the unused bits, which the input may have set */
        packed[bytes - 1] &= (uint8_t)((1u << count * bits % 8) - 1);
    require(memcmp(packed, again, bytes) == 0);

    release(packed, bytes);
    release(values, count);
    release(again, bytes);
    return 0;
}
