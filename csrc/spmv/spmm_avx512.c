/* Y = W X in tiles of up to 128 columns of X; spmm_tiled.c has their frame. */
#include "spmv/spread_avx512.h"
#include "spmv/spmm_tiled.h"

#if DC_X86
#define VECTOR 16
#define PANEL 8 /* two sums each, in 32 registers */
#define PAIRED PANEL
#define KERNEL AVX512
#define KERNEL_INLINE AVX512_INLINE
typedef __m512 vec;
#define VEC_ZERO() _mm512_setzero_ps()
#define VEC_LOAD(from) _mm512_load_ps(from)
#define VEC_STORE(to, a) _mm512_store_ps(to, a)
#define VEC_ALL(a) _mm512_set1_ps(a)
#define VEC_ADD(a, b) _mm512_add_ps(a, b)
#define VEC_FMA(a, b, sum) _mm512_fmadd_ps(a, b, sum)
#include "spmv/spmm_kernel.h"

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
    const size_t quad_bytes = dc_quad_bytes(w->gap_bits, w->label_bits);
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
            p += quad_bytes;
        }
        transpose(v);
        for (size_t l = 0; l < DC_LANES; l++)
            _mm512_storeu_si512(entries + l * stride + at, v[l]);
    }
    for (size_t l = 0; l < DC_LANES; l++)
        entries[l * stride + at] = entries[l * stride + at + 1] = DC_END;
}

/* A row under masks. Entries are in the order of columns, and not of bits. The last stores go up
 * to 15 entries too far, into the room that the ends leave. */
AVX512 static void unpack_masks(const struct dc_layout *w, size_t row, uint32_t *entries,
                                size_t stride)
{
    (void)stride; /* of one row */
    const size_t of_row = dc_mask_count(w->cols);
    const uint8_t *masks = w->data + row * of_row * 8, *label = w->data + w->starts[row];
    uint8_t columns[DC_MASK_COLS], labels[DC_MASK_COLS];
    for (unsigned col = 0; col < DC_MASK_COLS; col++) {
        columns[col] = (uint8_t)col;
        labels[col] = (uint8_t)dc_bit_of_column(col);
    }
    const __m512i all_columns = _mm512_loadu_si512(columns), bits = _mm512_loadu_si512(labels);
    for (size_t i = 0; i < of_row; i++, masks += 8) {
        uint64_t mask;
        __builtin_memcpy(&mask, masks, sizeof mask);
        const size_t count = (size_t)_mm_popcnt_u64(mask);
        const __m512i of_bits = _mm512_maskz_expand_epi8((__mmask64)mask,
                                                         _mm512_loadu_si512(label));
        const __m512i of_columns = _mm512_permutexvar_epi8(bits, of_bits);
        const __mmask64 survives = _mm512_test_epi8_mask(of_columns, of_columns);
        _mm512_storeu_si512(columns, _mm512_maskz_compress_epi8(survives, all_columns));
        _mm512_storeu_si512(labels, _mm512_maskz_compress_epi8(survives, of_columns));
        const __m512i first = _mm512_set1_epi32((int)(i * DC_MASK_COLS));
        for (size_t k = 0; k < count; k += 16) {
            __m512i col = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(columns + k)));
            __m512i of = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(labels + k)));
            col = _mm512_slli_epi32(_mm512_add_epi32(col, first), 8);
            _mm512_storeu_si512(entries + k, _mm512_or_si512(col, of));
        }
        entries += count;
        label += count;
    }
    entries[0] = entries[1] = DC_END;
}

const struct dc_tiling dc_lanes_avx512 = {VECTOR, PANEL, unpack_lanes, any_tile_product};
const struct dc_tiling dc_masks_avx512 = {VECTOR, PANEL, unpack_masks, any_tile_product};
const struct dc_tiling dc_lists_avx512 = {VECTOR, PANEL, dc_unpack_lists, any_tile_product};

#endif
