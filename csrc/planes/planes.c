/* Words into planes of bytes, and back. A word is turned into an integer first, so that neither the
 * order of its bytes in memory nor its alignment matters. */
#include <string.h>

#include "deepcompress.h"

#define SPLIT(name, type, bits)                                                                    \
    static void name(const uint8_t *words, size_t count, int rotate, uint8_t *planes)              \
    {                                                                                              \
        for (size_t i = 0; i < count; i++) {                                                       \
            type word;                                                                             \
            memcpy(&word, words + i * sizeof word, sizeof word);                                   \
            if (rotate)                                                                            \
                word = (type)(word << 1 | word >> (bits - 1));                                     \
            for (size_t plane = 0; plane < sizeof word; plane++)                                   \
                planes[plane * count + i] = (uint8_t)(word >> (8 * plane));                        \
        }                                                                                          \
    }

#define MERGE(name, type, bits)                                                                    \
    static void name(const uint8_t *planes, size_t count, int rotate, uint8_t *words)              \
    {                                                                                              \
        for (size_t i = 0; i < count; i++) {                                                       \
            type word = 0;                                                                         \
            for (size_t plane = 0; plane < sizeof word; plane++)                                   \
                word = (type)(word | (type)planes[plane * count + i] << (8 * plane));              \
            if (rotate)                                                                            \
                word = (type)(word >> 1 | word << (bits - 1));                                     \
            memcpy(words + i * sizeof word, &word, sizeof word);                                   \
        }                                                                                          \
    }

SPLIT(split_1, uint8_t, 8)
SPLIT(split_2, uint16_t, 16)
SPLIT(split_4, uint32_t, 32)
SPLIT(split_8, uint64_t, 64)
MERGE(merge_1, uint8_t, 8)
MERGE(merge_2, uint16_t, 16)
MERGE(merge_4, uint32_t, 32)
MERGE(merge_8, uint64_t, 64)

typedef void converter(const uint8_t *from, size_t count, int rotate, uint8_t *to);

static converter *of_width(unsigned word_bytes, converter *one, converter *two, converter *four,
                           converter *eight)
{
    return word_bytes == 1 ? one : word_bytes == 2 ? two : word_bytes == 4 ? four : eight;
}

void dc_split_planes(const uint8_t *words, size_t count, unsigned word_bytes, int rotate,
                     uint8_t *planes)
{
    of_width(word_bytes, split_1, split_2, split_4, split_8)(words, count, rotate, planes);
}

void dc_merge_planes(const uint8_t *planes, size_t count, unsigned word_bytes, int rotate,
                     uint8_t *words)
{
    of_width(word_bytes, merge_1, merge_2, merge_4, merge_8)(planes, count, rotate, words);
}
