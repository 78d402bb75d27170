/* dc_split_planes, against its definition byte by byte, and dc_merge_planes, which leads back. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    unsigned form = take(&in);
    enum dc_isa isa = form / 8 % 2 ? DC_AVX2 : DC_SCALAR; /* which takes the portable way without */
    unsigned width = 1u << form % 4;
    int rotate = form / 4 % 2;
    size_t count = in.left / width, bytes = count * width;
    uint8_t *words = take_exact(&in, bytes), *planes = exact(bytes), *again = exact(bytes);

    dc_split_planes(isa, words, count, width, rotate, planes);
    for (size_t i = 0; i < count; i++)
        for (unsigned plane = 0; plane < width; plane++) {
            const uint8_t *word = words + i * width;
            unsigned value = word[plane];
            if (rotate)
                value = (value << 1 & 255) | word[(plane + width - 1) % width] >> 7;
            require(planes[plane * count + i] == value);
        }

    const uint8_t *each[8];
    for (unsigned plane = 0; plane < width; plane++)
        each[plane] = planes + plane * count;
    dc_merge_planes(isa, each, count, width, rotate, again);
    require(memcmp(words, again, bytes) == 0);

    release(words, bytes);
    release(planes, bytes);
    release(again, bytes);
    return 0;
}
