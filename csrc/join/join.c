/* The blocks of a tensor as one packed stream. coding/join.py is the definition.
 *
 * A file's blocks mostly have fillers just where the stream needs them, too, as both have gaps of
 * one width. Then all entries after a block's first survivor are taken as they are, many at
 * once. */
#include <string.h>

#include "bits/bitreader.h"
#include "join/blocks.h"
#include "deepcompress.h"

/* Packed values to be written; of the next byte, `have` < 8 bits are known. */
struct packer {
    uint8_t *next;
    uint64_t bits;
    unsigned have, width;
};

/* Goes on behind the values that are there. */
static struct packer start_packer(uint8_t *packed, uint64_t values, unsigned width)
{
    uint8_t *next = packed + values / 8 * width + values % 8 * width / 8;
    const unsigned have = (unsigned)(values % 8 * width % 8);
    return (struct packer){next, have ? *next : 0, have, width};
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
    if (p.width == 8) {
        memcpy(p.next, values, count);
        p.next += count;
        i = count;
    }
    /* As long as those behind take what a store has too much. */
    for (; (count - i) / 8 * p.width >= 8; i += 8) {
        const uint64_t eight = squeeze(dc_load8(values + i), p.width);
        dc_store8(p.next, p.bits | eight << p.have);
        p.next += p.width;
        p.bits = p.have ? eight >> (8 * p.width - p.have) : 0;
    }
    for (; i < count; i++) {
        p.bits |= (uint64_t)values[i] << p.have;
        p.have += p.width;
        if (p.have >= 8) {
            *p.next++ = (uint8_t)p.bits;
            p.bits >>= 8;
            p.have -= 8;
        }
    }
    *to = p;
}

static void flush(const struct packer *p)
{
    if (p->have)
        *p->next = (uint8_t)p->bits;
}

/* Looks whether gaps of that width need each filler of a block, and none is at the end; the
 * compiler takes many entries at once here. */
static void look_at(struct dc_block *block, unsigned largest)
{
    const uint8_t *labels = block->labels, *gaps = block->gaps;
    unsigned others = 0;
    block->gap_sum = block->survivors = 0;
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
        block->gap_sum += gap_sum;
        block->survivors += survivors;
    }
    block->is_plain = !others && (block->count == 0 || labels[block->count - 1] != 0);
}

static uint64_t zeros_at_end(const struct dc_block *block)
{
    return (uint64_t)block->elements - block->gap_sum - block->count;
}

int64_t dc_count_fillers(struct dc_block *blocks, size_t count, unsigned gap_bits, uint64_t *zeros,
                         int64_t *survivors)
{
    uint64_t since = *zeros, total = 0, fillers = 0;
    for (size_t b = 0; b < count; b++) {
        struct dc_block *block = &blocks[b];
        look_at(block, (1u << gap_bits) - 1);
        total += block->survivors;
        size_t i = 0;
        while ((i = dc_find_survivor(block, i, &since)) < block->count) {
            fillers += since >> gap_bits;
            since = 0;
            if (block->is_plain) {
                fillers += block->count - i - block->survivors;
                break;
            }
            i++;
        }
        since += zeros_at_end(block);
    }
    *zeros = since;
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

static void start_steps(struct steps *s, unsigned label_bits, unsigned gap_bits,
                        const struct dc_stream *to)
{
    s->to_gaps = start_packer(to->gaps, to->entries, gap_bits);
    s->to_labels = start_packer(to->labels, to->entries, label_bits);
    make_fillers(s);
}

static void put_steps(struct steps *s, size_t made, struct dc_stream *to)
{
    put_all(&s->to_gaps, s->gaps, made);
    put_all(&s->to_labels, s->labels, made);
    to->entries += made;
    make_fillers(s);
}

static void end_steps(struct steps *s, size_t made, struct dc_stream *to, uint64_t zeros)
{
    put_steps(s, made, to);
    flush(&s->to_gaps);
    flush(&s->to_labels);
    to->zeros = zeros;
}

/* Adds a survivor behind `zeros` to the steps that are made, and returns how many that are now. */
static inline size_t add_step(struct steps *s, size_t made, uint64_t zeros, unsigned gap_bits,
                              uint8_t label, struct dc_stream *to)
{
    for (; zeros >> gap_bits >= MOST_FILLERS; zeros -= (uint64_t)1 << gap_bits)
        if (++made == MOST_STEPS) {
            put_steps(s, made, to);
            made = 0;
        }
    if (made >= MOST_STEPS - MOST_FILLERS) {
        put_steps(s, made, to);
        made = 0;
    }
    made += zeros >> gap_bits; /* fillers, which are there already */
    s->gaps[made] = (uint8_t)(zeros & ((1u << gap_bits) - 1));
    s->labels[made] = label;
    return made + 1;
}

void dc_join(const struct dc_block *blocks, size_t count, unsigned label_bits, unsigned gap_bits,
             struct dc_stream *to)
{
    struct steps s;
    uint64_t zeros = to->zeros;
    size_t made = 0;
    start_steps(&s, label_bits, gap_bits, to);
    for (size_t b = 0; b < count; b++) {
        const struct dc_block *block = &blocks[b];
        size_t i = 0;
        while ((i = dc_find_survivor(block, i, &zeros)) < block->count) {
            made = add_step(&s, made, zeros, gap_bits, block->labels[i++], to);
            zeros = 0;
            if (block->is_plain) { /* the others don't depend on what was before this one */
                put_steps(&s, made, to);
                made = 0;
                put_all(&s.to_gaps, block->gaps + i, block->count - i);
                put_all(&s.to_labels, block->labels + i, block->count - i);
                to->entries += block->count - i;
                break;
            }
        }
        zeros += zeros_at_end(block);
    }
    end_steps(&s, made, to, zeros);
}

void dc_mask_join(const uint8_t *mask, const uint8_t *less_one, size_t elements,
                  unsigned label_bits, unsigned gap_bits, struct dc_stream *to)
{
    const size_t bytes = (elements + 7) / 8;
    struct steps s;
    uint64_t next = 0 - to->zeros; /* after the last survivor, counted from the block's beginning */
    size_t made = 0;
    start_steps(&s, label_bits, gap_bits, to);
    for (size_t byte = 0; byte < bytes; byte += 8)
        for (uint64_t word = dc_load_up_to_8(mask + byte, bytes - byte); word; word &= word - 1) {
            const uint64_t at = 8 * byte + dc_lowest_bit(word);
            made = add_step(&s, made, at - next, gap_bits, (uint8_t)(*less_one++ + 1), to);
            next = at + 1;
        }
    end_steps(&s, made, to, elements - next);
}
