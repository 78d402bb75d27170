/* y = W x from a layout, eight lanes to a register. */
#include "layout.h"
#include "spmv.h"

#if DC_X86
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,fma")))
#define AVX2_INLINE static inline __attribute__((always_inline, target("avx2,fma")))

/* How to spread values of one width over the lanes. */
struct spread {
    __m256i bytes;    /* where in its 128 bits the values of a lane begin */
    __m256i shift;    /* and at which bit of the byte */
    size_t half;      /* bytes that four lanes take */
    __m128i bits[4];  /* what to shift by for each step */
    __m256i mask;
};

AVX2_INLINE struct spread spread_of(unsigned bits)
{
    uint8_t bytes[32];
    uint32_t shift[8];
    for (unsigned l = 0; l < 8; l++) {
        unsigned at = l % 4 * DC_STEPS * bits;
        for (unsigned k = 0; k < 4; k++)
            bytes[4 * l + k] = (uint8_t)(at / 8 + k); /* 12 + 3 at most */
        shift[l] = at % 8;
    }
    struct spread s = {
        .bytes = _mm256_loadu_si256((const __m256i *)bytes),
        .shift = _mm256_loadu_si256((const __m256i *)shift),
        .half = 2 * bits,
        .mask = _mm256_set1_epi32((1 << bits) - 1),
    };
    for (unsigned step = 0; step < DC_STEPS; step++)
        s.bits[step] = _mm_cvtsi32_si128((int)(step * bits));
    return s;
}

/* Four values of eight lanes each. Either load takes 16 bytes, whatever the width: what it
 * takes too much is read over, or is the end of the data that is there for that. */
AVX2_INLINE __m256i load_lanes(const uint8_t *packed, const struct spread *s)
{
    __m256i both = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)packed));
    both = _mm256_inserti128_si256(both, _mm_loadu_si128((const __m128i *)(packed + s->half)), 1);
    return _mm256_srlv_epi32(_mm256_shuffle_epi8(both, s->bytes), s->shift);
}

AVX2_INLINE __m256i value(__m256i lanes, const struct spread *s, unsigned step)
{
    return _mm256_and_si256(_mm256_srl_epi32(lanes, s->bits[step]), s->mask);
}

AVX2_INLINE void product(const struct dc_layout *w, const float *x, float *y, size_t first,
                         size_t last, int in_register)
{
    const unsigned gap_bits = w->gap_bits, label_bits = w->label_bits;
    const struct spread of_gaps = spread_of(gap_bits), of_labels = spread_of(label_bits);
    float eight[8] = {0.0f};
    for (unsigned i = 0; i < w->centroids && i < 8; i++)
        eight[i] = w->codebook[i];
    const __m256 codebook = _mm256_loadu_ps(eight);
    for (size_t g = first; g < last; g++) {
        __m256i col[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
        __m256 sum[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
        const uint8_t *end = w->data + w->starts[g + 1];
        for (const uint8_t *gaps = w->data + w->starts[g]; gaps < end;) {
            const uint8_t *labels = gaps + 8 * gap_bits;
            for (unsigned h = 0; h < 2; h++) {
                __m256i gap = load_lanes(gaps + h * 4 * gap_bits, &of_gaps);
                __m256i label = load_lanes(labels + h * 4 * label_bits, &of_labels);
                for (unsigned step = 0; step < DC_STEPS; step++) {
                    col[h] = _mm256_add_epi32(col[h], value(gap, &of_gaps, step));
                    __m256i of_step = value(label, &of_labels, step);
                    /* Beyond a register, a gather from the first cache is the fastest table. */
                    __m256 weight = in_register ? _mm256_permutevar8x32_ps(codebook, of_step)
                                                : _mm256_i32gather_ps(w->codebook, of_step, 4);
                    sum[h] = _mm256_fmadd_ps(weight, _mm256_i32gather_ps(x, col[h], 4), sum[h]);
                }
            }
            gaps = labels + 8 * label_bits;
        }
        float sums[DC_LANES];
        _mm256_storeu_ps(sums, sum[0]);
        _mm256_storeu_ps(sums + 8, sum[1]);
        for (size_t l = 0; l < DC_LANES && g * DC_LANES + l < (size_t)w->rows; l++)
            y[w->order[g * DC_LANES + l]] = sums[l];
    }
}

AVX2 void dc_spmv_lanes_avx2(const struct dc_layout *w, const float *x, float *y, size_t first,
                             size_t last)
{
    if (w->centroids <= 8)
        product(w, x, y, first, last, 1);
    else
        product(w, x, y, first, last, 0);
}

#endif
