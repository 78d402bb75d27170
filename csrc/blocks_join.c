/* The blocks of a tensor as one packed stream. blocks.py is the definition.
 *
 * A file's blocks mostly have fillers just where the stream needs them, too, as both have gaps of
 * one width. Then all entries after a block's first survivor are taken as they are, many at
 * once. */
#include <string.h>

#include "bitreader.h"
#include "deepcompress.h"

/* Packed values to be written, the next one above `have` bits. */
struct packer {
    uint8_t *next;
    uint64_t bits;
    unsigned have, width;
};

/* Up to 32 bits, of several values or of one. */
static inline void put(struct packer *p, uint64_t bits, unsigned width)
{
    p->bits |= bits << p->have;
    p->have += width;
    if (p->have >= 32) {
        dc_store4(p->next, (uint32_t)p->bits);
        p->next += 4;
        p->bits >>= 32;
        p->have -= 32;
    }
}

/* Eight bytes below 2**width, moved together. */
static inline uint64_t squeeze(uint64_t x, unsigned width)
{
    x = (x & 0x00ff00ff00ff00ffu) | (x & 0xff00ff00ff00ff00u) >> (8 - width);
    x = (x & 0x0000ffff0000ffffu) | (x & 0xffff0000ffff0000u) >> 2 * (8 - width);
    return (x & 0x00000000ffffffffu) | (x & 0xffffffff00000000u) >> 4 * (8 - width);
}

static void put_all(struct packer *to, const uint8_t *values, size_t count)
{
    struct packer p = *to; /* in registers */
    size_t i = 0;
    for (; count - i >= 8; i += 8) {
        uint64_t eight = squeeze(dc_load8(values + i), p.width);
        put(&p, eight & (((uint64_t)1 << 4 * p.width) - 1), 4 * p.width);
        put(&p, eight >> 4 * p.width, 4 * p.width);
    }
    for (; i < count; i++)
        put(&p, values[i], p.width);
    *to = p;
}

static void flush(struct packer *p)
{
    for (; p->have > 0; p->have = p->have > 8 ? p->have - 8 : 0, p->bits >>= 8)
        *p->next++ = (uint8_t)p->bits;
}

struct sums {
    uint64_t gaps, survivors;
};

/* Whether gaps of that width need each filler of a block, and none is at the end; the compiler
 * takes many entries at once here. */
static int is_plain(const struct dc_block *block, unsigned largest, struct sums *sums)
{
    const uint8_t *labels = block->labels, *gaps = block->gaps;
    unsigned others = 0;
    sums->gaps = sums->survivors = 0;
    for (size_t i = 0, end; i < block->count; i = end) {
        end = block->count - i < 128 ? block->count : i + 128;
        uint16_t gap_sum = 0, survivors = 0; /* of 128 bytes */
        uint8_t other = 0;
        for (; i < end; i++) {
            other |= (uint8_t)((labels[i] == 0) & (gaps[i] != largest)) | (gaps[i] > largest);
            gap_sum = (uint16_t)(gap_sum + gaps[i]);
            survivors = (uint16_t)(survivors + (labels[i] != 0));
        }
        others |= other;
        sums->gaps += gap_sum;
        sums->survivors += survivors;
    }
    return !others && (block->count == 0 || labels[block->count - 1] != 0);
}

int64_t dc_count_fillers(const struct dc_block *blocks, size_t count, unsigned gap_bits,
                         int64_t *survivors)
{
    const unsigned largest = (1u << gap_bits) - 1;
    uint64_t zeros = 0, total = 0, fillers = 0;
    for (size_t b = 0; b < count; b++) {
        const struct dc_block *block = &blocks[b];
        struct sums sums;
        const int plain = is_plain(block, largest, &sums);
        for (size_t i = 0; i < block->count; i++) {
            zeros += block->gaps[i];
            if (!block->labels[i]) {
                zeros++;
                continue;
            }
            fillers += zeros >> gap_bits;
            zeros = 0;
            total++;
            if (plain) {
                fillers += block->count - i - sums.survivors;
                total += sums.survivors - 1;
                break;
            }
        }
        zeros += (uint64_t)block->elements - sums.gaps - block->count;
    }
    *survivors = (int64_t)total;
    return (int64_t)fillers;
}

#define MOST_STEPS 1024
#define MOST_FILLERS 256 /* at once */

/* Steps to be packed, of which each is a filler until it is something else. */
struct steps {
    uint8_t gaps[MOST_STEPS], labels[MOST_STEPS];
    struct packer to_gaps, to_labels;
};

static void make_fillers(struct steps *s)
{
    memset(s->gaps, (1 << s->to_gaps.width) - 1, sizeof s->gaps);
    memset(s->labels, 0, sizeof s->labels);
}

static void pack_steps(struct steps *s, size_t count)
{
    put_all(&s->to_gaps, s->gaps, count);
    put_all(&s->to_labels, s->labels, count);
    make_fillers(s);
}

void dc_join(const struct dc_block *blocks, size_t count, unsigned label_bits, unsigned gap_bits,
             uint8_t *labels, uint8_t *gaps)
{
    const unsigned largest = (1u << gap_bits) - 1;
    struct steps s = {.to_gaps = {gaps, 0, 0, gap_bits}, .to_labels = {labels, 0, 0, label_bits}};
    size_t made = 0;
    uint64_t zeros = 0;
    make_fillers(&s);
    for (size_t b = 0; b < count; b++) {
        const struct dc_block *block = &blocks[b];
        struct sums sums;
        const int plain = is_plain(block, largest, &sums);
        for (size_t i = 0; i < block->count; i++) {
            zeros += block->gaps[i];
            if (!block->labels[i]) {
                zeros++;
                continue;
            }
            for (; zeros >> gap_bits >= MOST_FILLERS; zeros -= largest + 1)
                if (++made == MOST_STEPS) {
                    pack_steps(&s, made);
                    made = 0;
                }
            if (made >= MOST_STEPS - MOST_FILLERS) {
                pack_steps(&s, made);
                made = 0;
            }
            made += zeros >> gap_bits; /* fillers, which are there already */
            s.gaps[made] = (uint8_t)(zeros & largest);
            s.labels[made++] = block->labels[i];
            zeros = 0;
            if (plain) { /* the others don't depend on what was before this one */
                pack_steps(&s, made);
                made = 0;
                put_all(&s.to_gaps, block->gaps + i + 1, block->count - i - 1);
                put_all(&s.to_labels, block->labels + i + 1, block->count - i - 1);
                break;
            }
        }
        zeros += (uint64_t)block->elements - sums.gaps - block->count;
    }
    pack_steps(&s, made);
    flush(&s.to_gaps);
    flush(&s.to_labels);
}
