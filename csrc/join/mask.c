/* Blocks given by a mask, or by a label for each element. coding/join.py is the definition. */
#include "bits/bitreader.h"
#include "deepcompress.h"

size_t dc_count_bits(const uint8_t *bytes, size_t size)
{
    size_t total = 0;
    for (size_t at = 0; at < size; at += 8) {
        uint64_t word = dc_load_up_to_8(bytes + at, size - at);
        word -= word >> 1 & 0x5555555555555555u;
        word = (word & 0x3333333333333333u) + (word >> 2 & 0x3333333333333333u);
        word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0fu;
        total += word * 0x0101010101010101u >> 56;
    }
    return total;
}

size_t dc_dense_mask(const uint8_t *all, size_t elements, uint8_t *mask, uint8_t *less_one)
{
    size_t count = 0;
    for (size_t i = 0; i < elements; i += 8) {
        unsigned byte = 0;
        for (size_t k = i; k < dc_end_of_eight(i, elements); k++) {
            less_one[count] = (uint8_t)(all[k] - 1);
            count += all[k] != 0;
            byte |= (unsigned)(all[k] != 0) << (k - i);
        }
        mask[i / 8] = (uint8_t)byte;
    }
    return count;
}

#define SHORT 256 /* runs of zeros that are counted by their length */
#define BYTES 256

/* Adds the fillers of so many survivors behind a run of zeros. */
static void add_fillers(int64_t *fillers, uint64_t survivors, uint64_t zeros)
{
    for (unsigned bits = 1; bits <= 8; bits++)
        fillers[bits] += (int64_t)(survivors * (zeros >> bits));
}

int64_t dc_mask_survey(const uint8_t *mask, size_t elements, uint64_t *zeros, int64_t *fillers)
{
    /* Runs within a byte are counted by bytes. Two counters take turns, as the same one is wanted
     * again before the processor has stored it. */
    uint64_t runs[2][SHORT] = {{0}}, bytes[2][BYTES] = {{0}};
    uint8_t before[BYTES] = {8}, after[BYTES] = {8}; /* the zeros at both ends of a byte */
    for (unsigned byte = 1; byte < BYTES; byte++) {
        before[byte] = (uint8_t)dc_lowest_bit(byte);
        for (after[byte] = 0; byte << after[byte] < BYTES / 2; after[byte]++)
            ;
    }
    for (unsigned bits = 0; bits <= 8; bits++)
        fillers[bits] = 0;
    uint64_t since = *zeros;
    for (size_t i = 0; i < (elements + 7) / 8; i++) {
        const uint8_t byte = mask[i];
        since += before[byte];
        if (!byte)
            continue;
        if (since < SHORT)
            runs[i % 2][since]++;
        else
            add_fillers(fillers, 1, since);
        bytes[i % 2][byte]++;
        since = after[byte];
    }
    *zeros = since - (8 - elements % 8) % 8; /* of the last byte */
    int64_t survivors = 0;
    for (unsigned run = 0; run < SHORT; run++)
        add_fillers(fillers, runs[0][run] + runs[1][run], run);
    for (unsigned byte = 1; byte < BYTES; byte++) {
        const uint64_t all = bytes[0][byte] + bytes[1][byte];
        survivors += (int64_t)all;
        for (unsigned rest = byte >> (before[byte] + 1); rest;) {
            const unsigned run = dc_lowest_bit(rest);
            add_fillers(fillers, all, run);
            survivors += (int64_t)all;
            rest >>= run + 1;
        }
    }
    return survivors;
}
