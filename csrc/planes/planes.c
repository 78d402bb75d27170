/* Words into planes of bytes, and back. A word is turned into an integer first, so that neither the
 * order of its bytes in memory nor its alignment matters.
 *
 * To be merged, bytes pass through arrays of a fixed size, which nothing else can point to: so
 * compilers turn the short loops into vectors. A loop over words takes 1.8 times as long (gcc 12,
 * SSE2). To split, that plain loop is as good; compilers make a second one of it, for AVX2, by which
 * planes_avx2.c merges. */
#include <string.h>

#include "deepcompress.h"
#include "planes/planes.h"
#include "platform.h"

#define AT_ONCE 64 /* words that are merged */

#define SPLIT(name, type, bits)                                                                    \
    DC_INLINE void name(const uint8_t *words, size_t count, int rotate, uint8_t *planes)           \
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
    DC_INLINE void name##_some(const uint8_t *const *planes, size_t at, size_t some, int rotate,   \
                               uint8_t *words)                                                     \
    {                                                                                              \
        type held[AT_ONCE] = {0};                                                                  \
        uint8_t bytes[AT_ONCE];                                                                    \
        for (size_t plane = 0; plane < sizeof *held; plane++) {                                    \
            memcpy(bytes, planes[plane] + at, some);                                               \
            for (size_t i = 0; i < some; i++)                                                      \
                held[i] = (type)(held[i] | (type)bytes[i] << (8 * plane));                         \
        }                                                                                          \
        if (rotate)                                                                                \
            for (size_t i = 0; i < some; i++)                                                      \
                held[i] = (type)(held[i] >> 1 | held[i] << (bits - 1));                            \
        memcpy(words + at * sizeof *held, held, some * sizeof *held);                              \
    }                                                                                              \
                                                                                                   \
    DC_INLINE void name(const uint8_t *const *planes, size_t count, int rotate, uint8_t *words)    \
    {                                                                                              \
        size_t i = 0;                                                                              \
        for (; i + AT_ONCE <= count; i += AT_ONCE)                                                 \
            name##_some(planes, i, AT_ONCE, rotate, words);                                        \
        name##_some(planes, i, count - i, rotate, words);                                          \
    }

SPLIT(split_1, uint8_t, 8)
SPLIT(split_2, uint16_t, 16)
SPLIT(split_4, uint32_t, 32)
SPLIT(split_8, uint64_t, 64)
MERGE(merge_1, uint8_t, 8)
MERGE(merge_2, uint16_t, 16)
MERGE(merge_4, uint32_t, 32)
MERGE(merge_8, uint64_t, 64)

#define CASES(CASE) CASE(1) CASE(2) CASE(4) CASE(8)

DC_INLINE void split(const uint8_t *words, size_t count, unsigned word_bytes, int rotate,
                     uint8_t *planes)
{
#define SPLIT_CASE(n) \
    case n: split_##n(words, count, rotate, planes); break;
    switch (word_bytes) {
        CASES(SPLIT_CASE)
    }
}

DC_INLINE void merge(const uint8_t *const *planes, size_t count, unsigned word_bytes, int rotate,
                     uint8_t *words)
{
#define MERGE_CASE(n) \
    case n: merge_##n(planes, count, rotate, words); break;
    switch (word_bytes) {
        CASES(MERGE_CASE)
    }
}

#if DC_X86
AVX2 static void split_avx2(const uint8_t *words, size_t count, unsigned word_bytes, int rotate,
                            uint8_t *planes)
{
    split(words, count, word_bytes, rotate, planes);
}
#endif

void dc_split_planes(enum dc_isa isa, const uint8_t *words, size_t count, unsigned word_bytes,
                     int rotate, uint8_t *planes)
{
#if DC_X86
    if (isa >= DC_AVX2 && dc_isa_available(isa)) {
        split_avx2(words, count, word_bytes, rotate, planes);
        return;
    }
#endif
    (void)isa;
    split(words, count, word_bytes, rotate, planes);
}

void dc_merge_planes(enum dc_isa isa, const uint8_t *const *planes, size_t count,
                     unsigned word_bytes, int rotate, uint8_t *words)
{
    const uint8_t *left[8];
    size_t done = 0;
#if DC_X86
    if (isa >= DC_AVX2 && dc_isa_available(isa))
        done = dc_merge_avx2(planes, count, word_bytes, rotate, words);
#endif
    (void)isa;
    for (unsigned p = 0; p < word_bytes; p++)
        left[p] = planes[p] + done;
    merge(left, count - done, word_bytes, rotate, words + done * word_bytes);
}
