/* Y = W X from a layout, 64 columns of X at a time, in tiles of W's columns.
 *
 * Some rows of W at once are unpacked into the caller's scratch memory, an entry to a dword:
 * its column above, its label in the low byte. They are then gone through tile by tile, so
 * that the rows of X that belong to a tile stay in the cache while each row of W takes what
 * it needs of them. An entry costs a broadcast of its weight and one product per 16 columns. */
#include "avx512.h"

#if DC_X86
#define ROWS 128          /* of W that are unpacked at once */
#define TILE_FLOATS 16384 /* of X that belong to a tile: 64 KiB, a multiple of 64 columns */
#define PANEL 64          /* columns of X at once */
#define END UINT32_MAX    /* after a row's last entry; above every entry */

struct rows {
    uint32_t *entries; /* of row i from i * stride on */
    size_t stride;
    size_t count;
    uint32_t place[ROWS]; /* which row of Y is its */
};

/* Entries of the longest row, and a register full of ends. */
static size_t stride_of(const struct dc_layout *w)
{
    size_t parts = w->gap_bits ? ((size_t)w->rows + DC_LANES - 1) / DC_LANES : (size_t)w->rows;
    size_t longest = 0;
    for (size_t i = 0; i < parts; i++) {
        size_t bytes = (size_t)(w->starts[i + 1] - w->starts[i]);
        longest = bytes > longest ? bytes : longest;
    }
    if (w->gap_bits)
        longest = longest / dc_block_bytes(w->gap_bits, w->label_bits) * DC_STEPS;
    return (longest + 31) / 16 * 16;
}

size_t dc_spmm_scratch_avx512(const struct dc_layout *w)
{
    return ROWS * stride_of(w) * sizeof(uint32_t);
}

/* Sixteen registers of sixteen lanes each, turned so that a lane becomes a register. */
AVX512_INLINE void transpose(__m512i r[16])
{
    __m512i t[16];
    for (unsigned i = 0; i < 8; i++) {
        t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    for (unsigned i = 0; i < 4; i++) {
        r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
        r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
    for (unsigned i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
    }
    for (unsigned i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
        r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
        r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
    }
}

/* The rows of one group of lanes; those after the last row of W are unpacked, too. */
AVX512 static void unpack_lanes(const struct dc_layout *w, size_t group, uint32_t *entries,
                                size_t stride)
{
    const struct spread of_gaps = spread_of(w->gap_bits), of_labels = spread_of(w->label_bits);
    const size_t block_bytes = dc_block_bytes(w->gap_bits, w->label_bits);
    const uint8_t *p = w->data + w->starts[group], *end = w->data + w->starts[group + 1];
    __m512i col = _mm512_setzero_si512();
    size_t at = 0;
    for (; p < end; at += 16) {
        __m512i v[16];
        for (unsigned i = 0; i < 16; i += DC_STEPS) {
            if (p == end) {
                for (unsigned step = 0; step < DC_STEPS; step++)
                    v[i + step] = _mm512_set1_epi32(-1);
                continue;
            }
            __m512i gaps = load_lanes(p, &of_gaps);
            __m512i labels = load_lanes(p + 8 * (size_t)w->gap_bits, &of_labels);
            for (unsigned step = 0; step < DC_STEPS; step++) {
                col = _mm512_add_epi32(col, _mm512_and_si512(gaps, of_gaps.mask));
                v[i + step] = _mm512_or_si512(_mm512_slli_epi32(col, 8),
                                              _mm512_and_si512(labels, of_labels.mask));
                gaps = _mm512_srl_epi32(gaps, _mm_cvtsi32_si128(w->gap_bits));
                labels = _mm512_srl_epi32(labels, _mm_cvtsi32_si128(w->label_bits));
            }
            p += block_bytes;
        }
        transpose(v);
        for (size_t l = 0; l < DC_LANES; l++)
            _mm512_storeu_si512(entries + l * stride + at, v[l]);
    }
    for (size_t l = 0; l < DC_LANES; l++)
        entries[l * stride + at] = END;
}

/* A row under masks. Within a mask its columns are in the order of the bits. The last store
 * goes up to 15 entries too far, into the room that END leaves. */
AVX512 static void unpack_masks(const struct dc_layout *w, size_t row, uint32_t *entries)
{
    const size_t blocks = dc_mask_blocks(w->cols);
    const uint8_t *masks = w->data + row * blocks * 8, *label = w->data + w->starts[row];
    uint8_t column_of_bit[DC_MASK_COLS], columns[DC_MASK_COLS];
    for (unsigned bit = 0; bit < DC_MASK_COLS; bit++)
        column_of_bit[bit] = (uint8_t)dc_column_of_bit(bit);
    const __m512i all_columns = _mm512_loadu_si512(column_of_bit);
    for (size_t i = 0; i < blocks; i++, masks += 8) {
        uint64_t mask;
        __builtin_memcpy(&mask, masks, sizeof mask);
        const size_t count = (size_t)_mm_popcnt_u64(mask);
        _mm512_storeu_si512(columns, _mm512_maskz_compress_epi8((__mmask64)mask, all_columns));
        const __m512i first = _mm512_set1_epi32((int)(i * DC_MASK_COLS));
        for (size_t k = 0; k < count; k += 16) {
            __m512i col = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(columns + k)));
            __m512i of = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(label + k)));
            col = _mm512_slli_epi32(_mm512_add_epi32(col, first), 8);
            _mm512_storeu_si512(entries + k, _mm512_or_si512(col, of));
        }
        entries += count;
        label += count;
    }
    *entries = END;
}

