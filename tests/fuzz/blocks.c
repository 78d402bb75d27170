/* Blocks of a file to the packed stream, given by entries or by masks, against a tensor that is
 * written out: all of blocks.c, blocks_join.c and blocks_mask.c. */
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
    return (struct dc_block){own_labels, own_gaps, expected, (int64_t)elements, 0, 0, 0};
}

/* What a file has of the same elements leads to the same mask. */
static uint8_t *make_mask(const uint8_t *dense, size_t elements, uint8_t *less_one)
{
    size_t bytes = (elements + 7) / 8, survivors = 0;
    uint8_t *mask = exact(bytes), *all = exact(elements);
    memcpy(all, dense, elements);
    size_t count = dc_dense_mask(all, elements, mask, less_one);
    for (size_t i = 0; i < 8 * bytes; i++) {
        require((mask[i / 8] >> i % 8 & 1) == (i < elements && dense[i] != 0));
        if (i < elements && dense[i])
            require(less_one[survivors++] == dense[i] - 1);
    }
    require(count == survivors && dc_count_bits(mask, bytes) == survivors);
    release(all, elements);
    return mask;
}

/* Masks of the same blocks have the same fillers, and join to the same bytes. */
static void check_masks(const struct dc_block *blocks, size_t n, const uint8_t *dense,
                        const int64_t *fillers, unsigned gap_bits, size_t gap_bytes,
                        const struct dc_stream *joined)
{
    int64_t sums[9] = {0};
    uint64_t zeros = 0;
    uint8_t *labels = exact(joined->entries), *gaps = exact(gap_bytes);
    struct dc_stream to = {labels, gaps, 0, 0};
    for (size_t b = 0; b < n; b++) {
        const size_t elements = (size_t)blocks[b].elements;
        uint8_t *less_one = exact(elements), *mask = make_mask(dense, elements, less_one);
        int64_t own[9];
        dc_mask_survey(mask, elements, &zeros, own);
        for (unsigned bits = 0; bits <= 8; bits++)
            sums[bits] += own[bits];
        dc_mask_join(mask, less_one, elements, 8, gap_bits, &to);
        require(to.zeros == zeros);
        release(mask, (elements + 7) / 8);
        release(less_one, elements);
        dense += elements;
    }
    require(memcmp(sums, fillers, sizeof sums) == 0);
    require(to.entries == joined->entries && to.zeros == joined->zeros);
    require(memcmp(labels, joined->labels, joined->entries) == 0);
    require(memcmp(gaps, joined->gaps, gap_bytes) == 0);
    release(labels, joined->entries);
    release(gaps, gap_bytes);
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
        elements += (size_t)blocks[b].elements;
    }
    int64_t fillers[9], expected[9] = {0}, kept = 0;
    uint64_t zeros_behind = 0, since = 0;
    int64_t survivors = dc_survey(blocks, n, &zeros_behind, fillers);
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
    require(dc_count_fillers(blocks, n, gap_bits, &since, &again) == fillers[gap_bits]);
    require(again == survivors && since == zeros_behind);
    size_t count = (size_t)(survivors + fillers[gap_bits]), at = 0, last = 0;
    size_t label_bytes = (count * label_bits + 7) / 8, gap_bytes = (count * gap_bits + 7) / 8;
    uint8_t *labels = exact(label_bytes), *gaps = exact(gap_bytes);
    struct dc_stream to = {labels, gaps, 0, 0};
    for (size_t b = 0; b < n; b++)
        dc_join(&blocks[b], 1, label_bits, gap_bits, &to);
    require(to.entries == count && to.zeros == zeros_behind);
    check_masks(blocks, n, dense, fillers, gap_bits, gap_bytes, &to);
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
