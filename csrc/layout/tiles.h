/* Measures of the layout in tiles, which spmv/tiles.py defines. */
#ifndef DC_TILES_H
#define DC_TILES_H

#include "layout/layout.h"

#define DC_TILE_LANES 8   /* rows of a group */
#define DC_ENTRY_BITS 12  /* of a column of the tile, above its label */
#define DC_STEP_BYTES (DC_TILE_LANES * DC_ENTRY_BITS / 8)

/* Binary logarithm of the columns of a tile. */
static inline unsigned dc_tile_bits(unsigned label_bits)
{
    return label_bits < 5 ? 7 : DC_ENTRY_BITS - label_bits;
}

static inline size_t dc_tile_count(int64_t cols, unsigned label_bits)
{
    return ((size_t)cols + (1u << dc_tile_bits(label_bits)) - 1) >> dc_tile_bits(label_bits);
}

/* Some rows of a tile. */
struct dc_group {
    const uint8_t *steps; /* the first entry of each row, then the second, and so on */
    const uint8_t *rows;  /* of the part, DC_TILE_LANES of them */
    size_t count;         /* of steps */
};

/* The group at p; the next one begins where its steps end. */
static inline struct dc_group dc_group_at(const uint8_t *p)
{
    return (struct dc_group){p + 1 + DC_TILE_LANES, p + 1, p[0]};
}

static inline const uint8_t *dc_after_group(const struct dc_group *g)
{
    return g->steps + g->count * DC_STEP_BYTES;
}

/* Where tile `tile` of a part begins, or the one before it ends. */
static inline const uint8_t *dc_tile_at(const struct dc_layout *w, size_t part, size_t tile)
{
    const uint8_t *begin = w->data + w->starts[part];
    return begin + dc_load4(begin + 4 * tile);
}

/* The entry of a lane in a step. */
static inline unsigned dc_tile_entry(const uint8_t *step, size_t lane)
{
    const uint8_t *p = step + lane * DC_ENTRY_BITS / 8;
    return ((unsigned)p[0] | (unsigned)p[1] << 8) >> lane % 2 * 4 & ((1u << DC_ENTRY_BITS) - 1);
}

#endif
