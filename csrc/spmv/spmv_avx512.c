/* y = W x from a layout, sixteen lanes or columns to a register. */
#include "spmv/spread_avx512.h"

#if DC_X86
#define PREFETCH 1536 /* bytes ahead */

/* A codebook in registers, padded with zeros, or for more than 64 centroids in memory. */
struct codebook {
    __m512 part[4];
    const float *all;
};

AVX512_INLINE struct codebook load_codebook(const struct dc_layout *w)
{
    struct codebook c = {.all = w->codebook};
    for (unsigned i = 0; i < 4; i++) {
        unsigned left = w->centroids > 16 * i ? w->centroids - 16 * i : 0;
        __mmask16 used = (__mmask16)(left < 16 ? (1u << left) - 1 : 0xffff);
        c.part[i] = _mm512_maskz_loadu_ps(used, w->codebook + (used ? 16 * i : 0));
    }
    return c;
}

/* The centroids of labels whose dwords may have anything above `label_bits` bits. Permutations
 * read no more bits than they need; `label_bits` is a constant wherever this ends up. */
AVX512_INLINE __m512 centroids(const struct codebook *c, __m512i label, __m512i mask,
                               unsigned label_bits)
{
    if (label_bits <= 4)
        return _mm512_permutexvar_ps(_mm512_and_si512(label, mask), c->part[0]);
    if (label_bits == 5)
        return _mm512_permutex2var_ps(c->part[0], label, c->part[1]);
    if (label_bits == 6) {
        __mmask16 upper = _mm512_test_epi32_mask(label, _mm512_set1_epi32(32));
        __m512 low = _mm512_permutex2var_ps(c->part[0], label, c->part[1]);
        __m512 high = _mm512_permutex2var_ps(c->part[2], label, c->part[3]);
        return _mm512_mask_blend_ps(upper, low, high);
    }
    return _mm512_i32gather_ps(_mm512_and_si512(label, mask), c->all, 4);
}

AVX512_INLINE void lanes_product(const struct dc_layout *w, const float *x, float *y, size_t first,
                                 size_t last, unsigned kind)
{
    const size_t label_offset = 8 * (size_t)w->gap_bits;
    const size_t quad_bytes = dc_quad_bytes(w->gap_bits, w->label_bits);
    const struct spread of_gaps = spread_of(w->gap_bits), of_labels = spread_of(w->label_bits);
    __m512i gap_shifts[DC_STEPS], label_shifts[DC_STEPS];
    for (unsigned step = 0; step < DC_STEPS; step++) {
        gap_shifts[step] = _mm512_set1_epi32((int)(step * w->gap_bits));
        label_shifts[step] = _mm512_set1_epi32((int)(step * w->label_bits));
    }
    const struct codebook codebook = load_codebook(w);
    for (size_t g = first; g < last; g++) {
        __m512i col = _mm512_setzero_si512();
        __m512 sum = _mm512_setzero_ps();
        const uint8_t *end = w->data + w->starts[g + 1];
        for (const uint8_t *p = w->data + w->starts[g]; p < end; p += quad_bytes) {
            /* The processor's own prefetching ends at pages, which are 40 quads. */
            _mm_prefetch((const char *)p + PREFETCH, _MM_HINT_T0);
            _mm_prefetch((const char *)p + PREFETCH + 64, _MM_HINT_T0);
            const __m512i gaps = load_lanes(p, &of_gaps);
            const __m512i labels = load_lanes(p + label_offset, &of_labels);
#pragma GCC unroll 4
            for (unsigned step = 0; step < DC_STEPS; step++) {
                __m512i gap = _mm512_srlv_epi32(gaps, gap_shifts[step]);
                col = _mm512_add_epi32(col, _mm512_and_si512(gap, of_gaps.mask));
                __m512i label = _mm512_srlv_epi32(labels, label_shifts[step]);
                __m512 weight = centroids(&codebook, label, of_labels.mask, kind);
                sum = _mm512_fmadd_ps(weight, _mm512_i32gather_ps(col, x, 4), sum);
            }
        }
        float sums[DC_LANES];
        _mm512_storeu_ps(sums, sum);
        for (size_t l = 0; l < DC_LANES && g * DC_LANES + l < (size_t)w->rows; l++)
            y[w->order[g * DC_LANES + l]] = sums[l];
    }
}

AVX512 void dc_spmv_lanes_avx512(const struct dc_layout *w, const float *x, float *y,
                                 size_t first, size_t last)
{
    switch (w->label_bits) {
    case 5: lanes_product(w, x, y, first, last, 5); break;
    case 6: lanes_product(w, x, y, first, last, 6); break;
    case 7:
    case 8: lanes_product(w, x, y, first, last, 8); break;
    default: lanes_product(w, x, y, first, last, 4);
    }
}

/* Where there is a survivor in two of ten places or more, multiplying all of them is faster
 * than gathering elements of x for the survivors. */
AVX512 void dc_spmv_masks_avx512(const struct dc_layout *w, const float *x, float *y,
                                 size_t first, size_t last)
{
    const struct codebook codebook = load_codebook(w);
    const size_t of_row = dc_mask_count(w->cols), whole = (size_t)w->cols / DC_MASK_COLS;
    __mmask16 in_tail[4];
    for (unsigned k = 0; k < 4; k++) {
        size_t used = (size_t)w->cols % DC_MASK_COLS;
        used = used > 16 * k ? used - 16 * k : 0;
        in_tail[k] = (__mmask16)(used < 16 ? (1u << used) - 1 : 0xffff);
    }
    for (size_t r = first; r < last; r++) {
        const uint8_t *masks = w->data + r * of_row * 8, *labels = w->data + w->starts[r];
        const float *from = x;
        __m512 sum[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                         _mm512_setzero_ps()};
        for (size_t i = 0; i < of_row; i++, masks += 8) {
            _mm_prefetch((const char *)labels + PREFETCH, _MM_HINT_T0);
            _mm_prefetch((const char *)masks + PREFETCH, _MM_HINT_T0);
            uint64_t mask;
            __builtin_memcpy(&mask, masks, sizeof mask);
            __m512i label = _mm512_maskz_expand_epi8((__mmask64)mask, _mm512_loadu_si512(labels));
            labels += _mm_popcnt_u64(mask);
#pragma GCC unroll 4
            for (unsigned k = 0; k < 4; k++) {
                __m512 weight = _mm512_permutex2var_ps(codebook.part[0], label, codebook.part[1]);
                __m512 x_k = i < whole ? _mm512_loadu_ps(from + 16 * k)
                                       : _mm512_maskz_loadu_ps(in_tail[k], from + 16 * k);
                sum[k] = _mm512_fmadd_ps(weight, x_k, sum[k]);
                label = _mm512_srli_epi32(label, 8);
            }
            from += DC_MASK_COLS;
        }
        sum[0] = _mm512_add_ps(_mm512_add_ps(sum[0], sum[1]), _mm512_add_ps(sum[2], sum[3]));
        y[r] = _mm512_reduce_add_ps(sum[0]);
    }
}

#endif
