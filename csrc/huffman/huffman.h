/* What both directions of Huffman codes share. */
#ifndef DC_HUFFMAN_H
#define DC_HUFFMAN_H

#include <stddef.h>
#include <stdint.h>

#define DC_MAX_CODE_BITS 12
#define DC_MAX_ALPHABET 256

/* The code of each symbol, reversed; 0 for those of length 0. */
void dc_reversed_codes(const uint8_t *lengths, size_t alphabet, uint16_t *codes);

#endif