/* `registers` is a constant wherever this ends up; the last one has the columns of `tail`. */
AVX512_INLINE void panel_product(const struct dc_layout *w, const struct rows *rows,
                                 const float *x, size_t ldx, float *y, size_t ldy,
                                 unsigned registers, __mmask16 tail)
{
    const size_t tile = TILE_FLOATS / (16 * (size_t)registers);
    size_t next[ROWS] = {0};
    for (size_t first = 0; first == 0 || first < (size_t)w->cols; first += tile) {
        const uint32_t end =
            first + tile < (size_t)w->cols ? (uint32_t)(first + tile) << 8 : END;
        for (size_t i = 0; i < rows->count; i++) {
            float *to = y + rows->place[i] * ldy;
            const uint32_t *entry = rows->entries + i * rows->stride + next[i];
            __m512 sum[4];
            for (unsigned k = 0; k < registers; k++) {
                __mmask16 used = k + 1 == registers ? tail : 0xffff;
                sum[k] = first ? _mm512_maskz_loadu_ps(used, to + 16 * k) : _mm512_setzero_ps();
            }
            for (; *entry < end; entry++) {
                const float *from = x + (size_t)(*entry >> 8) * ldx;
                const __m512 weight = _mm512_set1_ps(w->codebook[*entry & 255]);
                for (unsigned k = 0; k < registers; k++) {
                    __m512 x_k = k + 1 == registers ? _mm512_maskz_loadu_ps(tail, from + 16 * k)
                                                    : _mm512_loadu_ps(from + 16 * k);
                    sum[k] = _mm512_fmadd_ps(weight, x_k, sum[k]);
                }
            }
            for (unsigned k = 0; k < registers; k++)
                _mm512_mask_storeu_ps(to + 16 * k, k + 1 == registers ? tail : 0xffff, sum[k]);
            next[i] = (size_t)(entry - (rows->entries + i * rows->stride));
        }
    }
}

AVX512 static void rows_product(const struct dc_layout *w, const struct rows *rows, const float *x,
                                size_t ldx, float *y, size_t ldy, size_t n)
{
    for (size_t j = 0; j < n; j += PANEL, x += PANEL, y += PANEL) {
        const size_t width = n - j < PANEL ? n - j : PANEL;
        const __mmask16 tail = (__mmask16)(0xffffu >> (15 - (width - 1) % 16));
        if (width == PANEL) {
            panel_product(w, rows, x, ldx, y, ldy, 4, 0xffff);
            continue;
        }
        switch ((width + 15) / 16) {
        case 1: panel_product(w, rows, x, ldx, y, ldy, 1, tail); break;
        case 2: panel_product(w, rows, x, ldx, y, ldy, 2, tail); break;
        case 3: panel_product(w, rows, x, ldx, y, ldy, 3, tail); break;
        default: panel_product(w, rows, x, ldx, y, ldy, 4, tail);
        }
    }
}

AVX512 void dc_spmm_lanes_avx512(const struct dc_layout *w, const float *x, size_t ldx, float *y,
                                 size_t ldy, size_t n, size_t first, size_t last, void *scratch)
{
    struct rows rows = {scratch, stride_of(w), 0, {0}};
    for (size_t g = first; g < last; g++) {
        unpack_lanes(w, g, rows.entries + rows.count * rows.stride, rows.stride);
        for (size_t l = 0; l < DC_LANES && g * DC_LANES + l < (size_t)w->rows; l++)
            rows.place[rows.count++] = w->order[g * DC_LANES + l];
        if (rows.count + DC_LANES > ROWS || g + 1 == last) {
            rows_product(w, &rows, x, ldx, y, ldy, n);
            rows.count = 0;
        }
    }
}

AVX512 void dc_spmm_masks_avx512(const struct dc_layout *w, const float *x, size_t ldx, float *y,
                                 size_t ldy, size_t n, size_t first, size_t last, void *scratch)
{
    struct rows rows = {scratch, stride_of(w), 0, {0}};
    for (size_t r = first; r < last; r++) {
        unpack_masks(w, r, rows.entries + rows.count * rows.stride);
        rows.place[rows.count++] = (uint32_t)r;
        if (rows.count == ROWS || r + 1 == last) {
            rows_product(w, &rows, x, ldx, y, ldy, n);
            rows.count = 0;
        }
    }
}

#endif
