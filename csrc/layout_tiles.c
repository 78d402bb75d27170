/* From the stream of gaps and labels to a layout in tiles. layout_tiles.py defines the bytes. */
#include "survivors.h"
#include "tiles.h"

/* The number of the row of a tile that has a survivor. */
static inline size_t place_of(const struct dc_survivors *s, size_t tiles, unsigned tile_bits)
{
    const size_t part = (size_t)s->row / DC_TILED_ROWS, tile = (size_t)s->col >> tile_bits;
    return (part * tiles + tile) * DC_TILED_ROWS + (size_t)s->row % DC_TILED_ROWS;
}

void dc_tile_counts(const struct dc_tensor *w, unsigned label_bits, uint8_t *counts)
{
    const unsigned tile_bits = dc_tile_bits(label_bits);
    const size_t tiles = dc_tile_count(w->cols, label_bits);
    struct dc_survivors s = dc_survivors_of(w);
    while (dc_next_survivor(&s))
        counts[place_of(&s, tiles, tile_bits)]++;
}

void dc_layout_tiles(const struct dc_tensor *w, unsigned label_bits, uint64_t *bits, uint8_t *data)
{
    const unsigned tile_bits = dc_tile_bits(label_bits);
    const size_t tiles = dc_tile_count(w->cols, label_bits);
    struct dc_survivors s = dc_survivors_of(w);
    while (dc_next_survivor(&s)) {
        uint64_t *bit = bits + place_of(&s, tiles, tile_bits);
        const unsigned col = (unsigned)s.col & ((1u << tile_bits) - 1);
        const unsigned entry = (col << label_bits | s.label) << *bit % 8;
        data[*bit / 8] |= (uint8_t)entry;
        data[*bit / 8 + 1] |= (uint8_t)(entry >> 8);
        *bit += DC_TILE_LANES * DC_ENTRY_BITS;
    }
}
