/* The head of a tensor in planes. */
#ifndef DC_PLANES_HEAD_H
#define DC_PLANES_HEAD_H

#include "deepcompress.h"
#include "huffman/huffman.h"

#define DC_MOST_PLANES 8
#define DC_MOST_BLOCK_BITS 16
#define DC_CRC_BYTES 4
#define DC_MOST_VARINT_BYTES 9

/* As far as blocks need it. */
struct dc_planes_head {
    unsigned block_bits;
    int rotate;
    uint8_t coders[DC_MOST_PLANES]; /* 1 for a Huffman code */
    uint64_t block_count;
    const uint8_t *sizes; /* of the blocks' streams */
    const uint8_t *end;
    uint8_t lengths[DC_MOST_PLANES][DC_MAX_ALPHABET];
};

/* The words of a block. */
static inline uint64_t dc_block_words(uint64_t words, unsigned block_bits, uint64_t block)
{
    const uint64_t left = words - (block << block_bits), most = (uint64_t)1 << block_bits;
    return left < most ? left : most;
}

/* The CRC that a chunk's own continues. */
uint32_t dc_chunk_crc_start(enum dc_isa isa, uint32_t header_crc, uint64_t chunk);

/* Reads a number in its shortest form, and moves on; 0 if there is none. */
int dc_read_varint(const uint8_t **next, const uint8_t *end, uint64_t *value);

/* Reads a tensor's head; 0 unless it is valid and C decodes what it tells of. */
int dc_open_planes(const struct dc_planes *t, struct dc_planes_head *head);

#endif
