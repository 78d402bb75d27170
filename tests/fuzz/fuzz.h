/* What the fuzz targets of the C kernels share: input that never ends, and memory of exactly
 * the size that a contract names, so that AddressSanitizer sees every element beyond it. */
#ifndef DC_FUZZ_H
#define DC_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deepcompress.h"

/* A property that has to hold; its breach is a finding. */
#define require(condition)                                                              \
    do {                                                                                \
        if (!(condition)) {                                                             \
            fprintf(stderr, "%s:%d: doesn't hold: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                    \
        }                                                                               \
    } while (0)

#define SENTINEL 0xA5 /* what memory holds that nobody may have written to */
#define BEHIND 16     /* bytes before an empty array: malloc(0) has one byte that may be read */

/* The fuzzer's bytes, and zeros after them. */
struct input {
    const uint8_t *next;
    size_t left;
};

static inline uint8_t take(struct input *in)
{
    return in->left ? (in->left--, *in->next++) : 0;
}

static inline unsigned take16(struct input *in)
{
    unsigned low = take(in);
    return low | (unsigned)take(in) << 8;
}

/* `size` bytes, filled with the sentinel; even of no byte at all, none may be touched. */
static inline void *exact(size_t size)
{
    uint8_t *data = size ? malloc(size) : (uint8_t *)malloc(BEHIND) + BEHIND;
    memset(data, SENTINEL, size);
    return data;
}

static inline void release(void *data, size_t size)
{
    free(size ? data : (uint8_t *)data - BEHIND);
}

/* `size` bytes of the input. */
static inline uint8_t *take_exact(struct input *in, size_t size)
{
    uint8_t *data = exact(size);
    size_t have = size < in->left ? size : in->left;
    memset(data, 0, size);
    memcpy(data, in->next, have);
    in->next += have;
    in->left -= have;
    return data;
}

/* Value i of packed ones, bit by bit. */
static inline unsigned packed_value(const uint8_t *packed, size_t i, unsigned bits)
{
    unsigned value = 0;
    for (unsigned k = 0; k < bits; k++) {
        size_t bit = i * bits + k;
        value |= (packed[bit / 8] >> bit % 8 & 1u) << k;
    }
    return value;
}

static inline int untouched(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (data[i] != SENTINEL)
            return 0;
    return 1;
}

/* A team without workers: the caller does all tasks, but in pieces, as if it had some. */
static inline struct dc_team team_of(size_t threads)
{
    static struct dc_pool *pool;
    if (!pool)
        pool = dc_pool_create(0);
    return (struct dc_team){pool, threads, 1e6};
}

#endif
