/* Blocks of a file to the packed stream: dc_check_gaps, dc_survey, dc_count_fillers, dc_join, and
 * what makes entries of masks and of labels for all elements, against a tensor that is written
 * out. */
#include "fuzz.h"

#define MAX_BLOCKS 5
#define MAX_ELEMENTS 4096 /* of a block */

/* The labels of all elements, from entries whose gaps have been checked. */
static void write_out(const struct dc_block *block, uint8_t *dense)
{
    size_t at = 0;
    memset(dense, 0, (size_t)block->elements);
    for (size_t i = 0; i < block->count; i++, at++) {
        at += block->gaps[i];
        dense[at] = block->labels[i];
    }
}

/* A block whose entries are as the input says, cut off where they leave its elements. */
static struct dc_block take_block(struct input *in)
{
    size_t count = take(in) % 32, elements = take16(in) % (MAX_ELEMENTS + 1), at = SIZE_MAX;
    size_t expected = 0, end = 0;
    uint8_t *gaps = take_exact(in, count), *labels = take_exact(in, count);
    for (; expected < count && end + gaps[expected] < elements; expected++)
        end += gaps[expected] + 1u;
    enum dc_status status = dc_check_gaps(gaps, count, (int64_t)elements, &at);
    require(status == (expected == count ? DC_OK : DC_BAD_POSITION));
    require(status == DC_OK || at == expected);
    uint8_t *own_gaps = exact(expected), *own_labels = exact(expected);
    memcpy(own_gaps, gaps, expected);
    memcpy(own_labels, labels, expected);
    release(gaps, count);
    release(labels, count);
    return (struct dc_block){own_labels, own_gaps, expected, (int64_t)elements};
}

/* What a file has of the same elements leads to the same labels. */
static void check_entries(const uint8_t *dense, size_t elements)
{
    size_t bytes = (elements + 7) / 8, survivors = 0;
    uint8_t *mask = exact(bytes), *all = exact(elements), *again = exact(elements);
    memset(mask, 0, bytes);
    memcpy(all, dense, elements);
    for (size_t i = 0; i < elements; i++)
        if (dense[i]) {
            mask[i / 8] |= (uint8_t)(1u << i % 8);
            survivors++;
        }
    uint8_t *less_one = exact(survivors);
    for (size_t i = 0, n = 0; i < elements; i++)
        if (dense[i])
            less_one[n++] = (uint8_t)(dense[i] - 1);
    require(dc_count_bits(mask, bytes) == survivors);
    size_t room = survivors + elements / 256;
    uint8_t *labels = exact(room), *gaps = exact(room);
    for (int is_mask = 0; is_mask < 2; is_mask++) {
        size_t count = is_mask ? dc_mask_entries(mask, less_one, elements, labels, gaps)
                               : dc_dense_entries(all, elements, labels, gaps), at;
        require(count <= room);
        require(dc_check_gaps(gaps, count, (int64_t)elements, &at) == DC_OK);
        write_out(&(struct dc_block){labels, gaps, count, (int64_t)elements}, again);
        require(memcmp(again, dense, elements) == 0);
    }
    release(mask, bytes);
    release(all, elements);
    release(again, elements);
    release(less_one, survivors);
    release(labels, room);
    release(gaps, room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    unsigned label_bits = 8, gap_bits = take(&in) % 8 + 1;
    size_t n = take(&in) % (MAX_BLOCKS + 1), elements = 0;
    struct dc_block blocks[MAX_BLOCKS];
    static uint8_t dense[MAX_BLOCKS * MAX_ELEMENTS];
    for (size_t b = 0; b < n; b++) {
        blocks[b] = take_block(&in);
        write_out(&blocks[b], dense + elements);
        check_entries(dense + elements, (size_t)blocks[b].elements);
        elements += (size_t)blocks[b].elements;
    }
    int64_t fillers[9], survivors = dc_survey(blocks, n, fillers), expected[9] = {0}, kept = 0;
    for (size_t i = 0, zeros = 0; i < elements; i++, zeros++)
        if (dense[i]) {
            for (unsigned bits = 1; bits <= 8; bits++)
                expected[bits] += (int64_t)(zeros >> bits);
            kept++;
            zeros = SIZE_MAX; /* and one more is 0 */
        }
    require(survivors == kept);
    require(memcmp(fillers, expected, sizeof fillers) == 0);
    int64_t again = -1;
    require(dc_count_fillers(blocks, n, gap_bits, &again) == fillers[gap_bits]);
    require(again == survivors);
    size_t count = (size_t)(survivors + fillers[gap_bits]), at = 0, last = 0;
    size_t label_bytes = (count * label_bits + 7) / 8, gap_bytes = (count * gap_bits + 7) / 8;
    uint8_t *labels = exact(label_bytes), *gaps = exact(gap_bytes);
    dc_join(blocks, n, label_bits, gap_bits, labels, gaps);
    for (size_t i = 0; i < count; i++, at++) {
        unsigned gap = packed_value(gaps, i, gap_bits), label = packed_value(labels, i, label_bits);
        at += gap;
        require(at < elements && dense[at] == label);
        require(label || gap == (1u << gap_bits) - 1);
        last = label ? at : last;
        dense[at] = 0;
    }
    for (size_t i = 0; i < elements; i++)
        require(dense[i] == 0); /* all have been named */
    require(count == 0 || at == last + 1);
    require(count * gap_bits % 8 == 0 || gaps[gap_bytes - 1] >> count * gap_bits % 8 == 0);
    release(labels, label_bytes);
    release(gaps, gap_bytes);
    for (size_t b = 0; b < n; b++) {
        release((uint8_t *)blocks[b].labels, blocks[b].count);
        release((uint8_t *)blocks[b].gaps, blocks[b].count);
    }
    return 0;
}
